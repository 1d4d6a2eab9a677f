"""One connection to an MQTT broker with acknowledgements: the gateway's only file that knows paho-mqtt.

No thread carries data: the loop watches paho's socket. Only the connect itself, which may look a name
up, is done in a thread. MQTT 5 is spoken where the broker does, else 3.1.1, which has no properties:
then only topic and body travel. Reconnecting is not done here: a connection that ended is replaced.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Self

from msgspec import Struct
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from firmware_bridge.carriers.mqtt_socket import MqttSocket
from gateway.broker.address import Address, without_secrets
from gateway.broker.base import BrokerError, BrokerRefused, BrokerUnavailable, BufferFull
from gateway.broker.wire import OnLost

KEEPALIVE_SECONDS = 10
MODERN_SHARE = 0.5
"""Of the time for connecting, that an answer to MQTT 5 is waited for."""
GOODBYE_SECONDS = 0.5
HEADER_BYTES = 2048
"""Room left for topic and properties in the largest packet that the broker takes."""
MAX_PACKET_BYTES = 2 * 1024 * 1024
"""Larger packets are not taken: with MQTT 5 the broker is told, with 3.1.1 they are thrown away as they come."""
MAX_WINDOW = 1000
"""Unconfirmed messages under way, at most; a broker may say that it takes fewer."""
OLD_WINDOW = 20
"""As many with MQTT 3.1.1, where it cannot say."""

_UNSUPPORTED_VERSION: Final = 0x84
_NO_SUBSCRIBERS: Final = 0x10
_LOGIN_REFUSALS: Final = {0x85, 0x86, 0x87, 0x8A, 0x8C}
_NOT_AUTHORIZED: Final = 0x87
_TAKEN_OVER: Final = 0x8E
TAKEN_OVER = "another program with our client id has taken its place"
NAMESAKE = (
    "give each gateway a broker.client_id of its own; "
    "cloned cards have the same /etc/machine-id, from which it is derived"
)


class Session(Struct, frozen=True, kw_only=True):
    """Who a connection is to the broker, and what is kept for it while it is away.

    ``seconds``: how long (0: nothing is kept, and it begins anew). ``window``: no more is read while so
    many messages are unacknowledged (0: it only publishes). The broker is told, too, but MQTT 3.1.1 has
    no word for it, and Mosquitto 2.0.11 sends two for each that is acknowledged.
    """

    client_id: str
    seconds: int = 0
    window: int = 0


class Publication(Struct, frozen=True, kw_only=True):
    """One message as MQTT has it. With 3.1.1 only the first two fields travel.

    ``packet_id`` is what it is acknowledged by. One that came at QoS 0, to which no acknowledgement may be
    sent, has a number below 0, so that it leaves the window as all others do.
    """

    topic: str
    payload: bytes
    response_topic: str = ""
    correlation_data: bytes = b""
    content_type: str = ""
    user_properties: tuple[tuple[str, str], ...] = ()
    packet_id: int = 0
    repeated: bool = False


OnPublication = Callable[[Publication], None]


class MqttClient:
    """An open connection, until ``on_lost`` is called or it is closed."""

    def __init__(self, address: Address, session: Session, on_lost: OnLost, *, modern: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._address = address
        self._session = session
        self._client = _new_client(address, session, modern=modern)
        self._on_lost = on_lost
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._connected: asyncio.Future[tuple[bool, ReasonCode, Properties | None]] = (
            self._loop.create_future()
        )
        self._closed: asyncio.Future[str] = self._loop.create_future()
        self._socket = MqttSocket(self._client, MAX_PACKET_BYTES)
        self._unacknowledged = 0
        self._unnumbered = itertools.count(-1, -1)
        self._window = asyncio.Semaphore(1)
        self.session_present = False
        self.max_payload = 0
        """The largest payload that the broker takes; 0: it did not say."""
        self.has_shared_subscriptions = True

    @classmethod
    async def open(
        cls,
        address: Address,
        session: Session,
        on_publication: OnPublication,
        on_lost: OnLost,
        *,
        modern: bool = True,
    ) -> Self:
        """Connect and log in, with MQTT 5 (``modern``) or what the broker speaks.

        Raises BrokerUnavailable or BrokerRefused.
        """
        if modern:
            connection = cls(address, session, on_lost, modern=True)
            # Some brokers that know only 3.1.1 say so; others wait for ever, or hang up.
            with suppress(_OldBroker, TimeoutError):
                async with asyncio.timeout(address.connect_seconds * MODERN_SHARE):
                    return await connection._begin(on_publication)
        connection = cls(address, session, on_lost, modern=False)
        return await connection._begin(on_publication)

    async def _begin(self, on_publication: OnPublication) -> Self:
        try:
            await asyncio.to_thread(_connect, self._client, self._address, self._session, modern=self.modern)
            self._listen(on_publication)
            await self._logged_in()
        except BaseException:
            self.abort()
            raise
        return self

    @property
    def modern(self) -> bool:
        """Whether it is MQTT 5."""
        return bool(self._client.protocol == paho.MQTTv5)

    async def publish(self, publication: Publication) -> bool:
        """Publish and wait for the acknowledgement; whether anybody is subscribed, as far as the broker says.

        Raises BrokerUnavailable, and BufferFull when the broker takes no message so large.
        """
        if 0 < self.max_payload < len(publication.payload):
            raise BufferFull(
                f"{len(publication.payload)} bytes are more than the broker takes ({self.max_payload})"
            )
        async with self._window:  # whoever waits for it goes on in order
            try:
                packed: Any = _Packed(publication) if self.modern else None
                sent = self._client.publish(publication.topic, publication.payload, qos=1, properties=packed)
            except ValueError as error:
                raise BrokerError(f"MQTT cannot carry this message: {error}") from error
            reason: ReasonCode = await self._answer(sent.mid, sent.rc)
        if reason.value == _NOT_AUTHORIZED:
            raise BrokerRefused(
                f"{self._address} does not allow publishing on {publication.topic}",
                "allow it in the broker's access list",
            )
        if reason.is_failure:
            raise BrokerUnavailable(f"{self._address} did not take the message: {reason}")
        return bool(reason.value != _NO_SUBSCRIBERS)

    async def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        """Raises BrokerUnavailable, or BrokerRefused when the broker does not allow it."""
        result, packet_id = self._client.subscribe(topic_filter, qos)
        reasons: list[ReasonCode] = await self._answer(packet_id or 0, result)
        if any(reason.is_failure for reason in reasons):
            raise BrokerRefused(
                f"{self._address} does not allow reading {topic_filter}: {reasons[0]}",
                "allow it in the broker's access list",
            )

    async def ping(self) -> None:
        """A round trip, where answers are read: ending a subscription that there is not changes nothing.

        Raises BrokerUnavailable.
        """
        if self._socket.paused:
            return
        result, packet_id = self._client.unsubscribe("earshot/ping")
        await self._answer(packet_id or 0, result)

    def acknowledge(self, packet_ids: Iterable[int]) -> None:
        """The broker may forget these messages. Raises BrokerUnavailable."""
        for packet_id in packet_ids:
            if self._closed.done():
                raise self._gone()
            if packet_id > 0:
                self._client.ack(packet_id, 1)
            self._unacknowledged -= 1
        if self._unacknowledged < self._session.window:
            self._socket.resume()

    async def close(self) -> None:
        """Say goodbye; what is kept for the session stays kept. Idempotent."""
        self._on_lost = _nobody  # it is not lost: we end it
        try:
            if not self._closed.done():
                self._client.disconnect()
                await asyncio.wait((self._closed,), timeout=GOODBYE_SECONDS)
        finally:
            self.abort()

    def abort(self) -> None:
        """Break the connection without a goodbye. Idempotent."""
        self._on_lost = _nobody
        self._socket.close()
        self._end("closed by this side")

    # -- what paho tells

    def _listen(self, on_publication: OnPublication) -> None:
        client = self._client
        client.on_connect = self._on_connect
        client.on_subscribe = lambda _c, _u, mid, codes, _p: self._answered(mid, codes)
        client.on_unsubscribe = lambda _c, _u, mid, codes, _p: self._answered(mid, codes)
        client.on_publish = lambda _c, _u, mid, code, _p: self._answered(mid, code)
        client.on_message = lambda _c, _u, message: self._received(message, on_publication)
        client.on_disconnect = lambda _c, _u, _flags, code, _p: self._disconnected(code)
        if not self._socket.watch():
            self._end("the connection was lost while connecting")

    def _received(self, message: paho.MQTTMessage, on_publication: OnPublication) -> None:
        self._socket.packets += 1
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._client.ack(message.mid, message.qos)
            return
        if message.retain and not topic.startswith("$SYS/"):
            # Kept by the broker since whenever; it would be said again at each connection.
            self._client.ack(message.mid, message.qos)
            return
        self._unacknowledged += 1
        if self._unacknowledged >= self._session.window > 0:
            self._socket.pause()
        on_publication(_publication(topic, message, message.mid or next(self._unnumbered)))

    def _disconnected(self, code: ReasonCode) -> None:
        if code.value == _TAKEN_OVER:
            self._end(TAKEN_OVER, NAMESAKE)
        else:
            self._end(f"the connection was lost ({code})")

    def _end(self, reason: str, remedy: str = "") -> None:
        self._socket.stop()
        if self._closed.done():
            return
        self._closed.set_result(reason)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self._gone())
        told = f"{self._address}: {reason}"
        if remedy:
            self._on_lost(told, remedy)
        else:
            self._on_lost(told)

    # -- waiting for the broker

    def _on_connect(
        self, _client: object, _data: object, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if not self._connected.done():
            self._connected.set_result((flags.session_present, reason, properties))

    async def _logged_in(self) -> None:
        await asyncio.wait((self._connected, self._closed), return_when=asyncio.FIRST_COMPLETED)
        if not self._connected.done():
            if self.modern:
                raise _OldBroker
            remedy = "if the broker wants a certificate of ours, set broker.tls.cert_file"
            raise BrokerUnavailable(
                str(self._gone()), remedy if self._address.tls else "look at the broker's log"
            )
        self.session_present, reason, properties = self._connected.result()
        if reason.value == _UNSUPPORTED_VERSION and self.modern:
            raise _OldBroker
        if reason.is_failure:
            text = f"{self._address} refused the login: {reason}"
            if reason.value in _LOGIN_REFUSALS:
                remedy = "correct the user and password in broker.url or broker.password_file"
                raise BrokerRefused(text, remedy)
            raise BrokerUnavailable(text, "look at the broker's log")
        window = getattr(properties, "ReceiveMaximum", MAX_WINDOW if self.modern else OLD_WINDOW)
        self._window = asyncio.Semaphore(min(window, MAX_WINDOW))
        largest = getattr(properties, "MaximumPacketSize", 0)
        self.max_payload = max(1, largest - HEADER_BYTES) if largest else 0
        self.has_shared_subscriptions = bool(getattr(properties, "SharedSubscriptionAvailable", 1))

    async def _answer(self, packet_id: int, result: int) -> Any:
        if result != paho.MQTT_ERR_SUCCESS or self._closed.done():
            raise self._gone()
        answer = self._answers[packet_id] = self._loop.create_future()
        try:
            return await answer
        finally:
            del self._answers[packet_id]

    def _answered(self, packet_id: int, answer: object) -> None:
        self._socket.packets += 1
        waiting = self._answers.get(packet_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _gone(self) -> BrokerUnavailable:
        reason = self._closed.result() if self._closed.done() else "the connection is closed"
        return BrokerUnavailable(f"{self._address}: {reason}")


class _Packed:
    """Properties of a PUBLISH as they travel (MQTT 5, 2.2.2): paho's own cost more than all the rest."""

    def __init__(self, publication: Publication) -> None:
        """Raises ValueError when a text is too long for MQTT."""
        fields = [
            b"\x26" + _binary(name.encode()) + _binary(value.encode())
            for name, value in publication.user_properties
        ]
        if publication.content_type:
            fields.append(b"\x03" + _binary(publication.content_type.encode()))
        if publication.response_topic:
            fields.append(b"\x08" + _binary(publication.response_topic.encode()))
        if publication.correlation_data:
            fields.append(b"\x09" + _binary(publication.correlation_data))
        self._bytes = b"".join(fields)

    def pack(self) -> bytes:
        """What paho asks properties for."""
        length, head = len(self._bytes), bytearray()
        while length > 0x7F:
            head.append(length & 0x7F | 0x80)
            length >>= 7
        head.append(length)
        return bytes(head) + self._bytes


def _binary(data: bytes) -> bytes:
    if len(data) > 0xFFFF:
        raise ValueError(f"a text of {len(data)} bytes; MQTT takes 65535")
    return len(data).to_bytes(2, "big") + data


class _OldBroker(Exception):
    """It does not know MQTT 5."""


def _nobody(_reason: str, _remedy: str = "", /) -> None:
    """Who is told about the end of a connection that nobody got."""


def _new_client(address: Address, session: Session, *, modern: bool) -> paho.Client:
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=session.client_id,
        protocol=paho.MQTTv5 if modern else paho.MQTTv311,
        clean_session=None if modern else not session.seconds,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.max_inflight_messages_set(MAX_WINDOW + 1)  # our own window is the narrower one
    client.connect_timeout = address.connect_seconds
    return client


def _publication(topic: str, message: paho.MQTTMessage, packet_id: int) -> Publication:
    properties: Any = message.properties
    return Publication(
        topic=topic,
        payload=bytes(message.payload),
        response_topic=getattr(properties, "ResponseTopic", ""),
        correlation_data=getattr(properties, "CorrelationData", b""),
        content_type=getattr(properties, "ContentType", ""),
        user_properties=tuple(tuple(pair) for pair in getattr(properties, "UserProperty", ())),
        packet_id=packet_id,
        repeated=bool(message.dup),
    )


def _connect(client: paho.Client, address: Address, session: Session, *, modern: bool) -> None:
    """Look the name up, connect, and agree on TLS; in a thread. Raises BrokerUnavailable."""
    if address.username is not None:
        client.username_pw_set(address.username, address.password)
    if address.tls is not None:
        client.tls_set_context(address.tls)
    properties: Any = None
    if modern:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = session.seconds
        properties.MaximumPacketSize = MAX_PACKET_BYTES
        if session.window:
            properties.ReceiveMaximum = session.window
    try:
        client.connect(
            address.host,
            address.port,
            0 if session.window else KEEPALIVE_SECONDS,  # who stops reading cannot read an answer either
            clean_start=not session.seconds if modern else paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
        )
    except OSError as error:
        reason = without_secrets(
            f"{address}: {error.strerror or str(error) or type(error).__name__}", address
        )
        if isinstance(error, ssl.SSLError):
            raise BrokerRefused(reason, "correct ca_file, cert_file and key_file under broker.tls") from error
        raise BrokerUnavailable(reason, "start the MQTT broker, or correct broker.url") from error
