"""What the broker is told of the house, over one connection after the other: nothing twice, and nobody too often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec

from firmware_bridge.carriers.mqtt_address import MqttUnavailable
from firmware_bridge.carriers.mqtt_connection import MqttConnection
from firmware_bridge.pacing import Allowance
from gateway.adapters.home_assistant.house import OFFLINE, ShownHouse
from gateway.adapters.home_assistant.pace import TellingPace
from gateway.adapters.home_assistant.topics import GATEWAY, HomeTopics

LEFT_SECONDS = 86_400.0
"""A device that an earlier gateway told of, and that has not come for so long, is taken away."""
MOST_LEFT = 10_000
"""Of those; whoever may write at the broker may have left more there."""
LOOK_SECONDS = 60.0
"""How often it is looked who has not come."""
AGAIN_SECONDS = 5.0
"""When what the broker does not keep is told again to who has just learnt that there is such a device."""
HAPPENINGS_AT_ONCE, HAPPENINGS_PER_SECOND = 20, 5
"""Of each device; further ones are not told and counted."""


class Telling:
    """Of one gateway. A connection is begun before anything is told over it, and ended after it."""

    def __init__(
        self, topics: HomeTopics, house: ShownHouse, seconds: float, on_told: Callable[[], None]
    ) -> None:
        """``seconds``: between two of the same device. ``on_told``: all that there was to tell is told."""
        self._topics = topics
        self._house = house
        self._pace = TellingPace(seconds)
        self._on_told = on_told
        self._news = asyncio.Event()
        self._told: dict[str, int] = {}
        """What was last told on each topic, as a hash."""
        self._happenings: dict[str, Allowance] = {}
        self._connection: MqttConnection | None = None
        self.left: dict[str, float] = {}
        """Whom an earlier gateway told of, and since when nobody has seen them."""
        self.lost_happenings = 0

    # -- what there is to tell

    def begin(self, connection: MqttConnection) -> None:
        """Over this from now on: whoever is there knows nothing yet."""
        self.tell_anew()
        self._connection = connection

    def end(self) -> None:
        """The connection is over."""
        self._connection = None

    def tell_anew(self) -> None:
        """Somebody has come who knows nothing of what was told."""
        self._told.clear()

    def changed(self, here: str) -> None:
        """There is something to tell of somebody."""
        self._pace.changed(here, _now())
        self.notify()

    def notify(self) -> None:
        """There is something new, if of nobody there."""
        self._news.set()

    def happened(self, here: str, what: dict[str, object]) -> None:
        """At once, and never again: nobody is told of what happened while he was away."""
        now = _now()
        allowance = self._happenings.get(here)
        if allowance is None:
            allowance = self._happenings[here] = Allowance(HAPPENINGS_AT_ONCE, HAPPENINGS_PER_SECOND, now)
        told = False
        if self._connection is not None and allowance.take(now):
            told = self._connection.publish(self._topics.event(here), msgspec.json.encode(what))
        self.lost_happenings += not told

    def found(self, here: str) -> None:
        """The broker keeps what an earlier gateway told of somebody."""
        if len(self.left) < MOST_LEFT:
            self.left.setdefault(here, _now())

    # -- telling it

    async def run(self, connection: MqttConnection) -> None:
        """Until it is cancelled, or the connection has ended."""
        with suppress(MqttUnavailable):  # which the connection's end says as well
            while True:
                self._news.clear()
                for here in self._pace.due(_now()):
                    await self._tell_of(connection, here)
                self._on_told()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pace.rest(_now())):
                        await self._news.wait()

    async def let_go(self, connection: MqttConnection) -> None:
        """Of devices that an earlier run told of: they are away, and some day gone."""
        while True:
            for here, since in list(self.left.items()):
                if here in self._house:
                    del self.left[here]
                elif _now() - since > LEFT_SECONDS:
                    del self.left[here]
                    self.changed(here)
                else:
                    with suppress(MqttUnavailable):
                        await self._put(connection, self._topics.available(here), OFFLINE)
            await asyncio.sleep(LOOK_SECONDS)

    async def take_away(self, connection: MqttConnection, here: str) -> None:
        """All that is known there of somebody. Raises MqttUnavailable."""
        self._pace.forget(here)
        self._happenings.pop(here, None)
        for topic, payload, kept in self._house.nothing(here):
            self._told.pop(topic, None)
            await _publish(connection, topic, payload, kept=kept)
        self._told.pop(self._topics.words(here), None)

    async def _tell_of(self, connection: MqttConnection, here: str) -> None:
        if here != GATEWAY and here not in self._house:
            await self.take_away(connection, here)
            return
        self.left.pop(here, None)
        is_new = self._topics.config(here) not in self._told
        for topic, payload, kept in self._house.telling(here):
            await self._put(connection, topic, payload, kept=kept)
        if is_new:
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._repeat, here)

    def _repeat(self, here: str) -> None:
        """Home Assistant listens by now: to the words, which the broker does not keep."""
        if self._told.pop(self._topics.words(here), None) is not None:
            self.changed(here)

    async def _put(
        self, connection: MqttConnection, topic: str, payload: bytes, *, kept: bool = True
    ) -> None:
        """Unless that is what was last told there. Raises MqttUnavailable."""
        if self._told.get(topic) != hash(payload):
            self._told[topic] = hash(payload)
            await _publish(connection, topic, payload, kept=kept)


async def _publish(connection: MqttConnection, topic: str, payload: bytes, *, kept: bool) -> None:
    """Raises MqttUnavailable."""
    while not connection.publish(topic, payload, retain=kept):
        await connection.ping()  # when that is through, what stood before it is, too


def _now() -> float:
    return asyncio.get_running_loop().time()
