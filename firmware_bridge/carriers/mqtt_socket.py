"""The socket of a paho-mqtt client, watched by the event loop instead of a thread."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

READ_BURST = 64
"""Packets read before the loop's other work has its turn."""
DISCARD_BYTES = 256 * 1024
"""Of a packet that is too large, thrown away before the loop's other work has its turn."""
TCP_IDLE_SECONDS = 10
"""A connection that is silent for so long is probed by the kernel."""


class MqttSocket:
    """Reads and writes for a connected paho client (its owner counts ``packets``), until it is closed."""

    def __init__(self, client: Any, max_packet: int) -> None:
        """``max_packet``: bytes; larger ones are thrown away as they come, for paho would hold them whole."""
        self.oversized = 0
        """Packets thrown away."""
        self.packets = 0
        """Packets that came; how one sees whether a read brought anything."""
        self.paused = False
        """Whether nothing is read, for there is no room for it."""
        self._loop = asyncio.get_running_loop()
        self._client = client
        self._misc: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._max_packet = max_packet
        self._receive = client._sock_recv  # noqa: SLF001
        self._empty = dict(client._in_packet)  # noqa: SLF001
        client._sock_recv = self._bounded  # noqa: SLF001

    def connected(self) -> None:
        """In the thread that connects, which may come too late: whoever closed this found no socket then."""
        sock = self._client.socket()
        if self._is_closed and sock is not None:
            sock.close()

    def watch(self) -> bool:
        """Begin; False when the connection is lost already."""
        client, sock = self._client, self._client.socket()
        if sock is None:
            return False
        client.on_socket_close = lambda _c, _u, closing: self._unwatch(closing)
        client.on_socket_register_write = lambda _c, _u, ready: self._loop.add_writer(
            ready, client.loop_write
        )
        client.on_socket_unregister_write = lambda _c, _u, ready: self._loop.remove_writer(ready)
        # Without this, small packets (an acknowledgement) wait 40 ms and more for company.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, TCP_IDLE_SECONDS)
        self._loop.add_reader(sock, self._readable)
        if client.want_write():
            self._loop.add_writer(sock, client.loop_write)
        self._misc = self._loop.call_later(1.0, self._every_second)
        return True

    def pause(self) -> None:
        """Read nothing more. The end of the connection is not noticed either."""
        self.paused = True
        self._loop.remove_reader(self._client.socket())

    def resume(self) -> None:
        """Go on reading. Idempotent."""
        if self.paused:
            self.paused = False
            self._loop.add_reader(self._client.socket(), self._readable)
            self._loop.call_soon(self._readable)  # what is decrypted already wakes nobody

    def stop(self) -> None:
        """The connection has ended. Idempotent."""
        if self._misc is not None:
            self._misc.cancel()
            self._misc = None

    def close(self) -> None:
        """Break the connection. Idempotent."""
        self.stop()
        self._is_closed = True
        sock = self._client.socket()
        if sock is not None and sock.fileno() != -1:
            self._client.on_socket_close = None
            self._client.on_socket_unregister_write = None
            self._unwatch(sock)
            sock.close()

    def _unwatch(self, sock: Any) -> None:
        self._loop.remove_reader(sock)
        self._loop.remove_writer(sock)

    def _readable(self) -> None:
        """Take what is there, so that few wakeups carry much; paho reads a packet or few at a time."""
        for _ in range(READ_BURST):
            if self.paused or self._misc is None:
                return
            before = self.packets
            self._client.loop_read()
            if self.packets == before and not self._decrypted():
                break
        else:
            self._loop.call_soon(self._readable)
        sock = self._client.socket()
        if sock is not None:
            # Acknowledge at once (Linux forgets this wish after a while): brokers as they are installed
            # hold small packets back until the one before is acknowledged.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _bounded(self, size: int) -> bytes:
        """What paho reads with. Raises BlockingIOError, as when nothing is there, while a packet is thrown away."""
        packet = self._client._in_packet  # noqa: SLF001 - paho has no bound of its own
        if not packet["have_remaining"] or packet["remaining_length"] <= self._max_packet:
            received: bytes = self._receive(size)
            return received
        skipped: bytes = self._receive(min(size, DISCARD_BYTES))
        if not skipped:
            return skipped
        packet["to_process"] -= len(skipped)
        if not packet["to_process"]:
            self.oversized += 1
            self._client._in_packet = {**self._empty, "remaining_count": [], "packet": bytearray()}  # noqa: SLF001
        raise BlockingIOError

    def _decrypted(self) -> bool:
        """Whether TLS holds bytes that the socket does not show any more."""
        sock = self._client.socket()
        return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0

    def _every_second(self) -> None:
        self._misc = self._loop.call_later(1.0, self._every_second)
        self._client.loop_misc()  # keep-alive
