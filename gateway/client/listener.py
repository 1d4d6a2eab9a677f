"""A listener in Python: what ``earshot listen``, the demo and the tests hear the gateway with.

::

    async with Listener("http://127.0.0.1:8080/") as listener:
        async for event in listener:
            ...

The first event is a snapshot. A lost connection is made anew and resumed after the last event, so
that none is missed or seen twice; a further snapshot means that resuming was impossible (the
gateway was restarted, or the listener was away for too long) and everything starts over from it.

::

    ListenerError
      BadAddress           that cannot be where a gateway is (also ValueError)
      GatewayUnreachable   nobody answers at that address (only the first connection raises it)
      ListenerRefused      the gateway does not want this listener; trying again would not help
"""

from __future__ import annotations

import logging
from asyncio import sleep
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import cycle
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from aiohttp import (
    ClientConnectorCertificateError,
    ClientError,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    ClientWSTimeout,
    InvalidURL,
    WSMsgType,
    WSServerHandshakeError,
)
from msgspec import structs

from firmware_bridge.pacing import Backoff
from firmware_bridge.servers import in_words
from gateway.client.credentials import Introduction
from gateway.contract.events import (
    CursorEvent,
    ErrorEvent,
    HubEvent,
    ListenerEvent,
    SaidEvent,
    Say,
    SnapshotEvent,
    Subscribe,
    decode_event,
)
from gateway.contract.messages import BadMessage, encode

log = logging.getLogger(__name__)  # not structlog: unconfigured, it would print into its user's output

CONNECT_SECONDS = 10.0
HEARTBEAT_SECONDS = 20.0
MAX_EVENT_BYTES = 4 * 1024 * 1024
"""More than any event has; a longer one is refused, and the connection made anew."""
_SCHEMES = {"http": "ws", "ws": "ws", "https": "wss", "wss": "wss"}
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


class ListenerError(Exception):
    """Base of what a listener raises."""


class BadAddress(ListenerError, ValueError):
    """Not an address like ``http://127.0.0.1:8080/``."""


class GatewayUnreachable(ListenerError):
    """Nobody answers at that address."""


class ListenerRefused(ListenerError):
    """The gateway does not want this listener, and says why."""


class Listener:
    """All events of a gateway that ``wanted`` asks for, across its restarts. Raises BadAddress, BadCertificates."""

    def __init__(
        self,
        url: str,
        wanted: Subscribe = Subscribe(),  # noqa: B008 - frozen
        introduction: Introduction = Introduction(),  # noqa: B008 - frozen
        others: Sequence[str] = (),
    ) -> None:
        """``others``: further hubs and gateways of the same house, gone to where this one is not there."""
        self._places = cycle([_websocket_address(one) for one in (url, *others)])
        self._ways = 1 + len(others)
        self.url = next(self._places)
        self._wanted = wanted
        self._cursors = dict(wanted.cursors or {})
        self._introduction = introduction
        self._tls = introduction.tls()
        self._lifetime = AsyncExitStack()
        self._session: ClientSession | None = None
        self._socket: ClientWebSocketResponse | None = None

    async def __aenter__(self) -> Self:
        """Connect. Raises BadAddress, GatewayUnreachable and ListenerRefused."""
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        async with AsyncExitStack() as stack:
            self._session = await stack.enter_async_context(ClientSession(timeout=timeout))
            self._socket = await self._connect_first()
            self._lifetime = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            await self._socket.close()
        await self._lifetime.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ListenerEvent:
        """The next event; never ends by itself. Raises ListenerRefused."""
        while True:
            if self._socket is None:
                self._socket = await self._reconnect()
            message = await self._socket.receive()
            if message.type is not WSMsgType.TEXT:
                log.debug("listener disconnected, code %s", self._socket.close_code)
                await self._socket.close()
                self._socket = None
            elif (event := self._understand(message.data)) and not isinstance(event, CursorEvent):
                return event

    async def say(self, text: str) -> None:
        """Put words to the orchestrators, as if a device had heard them; what comes of it are events like any other.

        The first is a SaidEvent, or an ErrorEvent that says why not. Raises GatewayUnreachable while the
        connection is lost.
        """
        if self._socket is None or self._socket.closed:
            raise GatewayUnreachable(f"not connected to {self.url}")
        try:
            await self._socket.send_str(encode(Say(text=text)).decode())
        except ConnectionError as error:
            raise GatewayUnreachable(f"{self.url} is gone") from error

    def _understand(self, text: str) -> ListenerEvent | None:
        try:
            event = decode_event(text)
        except BadMessage as error:
            log.warning("event not understood: %s", error)
            return None
        if isinstance(event, ErrorEvent):
            if not event.closes:
                return event
            if event.code == "too_many_listeners":
                return None
            raise ListenerRefused(f"{self.url}: {event.reason}")
        if isinstance(event, SaidEvent):
            return event
        self._note(event)
        return event

    def _note(self, event: HubEvent | SnapshotEvent | CursorEvent) -> None:
        """How far it is with each gateway."""
        if isinstance(event, SnapshotEvent | CursorEvent):
            self._cursors = dict(event.cursors)
        self._cursors[event.epoch] = event.seq

    async def _connect_first(self) -> ClientWebSocketResponse:
        """To the first that answers; why the last does not, if none does."""
        for _ in range(self._ways - 1):
            try:
                return await self._connect()
            except GatewayUnreachable as error:
                log.debug("not there: %s", error)
                self.url = next(self._places)
        return await self._connect()

    async def _reconnect(self) -> ClientWebSocketResponse:
        backoff = Backoff(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
        while True:
            await sleep(backoff.next())
            try:
                return await self._connect()
            except GatewayUnreachable as error:
                log.debug("listener reconnecting: %s", error)
                self.url = next(self._places)

    async def _connect(self) -> ClientWebSocketResponse:
        assert self._session is not None, "a listener is used with 'async with'"
        try:
            socket = await self._session.ws_connect(
                self.url,
                heartbeat=HEARTBEAT_SECONDS,
                max_msg_size=MAX_EVENT_BYTES,
                timeout=ClientWSTimeout(ws_close=CONNECT_SECONDS),
                headers=self._introduction.headers,
                ssl=self._tls,
            )
            wanted = structs.replace(self._wanted, cursors=self._cursors)
            await socket.send_str(encode(wanted).decode())
        except WSServerHandshakeError as error:
            if error.status < 500 and error.status != 429:  # too many: there is room again later
                raise ListenerRefused(f"{self.url} answers {error.status} {error.message}") from error
            raise GatewayUnreachable(f"{self.url} answers {error.status}") from error
        except ClientConnectorCertificateError as error:
            raise ListenerRefused(f"{self.url} has a certificate that is not trusted here") from error
        except InvalidURL as error:
            raise BadAddress(f"{self.url} is not an address: {error}") from error
        except (ClientError, TimeoutError, ConnectionError) as error:
            reason = in_words(error) or "it takes too long"
            raise GatewayUnreachable(f"no gateway answers at {self.url}: {reason}") from error
        return socket


def _websocket_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.scheme in _SCHEMES and parts.hostname and parts.port != 0 and "@" not in parts.netloc:
            return f"{_SCHEMES[parts.scheme]}://{parts.netloc}/ws"
    except ValueError as error:
        raise BadAddress(f"{url!r} is not an address: {error}") from error
    raise BadAddress(f"{url!r} is not an address like http://127.0.0.1:8080/")
