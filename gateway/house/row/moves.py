"""Devices that come from another gateway of the house, or go to one, and their answers, which go after them.

A HELLO of a boot that is new here waits at the door until every gateway that is there has said what it knows of it, but
never longer than ``DOOR_SECONDS``. Of two gateways that both have a device, that one keeps it to which it said HELLO
last, by its own clock.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from firmware_bridge.link.frames import Hello
from firmware_bridge.link.window import distance
from firmware_bridge.pacing import Allowance
from gateway.broker.base import BrokerError, MessageBroker, RoutingKey, Subscription
from gateway.contract.messages import BadMessage, new_id
from gateway.house.neighbours import MOST_NEIGHBOURS, Neighbour
from gateway.house.row.left_speech import LeftSpeech
from gateway.house.row.wire import (
    HANDED_TOPIC,
    MOST_SOUGHT,
    MOVES_TOPIC,
    MSGPACK,
    AnswerFollows,
    AnswerTaken,
    DeviceGiven,
    DeviceHere,
    DeviceSought,
    SpeechFound,
    SpeechSought,
    Told,
    decode,
    encode,
)
from gateway.pipeline.moving import Luggage, Moving
from gateway.process.mishaps import Mishaps

log = structlog.get_logger(__name__)

DOOR_SECONDS = 0.5
"""No device waits longer for what others know of it."""
FOLLOW_SECONDS = 0.1
"""How often it is looked for answers to devices that have gone."""
AGAIN_SECONDS = 2.0
"""An answer that was not taken by then is told again."""
LONGEST_SEEK_SECONDS = 300.0
"""A device that nobody has is asked for ever less often; whoever gets it tells."""
MOST_GONE = 4_096
"""Devices that have gone whose gateway is remembered."""
A_MOVE = "a device's move"
"""The kind of work, as mishaps are counted."""


class Links(Protocol):
    """What moves want of those who keep the lines to devices (`firmware_bridge/bridge.py`)."""

    def open_the_door(self, device_id: str, speaks_at: str = "") -> None:
        """What is known elsewhere of a device that waits is here."""

    def let_go(self, device_id: str, moved_to: str) -> bool:
        """It is at another gateway."""

    def speaks(self, device_id: str, boot: int) -> bool:
        """Whether a device of that id and another boot is heard just now."""

    def greeted_at(self, device_id: str, boot: int) -> int | None:
        """When it said HELLO here last."""

    def greeted(self) -> list[tuple[str, int, int]]:
        """The devices that are here: their boots, and when they said HELLO."""


@dataclass(slots=True)
class _Coming:
    """A device at the door. ``awaited``: the gateways that have not said what they know of it."""

    boot: int
    ask: str
    awaited: set[str]
    all_told: asyncio.Event = field(default_factory=asyncio.Event)
    speaks_at: str = ""


@dataclass(slots=True)
class _Gone:
    """A device that has gone. ``told``: when each of its answers was told to that gateway last."""

    gateway: str
    told: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Seeking:
    """A device that is owed something and not to be found: when it is asked for next, and how long after that."""

    at: float = 0.0
    pause: float = AGAIN_SECONDS


class DeviceMoves:
    """Both ends of every move of a gateway; the door of its links."""

    def __init__(
        self, broker: MessageBroker, gateway: str, others: Callable[[], set[str]], mishaps: Mishaps
    ) -> None:
        """``gateway``: what this one is called. ``others``: the names of those that are there."""
        self.moved_in = 0
        self.moved_out = 0
        """Since the start."""
        self._broker = broker
        self._gateway = gateway
        self._others = others
        self._mishaps = mishaps
        self._coming: dict[str, _Coming] = {}
        self._gone: OrderedDict[str, _Gone] = OrderedDict()
        self._sought: dict[str, _Seeking] = {}
        self._told_where: OrderedDict[str, None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._logged = Allowance(10, 1 / 60, time.monotonic())
        self.left_speech = LeftSpeech(gateway, others, self._tell_all)
        """What others may have heard since this one died."""

    def connect(self, links: Links, moving: Moving) -> None:
        """To be called before any device is heard."""
        self._links, self._moving = links, moving

    async def run(self) -> None:
        """Until the broker is closed."""
        handed = self._broker.subscribe(HANDED_TOPIC, f"device.{self._gateway}")
        async with self._broker.subscribe(MOVES_TOPIC) as moves, handed, asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._follow(), name="answers after devices")
            hearing = tasks.create_task(self._hear(handed), name="handed over")
            await self._hear(moves)
            following.cancel()
            hearing.cancel()

    def heard_of(self, neighbour: Neighbour) -> None:
        """One that has just begun does not know where the devices are that it may owe an answer."""
        instance = neighbour.facts.instance
        if not neighbour.is_here or instance in self._told_where:
            return
        self._told_where[instance] = None
        if len(self._told_where) > MOST_NEIGHBOURS:
            self._told_where.popitem(last=False)
        self._tell_where(neighbour.name, {device_id for device_id, _, _ in self._links.greeted()})

    def _tell_where(self, gateway: str, devices: set[str]) -> None:
        """Which of these are here."""
        for device_id, boot, greeted_at in self._links.greeted():
            if device_id in devices:
                here = DeviceHere(
                    gateway=self._gateway, device_id=device_id, boot=boot, greeted_at=greeted_at
                )
                self._spawn(self._tell(gateway, here))

    # -- the door (firmware_bridge.link.admission.OtherGateways)

    def holds(self, hello: Hello) -> bool:
        """Whether it is to wait for what others know."""
        coming = self._coming.get(hello.device_id)
        if coming is not None and coming.boot == hello.boot:
            return True
        others = self._others()
        coming = _Coming(hello.boot, new_id("ask"), others)
        if others:
            self._coming[hello.device_id] = coming
        self._gone.pop(hello.device_id, None)
        self._spawn(self._ask(hello, coming))
        return bool(others)

    async def _ask(self, hello: Hello, coming: _Coming) -> None:
        device_id, waits = hello.device_id, bool(coming.awaited)
        try:
            async with asyncio.timeout(DOOR_SECONDS):
                await self._tell_all(
                    DeviceHere(
                        gateway=self._gateway,
                        device_id=device_id,
                        boot=hello.boot,
                        greeted_at=hello.header.timestamp,
                        ask=coming.ask,
                    )
                )
                if waits:
                    await coming.all_told.wait()
        except (TimeoutError, BrokerError) as error:
            silent = ", ".join(sorted(coming.awaited))
            log.info("a device does not wait for what others know of it", device_id=device_id, silent=silent,
                     reason=str(error))  # fmt: skip
        finally:
            if waits and self._coming.get(device_id) is coming:
                del self._coming[device_id]
                self._links.open_the_door(device_id, coming.speaks_at)

    # -- what others tell

    async def _hear(self, subscription: Subscription) -> None:
        async for delivery in subscription:
            try:
                told = decode(delivery.message.payload)
            except BadMessage as error:
                if self._logged.take(time.monotonic()):
                    log.warning("what a gateway tells of a device cannot be read", reason=str(error))
            else:
                if told.gateway != self._gateway:
                    with (
                        self._mishaps.contained(A_MOVE),
                        suppress(BrokerError),
                    ):  # it is told, or asked, again
                        await self._take(told)
            with suppress(BrokerError):  # it comes again, and says the same
                await delivery.ack()

    async def _take(self, told: Told) -> None:
        match told:
            case DeviceHere():
                self._spawn(self._hand_over(told))
            case DeviceGiven():
                self._take_up(told)
            case DeviceSought(gateway=gateway, device_ids=device_ids):
                self._tell_where(gateway, set(device_ids))
            case AnswerFollows(gateway=gateway, row=row):
                if await self._moving.take_answer(row):
                    await self._tell(
                        gateway, AnswerTaken(gateway=self._gateway, correlation_id=row.correlation_id)
                    )
            case AnswerTaken(correlation_id=correlation_id):
                self._moving.handed_on(correlation_id)
            case SpeechSought(gateway=gateway):
                self._spawn(self._tell_found(gateway, told))
            case SpeechFound():
                self.left_speech.found(told)

    async def _tell_found(self, gateway: str, sought: SpeechSought) -> None:
        await self._tell(gateway, await self.left_speech.answer(sought, self._moving.has))

    def _take_up(self, given: DeviceGiven) -> None:
        coming = self._coming.get(given.device_id)
        if coming is None or coming.ask != given.ask or given.gateway not in coming.awaited:
            return
        coming.awaited.discard(given.gateway)
        if given.speaks:
            coming.speaks_at = given.gateway
        if given.streams or given.turns:
            self.moved_in += 1
            mine = [
                row for row in given.streams if (row.device_id, row.boot) == (given.device_id, coming.boot)
            ]
            said = [row for row in given.turns if row.device_id == given.device_id]
            self._moving.take_up(Luggage(tuple(mine), tuple(said)))
        if not coming.awaited:
            coming.all_told.set()

    # -- a device has gone

    async def _hand_over(self, here: DeviceHere) -> None:
        device_id, boot = here.device_id, here.boot
        greeted_at = self._links.greeted_at(device_id, boot)
        if greeted_at is not None and distance(greeted_at, here.greeted_at) < 0:
            return  # it was there before it came here
        speaks = self._links.speaks(device_id, boot)
        luggage = Luggage()
        if not speaks:
            if self._links.let_go(device_id, here.gateway):
                self.moved_out += 1
                log.info("a device has gone to another gateway", device_id=device_id, gateway=here.gateway)
            luggage = await self._moving.hand_over(device_id, boot)
            self._remember(device_id, here.gateway)
        if here.ask:
            given = DeviceGiven(
                gateway=self._gateway,
                device_id=device_id,
                ask=here.ask,
                speaks=speaks,
                streams=luggage.streams,
                turns=luggage.turns,
            )
            with suppress(BrokerError):  # it waits no longer than it can
                await self._tell(here.gateway, given)

    def _remember(self, device_id: str, gateway: str) -> None:
        self._gone[device_id] = _Gone(gateway)
        self._gone.move_to_end(device_id)
        if len(self._gone) > MOST_GONE:
            self._gone.popitem(last=False)

    async def _follow(self) -> None:
        """Answers that come here for devices that are elsewhere."""
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            with self._mishaps.contained(A_MOVE), suppress(BrokerError):
                await self._seek()
            for device_id, gone in list(self._gone.items()):
                with self._mishaps.contained(A_MOVE, device_id=device_id), suppress(BrokerError):
                    await self._follow_device(device_id, gone)

    async def _seek(self) -> None:
        """Whoever has begun since it heard a device knows of no move, nor who missed what it was told of one."""
        if not self._others():
            return
        here = {device_id for device_id, _, _ in self._links.greeted()}
        lost = self._moving.owed_devices() - here - self._gone.keys()
        self._sought = {device_id: self._sought.get(device_id, _Seeking()) for device_id in lost}
        now = time.monotonic()
        due = [device_id for device_id, seeking in self._sought.items() if seeking.at <= now][:MOST_SOUGHT]
        if not due:
            return
        await self._tell_all(DeviceSought(gateway=self._gateway, device_ids=tuple(due)))
        for device_id in due:
            seeking = self._sought[device_id]
            seeking.at, seeking.pause = now + seeking.pause, min(2 * seeking.pause, LONGEST_SEEK_SECONDS)

    async def _follow_device(self, device_id: str, gone: _Gone) -> None:
        owed = self._moving.owed(device_id)
        now = time.monotonic()
        for row in owed:
            if now - gone.told.get(row.correlation_id, -AGAIN_SECONDS) >= AGAIN_SECONDS:
                gone.told[row.correlation_id] = now
                await self._tell(gone.gateway, AnswerFollows(gateway=self._gateway, row=row))
        if len(gone.told) > len(owed):
            gone.told = {row.correlation_id: gone.told.get(row.correlation_id, now) for row in owed}

    # -- inside

    async def _tell_all(self, told: Told) -> None:
        key = RoutingKey("house", self._gateway, "moves")
        await self._broker.publish(MOVES_TOPIC, key, encode(told), content_type=MSGPACK)

    async def _tell(self, gateway: str, told: Told) -> None:
        key = RoutingKey("house", gateway, self._gateway)
        await self._broker.publish(HANDED_TOPIC, key, encode(told), content_type=MSGPACK)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.create_task(self._contained(work), name=A_MOVE)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _contained(self, work: Awaitable[None]) -> None:
        with self._mishaps.contained(A_MOVE), suppress(BrokerError):
            await work
