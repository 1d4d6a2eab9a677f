"""Where Home Assistant would sit: a client of the same broker that sees all, and what the broker keeps."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from firmware_bridge.carriers.mqtt_address import BrokerAddress
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession
from firmware_bridge.carriers.mqtt_publication import Publication
from tests.record import Record


class Seat:
    """``latest``: what was last said on each topic. ``kept``: what the broker kept when this client came."""

    def __init__(self) -> None:
        self.said = Record()
        self.latest: dict[str, bytes] = {}
        self.kept: dict[str, bytes] = {}
        self.connection: MqttConnection

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str) -> AsyncIterator[Self]:
        seat = cls()
        session = MqttSession(client_id="home-assistant", wants_kept=True)
        seat.connection = await MqttConnection.open(BrokerAddress.parse(url), session, seat._hear)
        await seat.connection.subscribe("#")
        await seat.connection.ping()
        yield seat
        await seat.connection.close()

    def _hear(self, publication: Publication) -> None:
        self.latest[publication.topic] = publication.payload
        if publication.kept:
            self.kept[publication.topic] = publication.payload
        self.said(publication)

    async def hears(self, topic: str, **facts: object) -> dict[str, Any]:
        """What is said on that topic, now or later, once it has these facts in it."""

        def fits() -> bool:
            payload = self.latest.get(topic)
            return bool(payload) and _has(json.loads(payload or b""), facts)

        await self.said.until(fits)
        return dict(json.loads(self.latest[topic]))

    async def sees(self, topic: str, payload: bytes) -> None:
        """Wait until that is the latest there."""
        await self.said.until(lambda: self.latest.get(topic) == payload)

    def happened(self, topic: str) -> list[dict[str, Any]]:
        """All that was said on that topic."""
        return [json.loads(one.payload) for one in self.said.items if one.topic == topic]

    async def say(self, topic: str, payload: bytes, *, kept: bool = False) -> None:
        self.connection.publish(topic, payload, retain=kept)
        await self.connection.ping()


def _has(told: dict[str, Any], facts: dict[str, object]) -> bool:
    return all(told.get(name) == value for name, value in facts.items())
