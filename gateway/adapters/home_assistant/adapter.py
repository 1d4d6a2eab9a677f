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

import structlog
from msgspec import structs

from firmware_bridge.carriers.mqtt_address import MqttUnavailable
from firmware_bridge.carriers.mqtt_connection import LastWill, MqttConnection, MqttSession, stay_connected
from firmware_bridge.carriers.mqtt_publication import Publication
from firmware_bridge.pacing import Backoff
from gateway.access.principals import LOCAL
from gateway.adapters.home_assistant.broker import WORDS, address_of
from gateway.adapters.home_assistant.discovery import DeviceFacts, Discovery
from gateway.adapters.home_assistant.house import OFFLINE, ShownHouse
from gateway.adapters.home_assistant.orders import OWNER, WHO, Orders
from gateway.adapters.home_assistant.telling import Telling
from gateway.adapters.home_assistant.topics import GATEWAY, HomeTopics
from gateway.adapters.parts import AdapterParts
from gateway.contract.events import CursorEvent, ErasureEvent, SnapshotEvent, Subscribe
from gateway.hub.hub import HubError, ListenerQueue
from gateway.observing.health import HealthState

log = structlog.get_logger(__name__)

VERSION = version("earshot-gateway")
NAME = OWNER
WANTED = Subscribe(kinds=("transcription", "status", "reply", "delivery", "device", "health"), levels=True)
"""No partials: to be asked for them costs recognizing."""


def work(parts: AdapterParts) -> Callable[[], Awaitable[None]]:
    """What is to be done: tell, or, where that is switched off, take away what was told."""
    adapter = HomeAssistantAdapter(parts)
    return adapter.run if parts.config.adapters.home_assistant.enabled else adapter.take_away


class HomeAssistantAdapter:
    """From when it runs until it is cancelled."""

    def __init__(self, parts: AdapterParts) -> None:
        self._parts = parts
        settings = parts.config.adapters.home_assistant
        self._topics = topics = HomeTopics(settings.prefix, settings.name)
        self._address = address_of(settings)
        origin = Discovery(topics, VERSION, parts.config.privacy.redact)
        self._house = ShownHouse(origin, self._facts, self._changed)
        self._telling = Telling(topics, self._house, settings.seconds, self._show)
        self._orders = Orders(parts, self._house.device_id, self._telling.notify)
        self._recalls = asyncio.Event()
        """What was said is to be looked at anew: somebody has come who does not know it, or it was erased."""

    async def run(self) -> None:
        """Tell, for ever."""
        await stay_connected(self._serve_once, self._lost)

    async def take_away(self) -> None:
        """Once the broker is there: take away whatever an earlier run has told of."""
        backoff = Backoff(1.0, 60.0)
        while True:
            try:
                async with self._connected() as connection:
                    for here in (*self._telling.left, GATEWAY):
                        await self._telling.take_away(connection, here)
                    await connection.ping()
            except MqttUnavailable as error:
                self._lost(error.reason, error.remedy)
                await asyncio.sleep(backoff.next())
            else:
                forgotten = _devices(len(self._telling.left))
                detail = f"switched off: Home Assistant was told to forget {forgotten}"
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
            self._telling.begin(connection)
            self._parts.hub.on_forget.append(self._recalls.set)
            try:
                return await self._until_ended(connection)
            finally:
                self._parts.hub.on_forget.remove(self._recalls.set)
                self._telling.end()
                connection.publish(will.topic, will.payload, retain=True)

    async def _until_ended(self, connection: MqttConnection) -> str:
        async with asyncio.TaskGroup() as tasks:
            doing = [
                tasks.create_task(one, name=f"home assistant, {name}")
                for name, one in {
                    "events": self._watch(),
                    "telling": self._telling.run(connection),
                    "orders": self._orders.run(),
                    "recalling": self._recall(),
                    "left": self._telling.let_go(connection),
                }.items()
            ]
            reason = await connection.ended()
            for task in doing:
                task.cancel()
        return f"{self._address}: {reason}"

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
            event = item.event
            with self._parts.health.mishaps.contained("an event for Home Assistant"):
                if isinstance(event, SnapshotEvent):
                    self._house.begin(self._present(), self._own(event))
                elif event.epoch != self._parts.hub.epoch or isinstance(event, CursorEvent | ErasureEvent):
                    pass  # another gateway of the house tells Home Assistant of its own devices
                elif happened := self._house.take(event):
                    self._telling.happened(*happened)

    def _own(self, snapshot: SnapshotEvent) -> SnapshotEvent:
        """What is of this gateway."""
        epoch = self._parts.hub.epoch
        return structs.replace(
            snapshot,
            devices=tuple(one for one in snapshot.devices if one.epoch == epoch),
            sessions=tuple(one for one in snapshot.sessions if one.epoch == epoch),
            conversation=tuple(one for one in snapshot.conversation if one.epoch == epoch),
            health=tuple(one for one in snapshot.health if one.epoch == epoch),
        )

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
                    self._house.recall(self._own(snapshot))
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
        self._telling.changed(here)

    # -- what comes

    def _received(self, publication: Publication) -> None:
        topics, topic, payload = self._topics, publication.topic, publication.payload
        if topic in topics.births:
            if payload == b"online":
                self._telling.tell_anew()
                self._recalls.set()
        elif here := topics.configured(topic):
            if publication.kept and payload and here != GATEWAY:
                self._telling.found(here)
        elif (here := topics.ordered(topic)) and not publication.kept:
            self._orders.take(here, payload)

    # -- what health shows

    def _lost(self, reason: str, remedy: str) -> None:
        self._parts.health.set(NAME, HealthState.DEGRADED, reason, remedy, works=False)

    def _show(self) -> None:
        detail = f"{self._address}: {_devices(len(self._house))}"
        if self._orders.refused:
            detail += f"; announcements refused: {self._orders.refused}"
        if self._telling.lost_happenings:
            detail += f"; events not told: {self._telling.lost_happenings}"
        self._parts.health.set(NAME, HealthState.HEALTHY, detail=detail, quiet=True)


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices"
