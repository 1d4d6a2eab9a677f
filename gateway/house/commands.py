"""What somebody asks of the API at one hub, carried to the gateway that can do it; and what others ask of this one.

A command is done once, however often it comes, and not at all when nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeAlias

import msgspec
import structlog
from msgspec import structs

from gateway.access.principals import Principal
from gateway.broker.base import BrokerClosed, BrokerError, BufferPolicy, MessageBroker, RoutingKey
from gateway.contract.house import (
    COMMANDS_TOPIC,
    DONE_TOPIC,
    HouseCommand,
    HouseDone,
    WhoAsks,
    decode_command,
    decode_done,
)
from gateway.contract.messages import BadMessage, encode, new_id
from gateway.house.neighbours import Neighbour

log = structlog.get_logger(__name__)

CARRY_SECONDS = 5.0
"""So long somebody who asks waits for another gateway."""
LATE_SECONDS = 15.0
"""A command that is older is not done: whoever asked has given it up. Clocks may differ by what is between the two."""
MOST_AT_ONCE = 64
REMEMBERED = 1_000
ANSWER_BYTES = 512 * 1024
BUSY: Final = 503

Do: TypeAlias = Callable[[HouseCommand], Awaitable[HouseDone]]


class HouseCommands:
    """Both ends, of one gateway or hub. ``do`` does what others ask; None: it has nothing to do it with."""

    def __init__(self, name: str, instance: str) -> None:
        self.do: Do | None = None
        self.counts: Counter[str] = Counter()
        self._name = name
        self._instance = instance
        self._broker: MessageBroker | None = None
        self._waiting: dict[str, tuple[str, asyncio.Future[HouseDone]]] = {}
        self._doing: set[asyncio.Task[None]] = set()
        self._busy = 0
        self._known: OrderedDict[str, None] = OrderedDict()

    async def run(self, broker: MessageBroker) -> None:
        """Until the broker is closed."""
        self._broker = broker
        try:
            async with asyncio.TaskGroup() as tasks:
                doing = tasks.create_task(self._hear_commands(broker, tasks), name="commands of other hubs")
                await self._hear_done(broker)
                doing.cancel()
                for task in self._doing:
                    task.cancel()
        except* BrokerClosed:
            pass  # before it was ever there
        finally:
            self._broker = None

    async def carry(self, to: Neighbour, command: HouseCommand) -> HouseDone:
        """What the other gateway makes of it, or a problem in its place."""
        if self._broker is None:
            return problem("the broker is away", "try again soon")
        command = structs.replace(
            command, ask=new_id("c"), gateway=self._name, to=to.facts.instance, timestamp=time.time()
        )
        done: asyncio.Future[HouseDone] = asyncio.get_running_loop().create_future()
        self._waiting[command.ask] = (to.name, done)
        self.counts["carried"] += 1
        try:
            async with asyncio.timeout(CARRY_SECONDS):
                key = RoutingKey("house", to.name, self._name)
                await self._broker.publish(COMMANDS_TOPIC, key, encode(command), message_id=command.ask)
                return await done
        except (BrokerError, TimeoutError) as error:
            self.counts["unanswered"] += 1
            why = f"the gateway {to.name} does not answer" if isinstance(error, TimeoutError) else str(error)
            return problem(why, "try again soon; /readyz says how the broker is")
        finally:
            del self._waiting[command.ask]

    async def _hear_done(self, broker: MessageBroker) -> None:
        async with broker.subscribe(
            DONE_TOPIC, f"device.{self._name}", policy=BufferPolicy.DROP_OLDEST
        ) as told:
            async for delivery in told:
                try:
                    self._done(decode_done(delivery.message.payload))
                except BadMessage as error:
                    self.counts["unreadable"] += 1
                    log.warning("what another gateway has done cannot be read", reason=str(error))
                with suppress(BrokerError):
                    await delivery.ack()

    def _done(self, done: HouseDone) -> None:
        whose, waiting = self._waiting.get(done.ask, ("", None))
        if waiting is None or waiting.done() or whose != done.gateway:
            self.counts["unasked"] += 1
        else:
            waiting.set_result(done)

    async def _hear_commands(self, broker: MessageBroker, tasks: asyncio.TaskGroup) -> None:
        async with broker.subscribe(
            COMMANDS_TOPIC, f"device.{self._name}", policy=BufferPolicy.DROP_OLDEST
        ) as commands:
            async for delivery in commands:
                with suppress(BrokerError):
                    await delivery.ack()
                try:
                    command = decode_command(delivery.message.payload)
                except BadMessage as error:
                    self.counts["unreadable"] += 1
                    log.warning("a command of another hub cannot be read", reason=str(error))
                    continue
                if command.to == self._instance and self._is_new(command):
                    task = tasks.create_task(self._answer(broker, command), name=f"command {command.ask}")
                    self._doing.add(task)
                    task.add_done_callback(self._doing.discard)

    def _is_new(self, command: HouseCommand) -> bool:
        if command.ask in self._known:
            self.counts["twice"] += 1
            return False
        self._known[command.ask] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return True

    async def _answer(self, broker: MessageBroker, command: HouseCommand) -> None:
        done = await self._made_of(command)
        key = RoutingKey("house", command.gateway, self._name)
        done = structs.replace(done, ask=command.ask, gateway=self._name)
        with suppress(BrokerError):
            await broker.publish(DONE_TOPIC, key, encode(done))

    async def _made_of(self, command: HouseCommand) -> HouseDone:
        late = abs(time.time() - command.timestamp)
        if self.do is None:
            return problem("this is a hub: it has no devices", "ask a gateway")
        if late > LATE_SECONDS:
            self.counts["late"] += 1
            return problem(
                f"by the gateway's clock it was asked {late:.0f} s ago",
                "set the clocks of the machines (NTP)",
            )
        if self._busy >= MOST_AT_ONCE:
            self.counts["refused"] += 1
            return problem("the gateway has too much to do for others", "try again soon")
        self.counts["done"] += 1
        self._busy += 1
        try:
            done = await self.do(command)
        finally:
            self._busy -= 1
        if len(memoryview(done.body)) > ANSWER_BYTES:
            return problem("the answer is too long to be carried", "ask the gateway itself")
        return done


def chosen(gateways: list[Neighbour], principal: Principal) -> Neighbour | None:
    """Who does what any gateway can do: the same one each time, so that what somebody says goes on where it began."""
    return max(gateways, key=lambda one: zlib.crc32(f"{one.name} {principal.owner}".encode()), default=None)


def asker_of(principal: Principal) -> WhoAsks:
    """Somebody who was let in here, as other gateways are told."""
    return WhoAsks(
        name=principal.name,
        role=principal.role.value,
        users=tuple(sorted(principal.users)),
        devices=tuple(sorted(principal.devices)),
        token_id=principal.token_id,
    )


def command(operation: str, principal: Principal, **request: object) -> HouseCommand:
    """To be carried; ``request``: its path, query, body and correlation id."""
    return HouseCommand(
        ask="",
        gateway="",
        to="",
        operation=operation,
        asker=asker_of(principal),
        **request,  # type: ignore[arg-type]
    )


def problem(detail: str, remedy: str) -> HouseDone:
    """In place of an answer: not now."""
    told = {"title": "Service Unavailable", "status": BUSY, "detail": detail, "remedy": remedy}
    return HouseDone(ask="", gateway="", status=BUSY, body=msgspec.Raw(msgspec.json.encode(told)))
