"""Operations of the API that another gateway of the house has to do.

Whoever asks at any page or hub is answered as if all devices were there: what is about one device goes to the gateway
that has it, lists are put together, and what any gateway can do any does. ``Operation.carry`` says which is which.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Protocol, cast

import msgspec
from aiohttp import web
from msgspec import Raw

from gateway.access.principals import Principal
from gateway.contract.house import HouseCommand, HouseDone
from gateway.house.commands import chosen, command
from gateway.house.neighbours import Neighbour
from gateway.pipeline.asking.typed_text import CannotSay, Said
from gateway.web.api.operation import JSON, AnyCall, Carry, Operation
from gateway.web.entrance.problems import PROBLEM_TYPE, Problem, unavailable

NOBODY = "no gateway of the house is there"
NO_STORE = "each gateway keeps what it has heard to itself, and a hub hears nothing"
NO_STORE_REMEDY = "set house.store, here and at the gateways, or ask the gateway itself"
NOBODY_REMEDY = "start one, or look at the broker: /readyz says how it is"


class CarriesCommands(Protocol):
    """As far as they do what is asked here."""

    def at(self, device_id: str) -> Neighbour | None:
        """The one that has a device, or had it last; None: this one, or nobody knows."""

    def gateways(self) -> list[Neighbour]:
        """Those that are there and have devices."""

    async def carry(self, to: Neighbour, told: HouseCommand) -> HouseDone:
        """What it makes of a command, or a problem in its place."""


class _OfDevice(Protocol):
    """The path of an operation on one device."""

    device_id: str


class HouseApi:
    """``Others`` of the web server's parts."""

    def __init__(self, others: CarriesCommands, *, has_store: bool = False) -> None:
        """``has_store``: whether what all have heard lies in one place."""
        self._others = others
        self._has_store = has_store

    async def answered(self, operation: Operation, call: AnyCall) -> object:
        """What an operation answers, by whichever gateway. Raises as it does, and Problem."""
        is_here = call.parts.find_running() is not None
        match operation.carry:
            case Carry.TO_ITS_GATEWAY:
                there = self._others.at(cast("_OfDevice", call.path).device_id)
                if there is not None and (there.is_here or not is_here):
                    return await self._by(there, operation, call)
                return await (operation.run(call) if is_here else self._by_whoever_knows(operation, call))
            case Carry.TO_WHOEVER_KNOWS:
                return await self._by_whoever_knows(operation, call)
            case Carry.TO_ANYBODY | Carry.BY_THE_STORE if not is_here:
                if operation.carry is Carry.BY_THE_STORE and not self._has_store:
                    raise unavailable(NO_STORE, NO_STORE_REMEDY)
                return await self._by(self._anybody(call.principal), operation, call)
            case Carry.TO_ALL:
                return await self._by_all(operation, call)
        return await operation.run(call)

    async def say(self, text: str, principal: Principal) -> Said:
        """Somebody's words, put to whoever answers by one gateway, the same one each time. Raises SayError."""
        to = chosen(self._others.gateways(), principal)
        if to is None:
            raise CannotSay(NOBODY)
        told = command("say", principal, body=Raw(msgspec.json.encode({"text": text})))
        done = await self._others.carry(to, told)
        if done.status >= HTTPStatus.BAD_REQUEST:
            raise CannotSay(str(msgspec.json.decode(done.body, type=dict[str, Any]).get("detail", "")))
        return msgspec.json.decode(done.body, type=Said)

    async def _carried(self, to: Neighbour, operation: Operation, call: AnyCall) -> HouseDone:
        told = command(
            operation.name,
            call.principal,
            path=dict(call.request.match_info),
            query=dict(call.request.query),
            body=Raw(msgspec.json.encode(call.body)),
            correlation_id=call.correlation_id,
        )
        return await self._others.carry(to, told)

    async def _by(self, to: Neighbour, operation: Operation, call: AnyCall) -> web.Response:
        if not to.is_here:
            raise unavailable(f"the gateway {to.name} has it, and is not there: {to.gone}", "start it again")
        return _response(await self._carried(to, operation, call))

    async def _by_whoever_knows(self, operation: Operation, call: AnyCall) -> object:
        """Here, and else at each of the others in turn: who does not know it says so."""
        unknown: Problem | web.Response = unavailable(NOBODY, NOBODY_REMEDY)
        if call.parts.find_running() is not None:
            try:
                return await operation.run(call)
            except Problem as problem:
                if problem.status != HTTPStatus.NOT_FOUND:
                    raise
                unknown = problem
        for one in self._others.gateways():
            done = await self._carried(one, operation, call)
            if done.status != HTTPStatus.NOT_FOUND:
                return _response(done)
            unknown = _response(done)
        if isinstance(unknown, Problem):
            raise unknown
        return unknown

    def _anybody(self, principal: Principal) -> Neighbour:
        to = chosen(self._others.gateways(), principal)
        if to is None:
            raise unavailable(NOBODY, NOBODY_REMEDY)
        return to

    async def _by_all(self, operation: Operation, call: AnyCall) -> object:
        """The lists of all, one behind the other; of those that do not answer there is nothing in it."""
        carried = [self._carried(one, operation, call) for one in self._others.gateways()]
        is_here = call.parts.find_running() is not None
        own = [msgspec.to_builtins(await operation.run(call))] if is_here else []
        dones = await asyncio.gather(*carried)
        told = [msgspec.json.decode(done.body) for done in dones if done.status == HTTPStatus.OK]
        if own or told:
            return web.Response(body=msgspec.json.encode(_together([*own, *told])), content_type=JSON)
        if dones:
            return _response(dones[0])
        raise unavailable(NOBODY, NOBODY_REMEDY)


def _together(answers: list[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """Of a device that several know, what the one says where it is, or where it was last."""
    lists: dict[str, list[Any]] = {name: [] for name in answers[0]}
    for answer in answers:
        for name, values in answer.items():
            lists.setdefault(name, []).extend(values)
    if "devices" in lists:
        best: dict[str, Any] = {}
        for device in sorted(lists["devices"], key=lambda one: (one["state"] == "connected", one["since"])):
            best[device["device_id"]] = device
        lists["devices"] = [best[name] for name in sorted(best)]
    return lists


def _response(done: HouseDone) -> web.Response:
    if done.status == HTTPStatus.NO_CONTENT:
        return web.Response(status=done.status)
    kind = JSON if done.status < HTTPStatus.BAD_REQUEST else PROBLEM_TYPE
    return web.Response(body=bytes(done.body), status=done.status, content_type=kind)
