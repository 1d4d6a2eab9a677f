"""Listeners of the hub in a process of their own, as cheap as they can be made: they count frames and look at clocks.

``python -m benchmarks.hub_clients PORT PATH COUNT`` prints ``ready`` when all of them listen, and at the end of its
standard input what they got, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

_SUBSCRIBE = b'{"type":"subscribe"}'
_MASKED = bytes((0x81, 0x80 | len(_SUBSCRIBE), 0, 0, 0, 0)) + _SUBSCRIBE
_PING, _PONG = 0x89, bytes((0x8A, 0x80, 0, 0, 0, 0))
"""The gateway asks without words whether somebody is there."""


class Tally:
    """What all listeners of this process got together."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.listening = 0
        self.closed = 0
        self.latencies_ms: list[float] = []
        self.first_at = 0.0
        self.last_at = 0.0
        self.ears: list[Ear] = []
        self.all_there = asyncio.Event()

    def here(self) -> None:
        """One more listener has its snapshot."""
        self.listening += 1
        if self.listening == self.count:
            self.all_there.set()

    def report(self) -> dict[str, Any]:
        """The figures."""
        return {
            "events": sum(ear.events for ear in self.ears),
            "finals": [ear.finals for ear in self.ears],
            "latencies_ms": self.latencies_ms,
            "seconds": self.last_at - self.first_at,
            "closed": self.closed,
            "cpu_seconds": time.process_time(),
        }


class Ear(asyncio.Protocol):
    """One listener: a WebSocket that only reads."""

    def __init__(self, tally: Tally, request: bytes, *, snapshot: bool) -> None:
        self._tally = tally
        self._request = request
        self._greeting = 2 if snapshot else 1  # the handshake's answer, the snapshot
        self._rest = b""
        self.events = 0
        self.finals = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask to be let in, and for everything."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)
        self._tally.ears.append(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """Nobody is to be lost in a measurement."""
        self._tally.closed += 1

    def data_received(self, data: bytes) -> None:
        """Frames, and pieces of them."""
        now = time.time()
        data = self._rest + data if self._rest else data
        at = 0
        if self._greeting:
            at = self._greet(data)
        size = len(data)
        fresh = at
        while size - at >= 4:
            length, head = data[at + 1], 2
            if length == 126:
                length, head = data[at + 2] << 8 | data[at + 3], 4
            elif length == 127:
                if size - at < 10:
                    break
                length, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
            end = at + head + length
            if end > size:
                break
            if data[at] == _PING:
                self._transport.write(_PONG)
                fresh = end
            elif self._greeting:
                self._greeting = 0
                fresh = end
                self._tally.here()
            else:
                self._count(data, at, end)
            at = end
        if at > fresh:
            self._clock(data, fresh, now)
        self._rest = data[at:]

    def _greet(self, data: bytes) -> int:
        if self._greeting != 2 and not data.startswith(b"HTTP/"):
            return 0
        end = data.find(b"\r\n\r\n")
        if end < 0 or not data.startswith(b"HTTP/"):
            return 0
        assert data.startswith(b"HTTP/1.1 101"), data[:200]
        if self._greeting == 1:
            self._greeting = 0
            self._tally.here()
        return end + 4

    def _count(self, data: bytes, at: int, end: int) -> None:
        self.events += 1
        if data.find(b'"final":true', at, end) >= 0 or data.find(b'"type":"transcription"', at, end) >= 0:
            self.finals += 1

    def _clock(self, data: bytes, at: int, now: float) -> None:
        """The age of the first event of what came together."""
        tally = self._tally
        start = data.index(b'"timestamp":', at) + 12
        published = float(data[start : data.index(b",", start)])
        tally.latencies_ms.append(1000 * (now - published))
        tally.first_at = tally.first_at or now
        tally.last_at = now


async def listen(port: int, path: str, count: int) -> None:
    """Connect them all, then wait for the end of standard input."""
    loop = asyncio.get_running_loop()
    tally = Tally(count)
    hello = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    snapshot = path == "/ws"
    request = hello + _MASKED if snapshot else hello
    for _ in range(count):
        await loop.create_connection(lambda: Ear(tally, request, snapshot=snapshot), "127.0.0.1", port)
    await tally.all_there.wait()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(tally.report()), flush=True)


if __name__ == "__main__":
    asyncio.run(listen(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
