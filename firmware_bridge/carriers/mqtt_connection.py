"""One connection to an MQTT broker on asyncio: the only file that knows paho-mqtt.

No thread carries data: the loop watches paho's socket. Only the connect itself, which may look a name
up, is done in a thread. Devices are spoken to at QoS 0, because their link has its own sequence numbers
and resends; the gateway's messages go at QoS 1. A connection that ended is replaced by a new one.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import ssl
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Protocol, Self

from msgspec import Struct, structs
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from firmware_bridge.carriers.mqtt_address import MqttSilent, MqttUnavailable
from firmware_bridge.carriers.mqtt_publication import Packed, Publication, from_paho
from firmware_bridge.carriers.mqtt_socket import MqttSocket
from firmware_bridge.carriers.mqtt_words import DEVICES, Wording
from firmware_bridge.pacing import Backoff

CONNECT_SECONDS = 3.0
"""How long connecting, and then each answer of the broker, is waited for, unless somebody wants otherwise."""
ASK_SECONDS = 1.0
"""How long the broker's word on our rights is waited for."""
GOODBYE_SECONDS = 1.0
KEEPALIVE_SECONDS = 10
MAX_PACKET_BYTES = 64 * 1024
"""More than any frame has, its topic included: what is larger is none, and is not held."""
FIRST_RETRY_SECONDS = 0.2
RETRY_SECONDS = 5.0
STABLE_SECONDS = 5.0
"""A connection that lasted so long was a good one: the next retry is quick again."""
OUTBOX_MESSAGES = 1024
"""Messages that may wait for the socket; further ones are refused and counted."""
MAX_WINDOW = 1000
"""Unacknowledged messages under way, at most; a broker may say that it takes fewer."""
OLD_WINDOW = 20
"""As many with MQTT 3.1.1, where it cannot say."""

_UNSUPPORTED_VERSION: Final = 0x84
NOT_AUTHORIZED: Final = 0x87
_TAKEN_OVER: Final = 0x8E
TAKEN_OVER = "another program with our client id has taken its place"

OnMessage = Callable[[Publication], None]


class LastWill(Struct, frozen=True):
    """What the broker publishes, retained, when this connection breaks."""

    topic: str
    payload: bytes


class MqttSession(Struct, frozen=True, kw_only=True):
    """Who a connection is to the broker, and what is kept for it while it is away.

    ``modern``: in MQTT 5, else in 3.1.1, which has no properties. ``seconds``: how long it is kept (0: nothing is, and
    it begins anew). ``window``: it reads at QoS 1, and no more while so many messages are unacknowledged (0: it reads
    at QoS 0). The broker is told, too, but MQTT 3.1.1 has no word for it, and Mosquitto 2.0.11 sends two for each that
    is acknowledged. ``largest``: bytes of a packet; larger ones are not taken: with MQTT 5 the broker is told, with
    3.1.1 they are thrown away as they come. ``wants_kept``: what the broker has kept (retained) is handed on, too.
    """

    client_id: str
    will: LastWill | None = None
    modern: bool = False
    seconds: int = 0
    window: int = 0
    largest: int = MAX_PACKET_BYTES
    connect_seconds: float = CONNECT_SECONDS
    wants_kept: bool = False


class Reachable(Protocol):
    """Where the broker is, who we are to it, and how the way there is guarded; files are read for each connection."""

    @property
    def host(self) -> str:
        """Its name or number."""

    @property
    def port(self) -> int:
        """Where it listens."""

    def login(self) -> tuple[str, str | None] | None:
        """User and password."""

    def tls_context(self) -> ssl.SSLContext | None:
        """None: it is not guarded."""


class MqttConnection:
    """An open connection, until ``ended`` returns."""

    def __init__(
        self,
        address: Reachable,
        session: MqttSession,
        on_message: OnMessage,
        words: Wording = DEVICES,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.address = address
        self._session = session
        self._on_message = on_message
        self._words = words
        self._client = _client(session)
        self._socket = MqttSocket(self._client, session.largest)
        self._welcome: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.closed: asyncio.Future[str] = self._loop.create_future()
        self._queued = 0
        self._unacknowledged = 0
        self._unnumbered = itertools.count(-1, -1)
        self._window = asyncio.Semaphore(1)
        self.refused = 0
        """Messages not taken because the outbox was full."""
        self.stale = 0
        """Messages not handed on because the broker had kept them (retained): nobody says that now."""
        self.largest = 0
        """Bytes of the largest packet that the broker takes; 0: it did not say."""
        self.has_shared_subscriptions = True

    @classmethod
    async def open(
        cls, address: Reachable, session: MqttSession, on_message: OnMessage, words: Wording = DEVICES
    ) -> Self:
        """Connect and log in. Raises MqttUnavailable (or as ``words`` has it), and MqttSilent in MQTT 5."""
        connection = cls(address, session, on_message, words)
        try:
            await connection.connect()
            await connection.log_in()
        except BaseException:
            connection.abort()
            raise
        return connection

    @property
    def modern(self) -> bool:
        """Whether it is MQTT 5."""
        return self._session.modern

    async def connect(self) -> None:
        """Look the name up, connect, and agree on TLS. Raises MqttUnavailable."""
        try:
            await asyncio.to_thread(self._reach)
        except OSError as error:
            raise self._words.unreachable(self.address, error) from error
        except asyncio.CancelledError:  # the thread goes on
            self.abort()
            raise
        self._watch()

    def _reach(self) -> None:
        try:
            _connect(self._client, self.address, self._session)
        finally:
            self._socket.connected()

    async def log_in(self) -> None:
        """Raises MqttUnavailable, and MqttSilent when the broker does not know this session's version."""
        code = await self.welcome()
        if self.modern and code.value == _UNSUPPORTED_VERSION:
            raise MqttSilent
        if code.is_failure:
            raise self._words.not_let_in(self.address, code)

    async def welcome(self) -> ReasonCode:
        """What the broker says to our login. Raises MqttUnavailable."""
        await asyncio.wait(
            (self._welcome, self.closed),
            timeout=self._session.connect_seconds,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if self._welcome.done():
            return self._welcome.result()
        if self.modern:
            raise MqttSilent
        raise self._silent()

    async def subscribe(self, *topics: str) -> None:
        """Subscribe and wait for the broker's word. Raises MqttUnavailable."""
        qos = 1 if self._session.window else 0
        result, packet_id = self._client.subscribe([(topic, qos) for topic in topics])
        try:
            async with asyncio.timeout(self._session.connect_seconds):
                codes: list[ReasonCode] = await self._answer(packet_id or 0, result)
        except TimeoutError as error:
            raise self._silent() from error
        if any(code.is_failure for code in codes):
            raise self._words.not_to_be_read(self.address, topics, codes[0])

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Hand a message over for sending (QoS 0); False (and counted) when it was not taken."""
        if not self.closed.done() and self._queued < OUTBOX_MESSAGES:
            with suppress(ValueError):  # no topic that MQTT could carry
                self._client.publish(topic, payload, retain=retain)
                self._queued += 1
                return True
        self.refused += 1
        return False

    async def publish_acknowledged(self, publication: Publication) -> ReasonCode:
        """What the broker acknowledges it with (QoS 1). Raises MqttUnavailable; ValueError: MQTT cannot carry it."""
        async with self._window:  # whoever waits for it goes on in order
            packed: Any = Packed(publication) if self.modern else None
            sent = self._client.publish(
                publication.topic, publication.payload, qos=1, retain=publication.kept, properties=packed
            )
            self._queued += 1
            code: ReasonCode = await self._answer(sent.mid, sent.rc)
            return code

    async def ping(self) -> None:
        """A round trip, where answers are read: ending a subscription that there is not changes nothing.

        Raises MqttUnavailable.
        """
        if not self._socket.paused:
            await self.unsubscribe("earshot/ping")

    async def unsubscribe(self, topic: str) -> None:
        """End a subscription; what came of it before has been handed on then. Raises MqttUnavailable."""
        result, packet_id = self._client.unsubscribe(topic)
        await self._answer(packet_id or 0, result)

    def acknowledge(self, packet_ids: Iterable[int]) -> None:
        """The broker may forget these messages. Raises MqttUnavailable."""
        for packet_id in packet_ids:
            if self.closed.done():
                raise self._gone()
            if packet_id > 0:
                self._client.ack(packet_id, 1)
            self._unacknowledged -= 1
        if self._unacknowledged < self._session.window:
            self._socket.resume()

    async def ended(self) -> str:
        """Wait until the connection has ended, whoever ended it; the reason."""
        await asyncio.wait((self.closed,))
        return self.closed.result()

    async def close(self, seconds: float = GOODBYE_SECONDS) -> None:
        """Say goodbye (so no last will; what is kept for the session stays kept), or give up. Idempotent."""
        try:
            if not self.closed.done():
                self._client.disconnect()
                await asyncio.wait((self.closed,), timeout=seconds)
        finally:
            self.abort()

    def abort(self) -> None:
        """Break the connection without a goodbye, as a pulled cable does. Idempotent."""
        self._socket.close()
        self._end("closed by this side")

    # -- what paho tells

    def _watch(self) -> None:
        client = self._client
        client.on_connect = lambda _c, _u, _flags, code, told: self._welcomed(code, told)
        client.on_subscribe = lambda _c, _u, mid, codes, _p: self._answered(mid, codes)
        client.on_unsubscribe = lambda _c, _u, mid, codes, _p: self._answered(mid, codes)
        client.on_publish = lambda _c, _u, mid, code, _p: self._published(mid, code)
        client.on_message = lambda _c, _u, message: self._received(message)
        client.on_disconnect = lambda _c, _u, _flags, code, _p: self._disconnected(code)
        if not self._socket.watch():
            self._end("connection lost while connecting")

    def _welcomed(self, code: ReasonCode, told: Properties | None) -> None:
        window = getattr(told, "ReceiveMaximum", MAX_WINDOW if self.modern else OLD_WINDOW)
        self._window = asyncio.Semaphore(min(window, MAX_WINDOW))
        self.largest = getattr(told, "MaximumPacketSize", 0)
        self.has_shared_subscriptions = bool(getattr(told, "SharedSubscriptionAvailable", 1))
        _settle(self._welcome, code)

    def _received(self, message: paho.MQTTMessage) -> None:
        self._socket.packets += 1
        try:
            publication = from_paho(message.topic, message)
        except UnicodeDecodeError:
            self._client.ack(message.mid, message.qos)
            return
        if publication.kept and not self._session.wants_kept and not publication.topic.startswith("$SYS/"):
            # Kept by the broker since whenever; it would be said again at each connection.
            self.stale += 1
            self._client.ack(message.mid, message.qos)
            return
        self._unacknowledged += 1
        if self._unacknowledged >= self._session.window > 0:
            self._socket.pause()
        if not publication.packet_id:
            publication = structs.replace(publication, packet_id=next(self._unnumbered))
        self._on_message(publication)

    def _published(self, packet_id: int, code: ReasonCode) -> None:
        self._queued -= 1
        self._answered(packet_id, code)

    def _disconnected(self, code: ReasonCode) -> None:
        self._end(TAKEN_OVER if code.value == _TAKEN_OVER else self._words.lost.format(code=code))

    def _end(self, reason: str) -> None:
        self._socket.stop()
        if self.closed.done():
            return
        self.closed.set_result(reason)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self._gone())

    # -- waiting for the broker

    async def _answer(self, packet_id: int, result: int) -> Any:
        if result != paho.MQTT_ERR_SUCCESS or self.closed.done():
            raise self._gone()
        answer = self._answers[packet_id] = self._loop.create_future()
        try:
            return await answer
        finally:
            del self._answers[packet_id]

    def _answered(self, packet_id: int, answer: object) -> None:
        self._socket.packets += 1
        waiting = self._answers.get(packet_id)
        if waiting is not None:
            _settle(waiting, answer)

    def _gone(self) -> Exception:
        return self._words.ended(self.address, self._reason("the connection is closed"))

    def _silent(self) -> Exception:
        return self._words.silent(self.address, self._reason("the broker does not answer"))

    def _reason(self, otherwise: str) -> str:
        return self.closed.result() if self.closed.done() else otherwise


async def denies_publishing(address: Reachable, topic: str) -> bool:
    """Whether the broker says that we may not; it is asked with MQTT 5, for 3.1.1 has no word for it.

    Asked on a connection of its own. Raises MqttSilent when it does not answer, as brokers that do not know MQTT 5.
    """
    session = MqttSession(client_id=f"earshot-asks-{secrets.token_hex(4)}", modern=True)
    connection = MqttConnection(address, session, lambda _: None)
    await connection.connect()
    try:
        async with asyncio.timeout(ASK_SECONDS):
            if (await connection.welcome()).is_failure:
                raise MqttSilent
            code = await connection.publish_acknowledged(Publication(topic=topic, payload=b""))
            return bool(code.value == NOT_AUTHORIZED)
    except (MqttUnavailable, TimeoutError) as error:
        raise MqttSilent from error
    finally:
        await connection.close(0.0)


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


def _client(session: MqttSession) -> paho.Client:
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=session.client_id,
        protocol=paho.MQTTv5 if session.modern else paho.MQTTv311,
        clean_session=None if session.modern else not session.seconds,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.max_inflight_messages_set(MAX_WINDOW + 1)  # our own window is the narrower one
    client.connect_timeout = session.connect_seconds
    if session.will is not None:
        client.will_set(session.will.topic, session.will.payload, retain=True)
    return client


def _connect(client: paho.Client, address: Reachable, session: MqttSession) -> None:
    """In a thread. Raises OSError, and what the address does when its files cannot be read."""
    login, tls = address.login(), address.tls_context()
    if login is not None:
        client.username_pw_set(*login)
    if tls is not None:
        client.tls_set_context(tls)
    properties: Any = None
    if session.modern:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = session.seconds
        properties.MaximumPacketSize = session.largest
        if session.window:
            properties.ReceiveMaximum = session.window
    client.connect(
        address.host,
        address.port,
        0 if session.window else KEEPALIVE_SECONDS,  # who stops reading cannot read an answer either
        clean_start=not session.seconds if session.modern else paho.MQTT_CLEAN_START_FIRST_ONLY,
        properties=properties,
    )
