"""One connection to an MQTT broker on asyncio: the only file that knows paho-mqtt.

No thread carries data: the loop watches paho's socket. Only the connect itself, which may look a
name up, is done in a thread. Everything is QoS 0, because the device link has its own sequence
numbers and resends; so a connection keeps no state worth saving, and each one is a new object.

The error tree::

    MqttUnavailable    the broker cannot be used (yet): ``reason`` and ``remedy`` in words
      MqttRefused      it does not let this client in
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from firmware_bridge.carriers.mqtt_address import BrokerAddress, MqttUnavailable
from firmware_bridge.carriers.mqtt_socket import MqttSocket
from firmware_bridge.pacing import Backoff

CONNECT_SECONDS = 3.0
"""How long connecting, and then each answer of the broker, is waited for."""
ASK_SECONDS = 1.0
"""How long the broker's word on our rights is waited for."""
GOODBYE_SECONDS = 1.0
KEEPALIVE_SECONDS = 10
MAX_PACKET_BYTES = 64 * 1024
"""More than any frame has, its topic included: what is larger is none, and is not held."""
OUTBOX_MESSAGES = 1024
"""Messages that may wait for the socket; further ones are refused and counted."""
FIRST_RETRY_SECONDS = 0.2
RETRY_SECONDS = 5.0
STABLE_SECONDS = 5.0
"""A connection that lasted so long was a good one: the next retry is quick again."""

_PASSING = frozenset({0x88, 0x89, 0x97, 0x9F})
"""Refusals that pass by themselves (MQTT 5, 3.2.2.2): server unavailable, busy, quota, connection rate."""

_NOT_AUTHORIZED = 0x87

OnMessage = Callable[[str, bytes], None]
"""Called with the topic and the payload."""


@dataclass(frozen=True, slots=True)
class LastWill:
    """What the broker publishes, retained, when this connection breaks."""

    topic: str
    payload: bytes


class MqttRefused(MqttUnavailable):
    """The broker does not let this client in: trying again does not help until somebody changes something."""


class MqttSilent(Exception):
    """The broker does not answer to MQTT 5."""


class MqttConnection:
    """An open connection, until ``ended`` returns."""

    def __init__(self, client: paho.Client, on_message: OnMessage) -> None:
        self._loop = asyncio.get_running_loop()
        self._client = client
        self._on_message = on_message
        self._connected: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._subscribed: asyncio.Future[list[ReasonCode]] = self._loop.create_future()
        self._socket = MqttSocket(client, MAX_PACKET_BYTES)
        self._queued = 0
        self._closed: asyncio.Future[str] = self._loop.create_future()
        self.refused = 0
        """Messages not taken because the outbox was full."""
        self.stale = 0
        """Messages not handed on because the broker had kept them (retained): nobody says that now."""

    @classmethod
    async def open(
        cls,
        address: BrokerAddress,
        *,
        client_id: str,
        on_message: OnMessage,
        will: LastWill | None = None,
    ) -> Self:
        """Connect and log in. Raises MqttUnavailable."""
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_SECONDS
        if will is not None:
            client.will_set(will.topic, will.payload, retain=True)
        await asyncio.to_thread(_connect, client, address)
        connection = cls(client, on_message)
        connection._watch()
        try:
            await connection._logged_in(address)
        except BaseException:
            connection.abort()
            raise
        return connection

    async def subscribe(self, *topics: str) -> None:
        """Subscribe and wait for the broker's word; once per connection. Raises MqttUnavailable."""
        self._client.subscribe([(topic, 0) for topic in topics])
        codes = await self._answer(self._subscribed)
        if any(code.is_failure for code in codes):
            raise MqttUnavailable(
                f"the broker does not allow reading {', '.join(topics)}",
                "allow it in the broker's access list, or change devices.mqtt.prefix",
            )

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Hand a message over for sending; False (and counted) when it was not taken."""
        if self._closed.done() or self._queued >= OUTBOX_MESSAGES:
            self.refused += 1
            return False
        try:
            self._client.publish(topic, payload, retain=retain)
        except ValueError:  # no topic that MQTT could carry
            self.refused += 1
            return False
        self._queued += 1
        return True

    async def ended(self) -> str:
        """Wait until the connection has ended, whoever ended it; the reason."""
        await asyncio.wait((self._closed,))
        return self._closed.result()

    async def close(self) -> None:
        """Say goodbye (so no last will), or give up soon. Idempotent."""
        try:
            if not self._closed.done():
                self._client.disconnect()
                await asyncio.wait((self._closed,), timeout=GOODBYE_SECONDS)
        finally:
            self.abort()

    def abort(self) -> None:
        """Break the connection without a goodbye, as a pulled cable does. Idempotent."""
        self._socket.close()
        self._end("closed by this side")

    def _watch(self) -> None:
        client = self._client
        client.on_connect = lambda _c, _u, _flags, reason, _p: _settle(self._connected, reason)
        client.on_subscribe = lambda _c, _u, _mid, codes, _p: _settle(self._subscribed, codes)
        client.on_publish = self._published
        client.on_message = self._message
        client.on_disconnect = lambda *_: self._end("connection lost")
        if not self._socket.watch():
            self._end("connection lost while connecting")

    def _message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        self._socket.packets += 1
        if message.retain:
            self.stale += 1
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        self._on_message(topic, bytes(message.payload))

    def _published(self, *_: Any) -> None:
        self._queued -= 1

    def _end(self, reason: str) -> None:
        self._socket.stop()
        _settle(self._closed, reason)

    # -- waiting for the broker

    async def _logged_in(self, address: BrokerAddress) -> None:
        reason = await self._answer(self._connected)
        if reason.is_failure:
            refusal = MqttUnavailable if reason.value in _PASSING else MqttRefused
            raise refusal(
                f"{address} refused the connection: {reason}",
                "correct the user and password in devices.mqtt.url",
            )

    async def _answer(self, answer: asyncio.Future[Any]) -> Any:
        await asyncio.wait(
            (answer, self._closed), timeout=CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if answer.done():
            return answer.result()
        reason = self._closed.result() if self._closed.done() else "the broker does not answer"
        raise MqttUnavailable(reason, "look at the MQTT broker's log")


async def denies_publishing(address: BrokerAddress, topic: str) -> bool:
    """Whether the broker says that we may not; it is asked with MQTT 5, for 3.1.1 has no word for it.

    Asked on a connection of its own. Raises MqttSilent when it does not answer, as brokers that do not know MQTT 5.
    """
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=f"earshot-asks-{secrets.token_hex(4)}",
        protocol=paho.MQTTv5,
        reconnect_on_failure=False,
    )
    client.connect_timeout = CONNECT_SECONDS
    await asyncio.to_thread(_connect, client, address)
    loop = asyncio.get_running_loop()
    connected: asyncio.Future[ReasonCode] = loop.create_future()
    published: asyncio.Future[ReasonCode] = loop.create_future()
    client.on_connect = lambda _c, _u, _flags, reason, _p: _settle(connected, reason)
    client.on_publish = lambda _c, _u, _mid, reason, _p: _settle(published, reason)
    wire = MqttSocket(client, MAX_PACKET_BYTES)
    try:
        if not wire.watch():
            raise MqttSilent
        async with asyncio.timeout(ASK_SECONDS):
            if (await connected).is_failure:
                raise MqttSilent
            client.publish(topic, b"", qos=1)
            return bool((await published).value == _NOT_AUTHORIZED)
    except TimeoutError as error:
        raise MqttSilent from error
    finally:
        client.disconnect()
        wire.close()


async def stay_connected(
    serve_once: Callable[[], Awaitable[str]], on_lost: Callable[[str, str], None]
) -> None:
    """Call ``serve_once`` for ever, which opens a connection and returns why it ended.

    ``on_lost`` is called with reason and remedy after each time; then comes a pause that grows to
    RETRY_SECONDS while nothing lasts.
    """
    backoff = Backoff(FIRST_RETRY_SECONDS, RETRY_SECONDS)
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        try:
            reason, remedy = await serve_once(), ""
        except MqttUnavailable as error:
            reason, remedy = error.reason, error.remedy
        on_lost(reason, remedy)
        if loop.time() - started > STABLE_SECONDS:
            backoff.reset()
        await asyncio.sleep(backoff.next())


def _settle(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)


def _connect(client: paho.Client, address: BrokerAddress) -> None:
    """Look the name up, connect, and agree on TLS; in a thread. Raises MqttUnavailable."""
    login = address.login()
    if login is not None:
        client.username_pw_set(*login)
    if address.tls:
        client.tls_set_context(address.credentials.tls())
    try:
        client.connect(address.host, address.port, KEEPALIVE_SECONDS)
    except OSError as error:
        raise MqttUnavailable(f"{address}: {_in_words(error)}", _remedy(error)) from error


def _remedy(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "name in devices.mqtt.ca_file who signed the broker's certificate, and the broker as it is named there"
    if isinstance(error, ssl.SSLError):
        return "look whether the broker speaks TLS on this port, and whom it lets in"
    return "start the MQTT broker, or correct devices.mqtt.url"


def _in_words(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
