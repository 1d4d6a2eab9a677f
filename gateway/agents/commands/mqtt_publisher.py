"""Messages of commands to an MQTT broker, over one connection, which is opened when it is wanted."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import structs

from firmware_bridge.carriers.mqtt_address import BrokerAddress, Credentials, MqttUnavailable
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession
from firmware_bridge.carriers.mqtt_publication import Publication
from firmware_bridge.carriers.mqtt_words import DEVICES, Wording
from gateway.orchestrators.answer import CannotAnswer
from gateway.settings.agents.commands import CommandsMqtt

ANSWER_SECONDS = 5.0
"""The broker has so long to acknowledge a message."""


def publisher(name: str, settings: CommandsMqtt) -> MqttPublisher:
    """That of the agent of that name. Raises ValueError for what is no broker's address."""
    where = f"orchestrator.agents.{name}.commands.mqtt"
    files = Credentials(
        settings.password_file, settings.ca_file, settings.cert_file, settings.key_file, section=where
    )
    words = structs.replace(
        DEVICES,
        start=f"start the MQTT broker, or correct {where}.url",
        certificate=f"name in {where}.ca_file who signed the broker's certificate",
        login=f"correct the user and password in {where}.url",
        not_now=f"correct the user and password in {where}.url",
    )
    return MqttPublisher(BrokerAddress.parse(settings.url, files), words)


class MqttPublisher:
    """To one broker."""

    def __init__(self, address: BrokerAddress, words: Wording) -> None:
        self._address = address
        self._words = words
        self._connection: MqttConnection | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """As long as it may be asked to publish."""
        try:
            yield
        finally:
            if self._connection is not None:
                await self._connection.close()

    async def look(self) -> None:
        """Connect. Raises CannotAnswer for a broker that is not there, or does not let us in."""
        try:
            await self._connected()
        except MqttUnavailable as error:
            raise CannotAnswer(error.reason, error.remedy) from error

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Returns when it is sent, or with ``qos`` 1 when the broker has it. Raises CannotAnswer."""
        try:
            connection = await self._connected()
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._put(connection, Publication(topic=topic, payload=payload, kept=retain), qos)
        except MqttUnavailable as error:
            raise CannotAnswer(error.reason, error.remedy) from error
        except TimeoutError:
            raise CannotAnswer(f"{self._address} does not acknowledge the message") from None
        except ValueError as error:
            raise CannotAnswer(f"MQTT cannot carry it: {error}") from error

    async def _put(self, connection: MqttConnection, message: Publication, qos: int) -> None:
        if qos:
            code = await connection.publish_acknowledged(message)
            if code.is_failure:
                raise CannotAnswer(f"{self._address} does not take the message: {code}")
        elif not connection.publish(message.topic, message.payload, retain=message.kept):
            raise CannotAnswer(f"{self._address} takes no messages at the moment")

    async def _connected(self) -> MqttConnection:
        async with self._opening:
            if self._connection is None or self._connection.closed.done():
                session = MqttSession(client_id=f"earshot-commands-{secrets.token_hex(4)}")
                self._connection = await MqttConnection.open(
                    self._address, session, lambda _: None, self._words
                )
            return self._connection
