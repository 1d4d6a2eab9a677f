"""Connections to the web server: accepted one by one, counted by address, and cut when nothing comes.

aiohttp reads HTTP; what comes before that is here. Somebody over their limit is told so (429) without TLS, and just
closed under it; a request whose head or body stops coming is cut off.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self

import structlog
from aiohttp import StreamReader, web

from gateway.access.audit import Audit, What
from gateway.access.limits import MAX_KEYS, Buckets, Crowd, Rate, address_key
from gateway.process.open_files import for_connections
from gateway.settings.web import WebLimitSettings
from gateway.web.entrance.masks import MaskedOnly
from gateway.web.entrance.proxies import Proxies

log = structlog.get_logger(__name__)

HANDSHAKE_SECONDS = 10.0
"""TLS that is not agreed upon by then is given up."""
LINGER_SECONDS = 1.0
"""So long somebody who is told to go may take to read it."""
MAX_LINGERING = 64
"""More of them than that are closed without a word."""
UNREAD_SECONDS = 120.0
"""A peer that takes nothing of what is sent to it for so long is gone, says the kernel."""
PAUSE_SECONDS = 0.5
"""After the system had no socket left."""
BURST_SECONDS = 10.0
FRAMES_OF_A_SOCKET = 2
FRAMES_OF_AN_ADDRESS = 20
"""Times ``messages_per_second``: so many frames are read of one WebSocket, whatever it is for, and of all of one
address. A board that speaks sends 50 a second, and at once what its ring has kept."""
_MB = 1024 * 1024
_MAX_HEAD_FIELD = 16 * 1024
"""A token of 8 KiB fits."""
RETRY_SECONDS = 10
"""When somebody who found no room should come again."""
_TOO_MANY = (
    "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: {retry}\r\nServer: earshot\r\n"
    "Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{text}"
)


_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)


def _spare() -> int | None:
    """A descriptor that is kept back; None: there is none left."""
    try:
        return os.eventfd(0)
    except OSError:
        return None


class Peer(NamedTuple):
    """Whoever is at the other end. A trusted proxy hands on for many, whose limits are not its own."""

    address: str
    is_proxy: bool


class Visitor(web.RequestHandler):
    """One connection, as aiohttp serves it, with the limits of its address."""

    def __init__(self, doorstep: Doorstep, server: web.Server, peer: Peer) -> None:
        limits = doorstep.limits
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.idle_seconds,
            access_log=None,  # type: ignore[arg-type]  # aiohttp itself passes None
            max_field_size=_MAX_HEAD_FIELD,
        )
        self._doorstep = doorstep
        self._peer = peer
        self.is_in = False
        """Whether it came as far as HTTP."""
        self._heard = 0
        self._body: StreamReader | None = None
        self._is_slow: asyncio.TimerHandle | None = None
        self._owing: asyncio.TimerHandle | None = None
        self._socket: MaskedOnly | None = None
        self._frames = doorstep.frames(FRAMES_OF_A_SOCKET, 1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A head has to come."""
        super().connection_made(transport)
        self.is_in = True
        self._watch(self._no_head, self._doorstep.limits.header_seconds)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing has to come any more."""
        self._unwatch()
        if self._owing is not None:
            self._owing.cancel()
        super().connection_lost(exc)
        self._doorstep.left(self._peer)

    def data_received(self, data: bytes) -> None:
        """Read on only as fast as the address may send."""
        self._heard += len(data)
        wait = self._doorstep.owes(self._peer, len(data)) if data else 0.0
        super().data_received(data)
        if self._socket is not None and (frames := self._socket.count()):
            own = self._frames.owe("", time.monotonic(), frames)
            wait = max(wait, own, self._doorstep.owes_frames(self._peer, frames))
        if wait > 0 and self.transport is not None and not self.transport.is_closing():
            if self._owing is not None:
                self._owing.cancel()
            self.transport.pause_reading()
            self._owing = asyncio.get_running_loop().call_later(wait, self._read_on)

    def resume_reading(self, *options: Any, **more: Any) -> None:
        """Whoever has stopped it lets it go on, as far as the address may."""
        super().resume_reading(*options, **more)
        if self._owing is not None and self.transport is not None:
            self.transport.pause_reading()

    def set_parser(self, parser: Any, data_received_cb: Callable[[], None] | None = None) -> None:
        """From now on it is a WebSocket."""
        self._socket = MaskedOnly(parser)
        super().set_parser(self._socket, data_received_cb)  # type: ignore[arg-type]  # all that is fed to it

    def arrived(self, body: StreamReader) -> None:
        """A whole head is there; its body has to come, too."""
        self._unwatch()
        self._body = body
        if not body.is_eof():
            self._watch(self._no_body, self._doorstep.limits.idle_seconds)

    def _watch(self, look: Callable[[int], None], seconds: float) -> None:
        heard = self._heard
        self._is_slow = asyncio.get_running_loop().call_later(seconds, lambda: look(heard))

    def _unwatch(self) -> None:
        if self._is_slow is not None:
            self._is_slow.cancel()
            self._is_slow = None

    def _no_head(self, _heard: int) -> None:
        self._cut("request head")

    def _no_body(self, heard: int) -> None:
        if self._body is None or self._body.is_eof():
            return
        if self._heard == heard and not self._reading_paused:
            self._cut("request body")
        else:
            self._watch(self._no_body, self._doorstep.limits.idle_seconds)

    def _cut(self, what: str) -> None:
        if self.transport is not None:
            self._doorstep.audit.note(What.LIMITED, address=self._peer.address, limit=f"{what} too slow")
            self.transport.abort()

    def _read_on(self) -> None:
        self._owing = None
        # Whoever else has stopped it will let it go on: flow control, and requests that wait their turn.
        if self.transport is not None and not (
            self._reading_paused or getattr(self, "_buffer_paused", False)
        ):
            self.transport.resume_reading()


class Doorstep:
    """Accepts from ``async with`` to its end. Takes over ``listener``."""

    def __init__(
        self,
        listener: socket.socket,
        server: web.Server,
        limits: WebLimitSettings,
        audit: Audit,
        *,
        proxies: Proxies,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self.limits = limits
        self._proxies = proxies
        self.audit = audit
        self._listener = listener
        self._server = server
        self._tls = tls
        self._most = for_connections(limits.connections)
        self._open = Crowd(limits.connections_per_address)
        self._count = 0
        rate = limits.megabytes_per_second * _MB
        self._bytes = Buckets(Rate(rate, rate * BURST_SECONDS))
        self._frames = self.frames(FRAMES_OF_AN_ADDRESS)
        self._paused: asyncio.TimerHandle | None = None
        self._greeting: set[asyncio.Task[None]] = set()
        self._lingering = 0
        self._stuck = False
        self._spare: int | None = None
        self.refused = 0

    async def __aenter__(self) -> Self:
        self._listener.setblocking(False)
        self._accept_on()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._paused is not None:
            self._paused.cancel()
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        self._give_spare()
        # A greeting that is cancelled before it begins would leave its connection open.
        await asyncio.sleep(0)
        for task in self._greeting:
            task.cancel()
        await asyncio.gather(*self._greeting, return_exceptions=True)

    def __len__(self) -> int:
        return self._count

    def left(self, peer: Peer) -> None:
        """A connection of theirs is closed."""
        self._count -= 1
        self._open.leave(peer.address)

    def owes(self, peer: Peer, size: int) -> float:
        """How long not to read from there, after ``size`` bytes more."""
        return 0.0 if peer.is_proxy else self._bytes.owe(peer.address, time.monotonic(), size)

    def owes_frames(self, peer: Peer, count: int) -> float:
        """The same after so many frames of WebSockets more."""
        return 0.0 if peer.is_proxy else self._frames.owe(peer.address, time.monotonic(), count)

    def frames(self, times: int, keys: int = MAX_KEYS) -> Buckets:
        """For frames, so many times what a listener may say."""
        rate = self.limits.messages_per_second * times
        return Buckets(Rate(rate, rate * BURST_SECONDS), keys)

    def _accept_on(self) -> None:
        self._paused = None
        if self._spare is None:
            self._spare = _spare()
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        """Not ``sock_accept``: cancelled between its accepting and its caller's waking, it loses the connection."""
        loop = asyncio.get_running_loop()
        try:
            connection, peer = self._listener.accept()
        except BlockingIOError:  # gone before we came
            return
        except OSError as error:  # the same, or no descriptor left
            if not self._stuck:
                log.warning("connections are not accepted", reason=error.strerror)
            self._stuck = True
            if error.errno in _NO_DESCRIPTOR and self._refuse():
                return
            loop.remove_reader(self._listener)
            self._paused = loop.call_later(PAUSE_SECONDS, self._accept_on)
            return
        self._stuck = False
        connection.setblocking(False)
        address = str(peer[0])
        somebody = Peer(address_key(address), address in self._proxies)
        task = loop.create_task(self._greet(connection, somebody), name="greeting")
        self._greeting.add(task)
        task.add_done_callback(self._greeting.discard)

    def _refuse(self) -> bool:
        """With the descriptor that was kept back: who is not told would wait in the kernel. False: it could not be."""
        if self._spare is None:
            return False
        self._give_spare()
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:  # gone before we came
            return True
        except OSError:  # somebody was faster
            return False
        else:
            self.refused += 1
            return True
        finally:
            self._spare = _spare()

    def _give_spare(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    async def _greet(self, connection: socket.socket, peer: Peer) -> None:
        if reached := self._reached(peer):
            self.refused += 1
            self.audit.note(What.LIMITED, address=peer.address, limit=reached)
            await self._turn_away(connection, reached)
        else:
            await self._let_in(connection, peer)

    def _reached(self, peer: Peer) -> str:
        """The limit that leaves no room for one more; empty: there is room."""
        if len(self) >= self._most:
            return f"{self._most} connections (web.limits.connections)"
        return "" if peer.is_proxy else self._open.reached(peer.address)

    async def _let_in(self, connection: socket.socket, peer: Peer) -> None:
        visitor = Visitor(self, self._server, peer)
        self._open.come(peer.address)
        self._count += 1
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD_SECONDS * 1000))
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: visitor,
                connection,
                ssl=self._tls() if self._tls else None,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if self._tls else None,
            )
        except OSError as error:  # TLS's and time's errors are such, too
            log.debug("connection lost before its first request", reason=str(error))
            connection.close()
        finally:
            if not visitor.is_in:
                self.left(peer)

    async def _turn_away(self, connection: socket.socket, reached: str) -> None:
        """Say why. Closing at once would reset the connection before they have read it."""
        loop = asyncio.get_running_loop()
        text = f"too many: there are {reached} already\n"
        told = _TOO_MANY.format(retry=RETRY_SECONDS, length=len(text), text=text).encode()
        self._lingering += 1
        try:
            if self._tls is not None or self._lingering > MAX_LINGERING:
                return
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    await loop.sock_sendall(connection, told)
                    connection.shutdown(socket.SHUT_WR)
                    while await loop.sock_recv(connection, 4096):
                        pass
        finally:
            self._lingering -= 1
            connection.close()
