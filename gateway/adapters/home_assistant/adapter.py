"""Home Assistant's MQTT discovery: devices and gateway told to it over a broker, and what it has announced.

What is said is told from memory, and the broker keeps none of it: whoever comes anew (Home Assistant says so) is told
again. What the broker keeps is which devices there are, and how they are.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

import msgspec
import structlog
from msgspec import structs

from firmware_bridge.carriers.mqtt_address import MqttUnavailable
from firmware_bridge.carriers.mqtt_connection import LastWill, MqttConnection, MqttSession, stay_connected
from firmware_bridge.carriers.mqtt_publication import Publication
from firmware_bridge.pacing import Allowance, Backoff, Cooldown
from gateway.access.principals import LOCAL
from gateway.adapters.home_assistant.broker import WORDS, address_of
from gateway.adapters.home_assistant.discovery import DeviceFacts, Discovery
from gateway.adapters.home_assistant.house import OFFLINE, ShownHouse
from gateway.adapters.home_assistant.pace import TellingPace
from gateway.adapters.home_assistant.topics import GATEWAY, HomeTopics
from gateway.adapters.parts import AdapterParts
from gateway.contract.events import SnapshotEvent, Subscribe
from gateway.hub.hub import HubError, ListenerQueue
from gateway.observing.health import HealthState
from gateway.pipeline.asking.typed_text import MAX_CHARACTERS
from gateway.pipeline.telling.announcements import CannotAnnounce

log = structlog.get_logger(__name__)

VERSION = version("earshot-gateway")

NAME = "home_assistant"
WHO = "Home Assistant"
WANTED = Subscribe(kinds=("transcription", "status", "reply", "delivery", "device", "health"), levels=True)
"""No partials: to be asked for them costs recognizing."""
KEEP_SECONDS = 86_400.0
"""For so long an announcement is kept for a device that is away."""
ORDERS = 64
"""Announcements that wait to be taken; further ones are refused and counted."""
LEFT_SECONDS = 86_400.0
"""A device that an earlier gateway told of, and that has not come for so long, is taken away."""
MOST_LEFT = 10_000
"""Of those; whoever may write at the broker may have left more there."""
AGAIN_SECONDS = 5.0
"""When what the broker does not keep is told again to who has just learnt that there is such a device."""
HAPPENINGS_AT_ONCE, HAPPENINGS_PER_SECOND = 20, 5
"""Of each device; further ones are not told and counted."""
COMPLAINT_SECONDS = 60.0


def work(parts: AdapterParts) -> Callable[[], Awaitable[None]]:
    """What is to be done: tell, or, where that is switched off, take away what was told."""
    adapter = HomeAssistantAdapter(parts)
    return adapter.run if parts.config.adapters.home_assistant.enabled else adapter.take_away


class HomeAssistantAdapter:
    """From when it runs until it is cancelled."""

    def __init__(self, parts: AdapterParts) -> None:
        self._parts = parts
        self._settings = settings = parts.config.adapters.home_assistant
        self._topics = topics = HomeTopics(settings.prefix, settings.name)
        self._address = address_of(settings)
        origin = Discovery(topics, VERSION, parts.config.privacy.redact)
        self._house = ShownHouse(origin, self._facts, self._changed)
        self._pace = TellingPace(settings.seconds)
        self._told: dict[str, int] = {}
        """What was last told on each topic, as a hash: nothing is told twice."""
        self._left: dict[str, float] = {}
        """Whom an earlier gateway told of, and since when nobody has seen them."""
        self._news = asyncio.Event()
        self._recalls = asyncio.Event()
        """What was said is to be looked at anew: somebody has come who does not know it, or it was erased."""
        self._orders: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(ORDERS)
        self._happenings: dict[str, Allowance] = {}
        self._complaints = Cooldown(COMPLAINT_SECONDS, 16)
        self._connection: MqttConnection | None = None
        self.refused_orders = 0
        self.lost_happenings = 0

    async def run(self) -> None:
        """Tell, for ever."""
        await stay_connected(self._serve_once, self._lost)

    async def take_away(self) -> None:
        """Once the broker is there: take away whatever an earlier run has told of."""
        backoff = Backoff(1.0, 60.0)
        while True:
            try:
                async with self._connected() as connection:
                    for here in (*self._left, GATEWAY):
                        await self._take_away(connection, here)
                    await connection.ping()
            except MqttUnavailable as error:
                self._lost(error.reason, error.remedy)
                await asyncio.sleep(backoff.next())
            else:
                detail = f"switched off: Home Assistant was told to forget {_devices(len(self._left))}"
                self._parts.health.set(NAME, HealthState.HEALTHY, detail=detail)
                return

    # -- one connection

    @asynccontextmanager
    async def _connected(self, will: LastWill | None = None) -> AsyncIterator[MqttConnection]:
        """A connection, and whom an earlier run told of. Raises MqttUnavailable."""
        session = MqttSession(client_id=f"earshot-ha-{secrets.token_hex(4)}", will=will, wants_kept=True)
        connection = await MqttConnection.open(self._address, session, self._received, WORDS)
        try:
            await connection.subscribe(self._topics.configs)
            await connection.unsubscribe(self._topics.configs)
            yield connection
        finally:
            await connection.close()

    async def _serve_once(self) -> str:
        """One connection, from opening to its end; why it ended. Raises MqttUnavailable."""
        will = LastWill(self._topics.gateway_available, OFFLINE)
        async with self._connected(will) as connection:
            await connection.subscribe(*self._topics.births, self._topics.orders)
            self._told.clear()
            self._connection = connection
            self._parts.hub.on_forget.append(self._recalls.set)
            try:
                return await self._until_ended(connection)
            finally:
                self._parts.hub.on_forget.remove(self._recalls.set)
                self._connection = None
                connection.publish(will.topic, will.payload, retain=True)

    async def _until_ended(self, connection: MqttConnection) -> str:
        async with asyncio.TaskGroup() as tasks:
            doing = [
                tasks.create_task(one, name=f"home assistant, {name}")
                for name, one in {
                    "events": self._watch(),
                    "telling": self._tell(connection),
                    "orders": self._carry_out(),
                    "recalling": self._recall(),
                    "left": self._let_go(),
                }.items()
            ]
            reason = await connection.ended()
            for task in doing:
                task.cancel()
        return f"{self._address}: {reason}"

    def _lost(self, reason: str, remedy: str) -> None:
        self._parts.health.set(NAME, HealthState.DEGRADED, reason, remedy, works=False)

    # -- what the gateway's events tell

    async def _watch(self) -> None:
        """Until the gateway ends: all its events, begun anew where some were missed."""
        while True:
            try:
                with self._parts.hub.attach(WANTED, structs.replace(LOCAL, name=WHO)) as queue:
                    await self._follow(queue)
                    return
            except HubError as error:
                log.debug("events missed", reason=str(error))
                await asyncio.sleep(1.0)

    async def _follow(self, queue: ListenerQueue) -> None:
        async for item in queue:
            with self._parts.health.mishaps.contained("an event for Home Assistant"):
                if isinstance(item.event, SnapshotEvent):
                    self._house.begin(self._present(), item.event)
                elif happened := self._house.take(item.event):
                    self._happened(*happened)

    async def _recall(self) -> None:
        """Whenever it is to be: what was said is that which the gateway still shows."""
        while True:
            await self._recalls.wait()
            self._recalls.clear()
            with (
                suppress(HubError),
                self._parts.hub.attach(WANTED, structs.replace(LOCAL, name=WHO)) as queue,
            ):
                snapshot = (await anext(queue)).event
                if isinstance(snapshot, SnapshotEvent):
                    self._house.recall(snapshot)
            await asyncio.sleep(1.0)  # for who says it at every turn

    def _present(self) -> list[tuple[str, bool]]:
        return [(one.hello.device_id, one.gone is None) for one in self._parts.pipeline.roster.devices()]

    def _facts(self, device_id: str) -> DeviceFacts | None:
        pipeline = self._parts.pipeline
        presence = pipeline.roster.device(device_id)
        if presence is None:
            return None
        return DeviceFacts(
            device_id=device_id,
            name=pipeline.device_name(device_id),
            room=pipeline.room(device_id),
            firmware=presence.hello.firmware,
        )

    def _changed(self, here: str) -> None:
        self._pace.changed(here, asyncio.get_running_loop().time())
        self._news.set()

    def _happened(self, here: str, what: dict[str, object]) -> None:
        """At once, and never again: nobody is told of what happened while he was away."""
        now = asyncio.get_running_loop().time()
        allowance = self._happenings.get(here)
        if allowance is None:
            allowance = self._happenings[here] = Allowance(HAPPENINGS_AT_ONCE, HAPPENINGS_PER_SECOND, now)
        connection, told = self._connection, False
        if connection is not None and allowance.take(now):
            told = connection.publish(self._topics.event(here), msgspec.json.encode(what))
        self.lost_happenings += not told

    # -- what the broker is told

    async def _tell(self, connection: MqttConnection) -> None:
        loop = asyncio.get_running_loop()
        with suppress(MqttUnavailable):  # which the connection's end says as well
            while True:
                self._news.clear()
                for here in self._pace.due(loop.time()):
                    await self._tell_of(connection, here)
                self._show()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pace.rest(loop.time())):
                        await self._news.wait()

    async def _tell_of(self, connection: MqttConnection, here: str) -> None:
        if here != GATEWAY and here not in self._house:
            await self._take_away(connection, here)
            return
        self._left.pop(here, None)
        is_new = self._topics.config(here) not in self._told
        for topic, payload, kept in self._house.telling(here):
            if self._told.get(topic) != hash(payload):
                self._told[topic] = hash(payload)
                await self._put(connection, topic, payload, kept=kept)
        if is_new:
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._repeat, here)

    def _repeat(self, here: str) -> None:
        """Home Assistant listens by now: to the words, which the broker does not keep."""
        if self._told.pop(self._topics.words(here), None) is not None:
            self._changed(here)

    async def _take_away(self, connection: MqttConnection, here: str) -> None:
        self._pace.forget(here)
        self._happenings.pop(here, None)
        for topic, payload, kept in self._house.nothing(here):
            self._told.pop(topic, None)
            await self._put(connection, topic, payload, kept=kept)
        self._told.pop(self._topics.words(here), None)

    async def _put(
        self, connection: MqttConnection, topic: str, payload: bytes, *, kept: bool = True
    ) -> None:
        """Raises MqttUnavailable."""
        while not connection.publish(topic, payload, retain=kept):
            await connection.ping()  # when that is through, what stood before it is, too

    def _show(self) -> None:
        detail = f"{self._address}: {_devices(len(self._house))}"
        if self.refused_orders:
            detail += f"; announcements refused: {self.refused_orders}"
        if self.lost_happenings:
            detail += f"; events not told: {self.lost_happenings}"
        self._parts.health.set(NAME, HealthState.HEALTHY, detail=detail, quiet=True)

    async def _let_go(self) -> None:
        """Of devices that an earlier run told of: they are away, and some day gone."""
        loop = asyncio.get_running_loop()
        while True:
            for here, since in list(self._left.items()):
                if here in self._house:
                    del self._left[here]
                elif loop.time() - since > LEFT_SECONDS:
                    del self._left[here]
                    self._changed(here)
                elif self._told.get(self._topics.available(here)) != hash(OFFLINE) and self._connection:
                    self._told[self._topics.available(here)] = hash(OFFLINE)
                    with suppress(MqttUnavailable):
                        await self._put(self._connection, self._topics.available(here), OFFLINE)
            await asyncio.sleep(60.0)

    # -- what comes

    def _received(self, publication: Publication) -> None:
        topics, topic, payload = self._topics, publication.topic, publication.payload
        if topic in topics.births:
            if payload == b"online":
                self._told.clear()
                self._recalls.set()
        elif here := topics.configured(topic):
            is_left = publication.kept and payload and here != GATEWAY
            if is_left and len(self._left) < MOST_LEFT:
                self._left.setdefault(here, asyncio.get_running_loop().time())
        elif (here := topics.ordered(topic)) and not publication.kept:
            self._order(here, payload)

    def _order(self, here: str, payload: bytes) -> None:
        try:
            self._orders.put_nowait((here, payload))
        except asyncio.QueueFull:
            self._complain("so many wait already")

    async def _carry_out(self) -> None:
        while True:
            here, payload = await self._orders.get()
            with self._parts.health.mishaps.contained("an announcement of Home Assistant's"):
                await self._announce(here, payload)

    async def _announce(self, here: str, payload: bytes) -> None:
        device_id, text = self._house.device_id(here), text_of(payload)
        if not device_id or not text:
            self._complain("there is no such device" if text else "no text, or too long a one")
            return
        try:
            await self._parts.pipeline.announcements.announce(
                device_id, self._parts.pipeline.user(device_id), text, WHO, KEEP_SECONDS, owner=NAME
            )
        except CannotAnnounce as error:
            self._complain(str(error))

    def _complain(self, reason: str) -> None:
        self.refused_orders += 1
        self._news.set()
        if self._complaints.allows(reason, asyncio.get_running_loop().time()):
            log.warning("Home Assistant's announcement is refused", reason=reason, so_far=self.refused_orders)


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices"


def text_of(payload: bytes) -> str:
    """What is to be announced; empty: nothing that can be."""
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        return ""
    return text if len(text) <= MAX_CHARACTERS else ""
