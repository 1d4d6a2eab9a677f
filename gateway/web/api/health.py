"""How the gateway and its machine are, for programs that watch them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from gateway.access.principals import Right
from gateway.observing.health import ComponentHealth, HealthState, seen_by
from gateway.observing.machine.sampler import MachineSample
from gateway.observing.machine.series import Course
from gateway.process.open_files import limit
from gateway.web.api.operation import Call, Operation
from gateway.web.metrics.advice import Advice, Findings, advice

if TYPE_CHECKING:
    from gateway.planning.costs import ModelCost

_BEGAN = time.monotonic()


def _version() -> str:
    try:
        return version("earshot-gateway")
    except PackageNotFoundError:
        return ""


_VERSION = _version()  # once: it is looked for on the disk, where a newer one may lie by then


class GatewayHealth(Struct, frozen=True, kw_only=True):
    """As well as the worst of its components. ``epoch`` names this run: events are numbered within it.

    Since its start, ``mishaps``: pieces of work that a mistake in the gateway ended, by what was being done;
    ``losses``: what was given up because too much of it waited, by what it was; ``content``: texts by what the content
    filter made of them (``flagged``, ``changed``, ``dropped``), and how often the user's own function ``failed``;
    ``recognizers``: what became of what recognizers on other machines were asked for, by its name.
    """

    state: HealthState
    components: dict[str, ComponentHealth]
    version: str
    epoch: str
    uptime_seconds: float
    mishaps: dict[str, int]
    losses: dict[str, int]
    content: dict[str, int]
    recognizers: dict[str, int]


def running_version() -> str:
    """Of the gateway that runs; empty when it was never installed."""
    return _VERSION


def _losses(call: Call[None, None, None]) -> dict[str, int]:
    running = call.parts.find_running()
    if running is None:
        return {}
    stats = running.pipeline.stats()
    return {"answers": stats.dropped_answers, "messages": stats.lost_messages}


def _content(call: Call[None, None, None]) -> dict[str, int]:
    running = call.parts.find_running()
    return {} if running is None else dict(running.pipeline.content.counts)


def _recognizers(call: Call[None, None, None]) -> dict[str, int]:
    running = call.parts.find_running()
    return {} if running is None else dict(running.recognizer.counts)


async def show_health(call: Call[None, None, None]) -> GatewayHealth:
    """How everything is right now; also while the gateway starts."""
    report = seen_by(call.principal, call.parts.health.report())
    return GatewayHealth(
        state=report.state,
        components=report.components,
        version=running_version(),
        epoch=call.parts.hub.epoch,
        uptime_seconds=time.monotonic() - _BEGAN,
        mishaps=dict(call.parts.health.mishaps.counts),
        losses=_losses(call),
        content=_content(call),
        recognizers=_recognizers(call),
    )


class OverWhat(Struct, frozen=True, kw_only=True):
    """``span``: a quarter of an hour in steps of seconds, or half a day in steps of minutes."""

    span: Literal["minutes", "hours"] = "minutes"


class Machine(Struct, frozen=True, kw_only=True):
    """``now``: the newest look, none just after a start. ``course``: what became of the figures, oldest first.

    ``at_work``: how much of everything there is. ``advice``: what is short, and what to do; empty: nothing is.
    """

    now: MachineSample | None
    course: Course
    at_work: dict[str, float]
    advice: list[Advice]


@cache
def _costs() -> Mapping[str, ModelCost]:
    """Of the models that were measured; from the disk."""
    from gateway.planning.costs import measured  # noqa: PLC0415 - when somebody looks

    return measured().models


async def show_machine(call: Call[None, OverWhat, None]) -> Machine:
    """Also while the gateway starts; a hub has none of it."""
    parts, running = call.parts, call.parts.find_running()
    sampler = parts.machine
    if sampler is None:
        empty = Course(step_seconds=0.0, ends=[], figures={})
        return Machine(now=None, course=empty, at_work={}, advice=[])
    told: list[Advice] = []
    if sampler.latest is not None and running is not None:
        waits = parts.hub.waits
        told = advice(
            Findings(
                sample=sampler.latest,
                model=running.model,
                recognizing=list(waits.recognizing),
                replies=waits.replies,
                costs=await asyncio.to_thread(_costs),
                most_files=limit(),
            )
        )
    at_work = {} if running is None else {name: float(value) for name, value in running.at_work().items()}
    return Machine(now=sampler.latest, course=sampler.course(call.query.span), at_work=at_work, advice=told)


OPERATIONS = (
    Operation(
        name="showHealth", method="GET", path="/health", right=Right.LISTEN, run=show_health,
        summary="How the gateway is, and what to do about it", answer=GatewayHealth,
    ),
    Operation(
        name="showMachine", method="GET", path="/machine", right=Right.MEASURE, run=show_machine,
        summary="What the machine and the gateway use, over time, and what to do about it", query=OverWhat,
        answer=Machine,
    ),
)  # fmt: skip
