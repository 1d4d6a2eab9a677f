"""The gateway's connections to an MQTT broker: MQTT 5 where it is spoken, else 3.1.1; with the contract's errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

from msgspec.structs import replace

from firmware_bridge.carriers.mqtt_address import MqttSilent
from firmware_bridge.carriers.mqtt_connection import (
    NOT_AUTHORIZED,
    TAKEN_OVER,
    MqttConnection,
    MqttSession,
)
from firmware_bridge.carriers.mqtt_publication import Publication
from firmware_bridge.carriers.mqtt_words import Wording
from gateway.broker.address import Address
from gateway.broker.base import BrokerError, BrokerRefused, BrokerUnavailable, BufferFull
from gateway.broker.wire import OnLost

MODERN_SHARE = 0.5
"""Of the time for connecting, that an answer to MQTT 5 is waited for."""
GOODBYE_SECONDS = 0.5
HEADER_BYTES = 2048
"""Room left for topic and properties in the largest packet that the broker takes."""
MAX_PACKET_BYTES = 2 * 1024 * 1024

_NO_SUBSCRIBERS: Final = 0x10
NAMESAKE = (
    "give each gateway a broker.client_id of its own; "
    "cloned cards have the same /etc/machine-id, from which it is derived"
)
_CERTIFICATES = "correct ca_file, cert_file and key_file under broker.tls"
_RIGHTS = "allow it in the broker's access list"
_LOG = "look at the broker's log"
_WORDS = Wording(
    unavailable=BrokerUnavailable,
    refused=BrokerRefused,
    barred=BrokerRefused,
    gone="{address}: {reason}",
    lost="the connection was lost ({code})",
    login_refused="{address} refused the login: {code}",
    forbidden="{address} does not allow reading {topics}: {code}",
    start="start the MQTT broker, or correct broker.url",
    certificate=_CERTIFICATES,
    tls=_CERTIFICATES,
    log=_LOG,
    log_at_end="",
    login="correct the user and password in broker.url or broker.password_file",
    not_now=_LOG,
    rights=_RIGHTS,
)
_GUARDED_WORDS = replace(_WORDS, log="if the broker wants a certificate of ours, set broker.tls.cert_file")


class MqttClient(MqttConnection):
    """An open connection, until ``on_lost`` is called or it is closed. Raises BrokerUnavailable and BrokerRefused."""

    on_lost: OnLost | None = None

    @classmethod
    async def reach(
        cls,
        address: Address,
        session: MqttSession,
        on_publication: Callable[[Publication], None],
        on_lost: OnLost,
        *,
        modern: bool = True,
    ) -> Self:
        """Connect and log in, with MQTT 5 (``modern``) or what the broker speaks."""
        seconds, words = address.connect_seconds, _GUARDED_WORDS if address.tls else _WORDS
        session = replace(session, modern=modern, largest=MAX_PACKET_BYTES, connect_seconds=seconds)
        connection: Self | None = None
        if modern:
            # Some brokers that know only 3.1.1 say so; others wait for ever, or hang up.
            with suppress(MqttSilent, TimeoutError):
                async with asyncio.timeout(seconds * MODERN_SHARE):
                    connection = await cls.open(address, session, on_publication, words)
        if connection is None:
            connection = await cls.open(address, replace(session, modern=False), on_publication, words)
        connection.on_lost = on_lost
        connection.closed.add_done_callback(connection.tell)
        return connection

    @property
    def max_payload(self) -> int:
        """The largest payload that the broker takes; 0: it did not say."""
        return max(1, self.largest - HEADER_BYTES) if self.largest else 0

    async def deliver(self, publication: Publication) -> bool:
        """Publish and wait for the acknowledgement; whether anybody is subscribed, as far as the broker says.

        Raises also BufferFull, when the broker takes no message so large.
        """
        if 0 < self.max_payload < len(publication.payload):
            raise BufferFull(
                f"{len(publication.payload)} bytes are more than the broker takes ({self.max_payload})"
            )
        try:
            code = await self.publish_acknowledged(publication)
        except ValueError as error:
            raise BrokerError(f"MQTT cannot carry this message: {error}") from error
        if code.value == NOT_AUTHORIZED:
            raise BrokerRefused(f"{self.address} does not allow publishing on {publication.topic}", _RIGHTS)
        if code.is_failure:
            raise BrokerUnavailable(f"{self.address} did not take the message: {code}")
        return bool(code.value != _NO_SUBSCRIBERS)

    async def close(self, seconds: float = GOODBYE_SECONDS) -> None:
        """As any connection; it is not lost then: we end it."""
        self.on_lost = None
        await super().close(seconds)

    def abort(self) -> None:
        """As any connection; it is not lost then: we end it."""
        self.on_lost = None
        super().abort()

    def tell(self, closed: asyncio.Future[str]) -> None:
        """It has ended."""
        if self.on_lost is not None:
            reason = closed.result()
            self.on_lost(f"{self.address}: {reason}", *([NAMESAKE] if reason == TAKEN_OVER else []))
