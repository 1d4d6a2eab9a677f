"""Listeners of a house in a process of their own: each follows one device, keeps cursors, and goes on at another hub.

``python -m benchmarks.load.house_ears JSON``: ``ports`` of the hubs, ``count`` of listeners, ``devices``. It prints
``ready`` when all of them listen. Lines on its standard input: ``phase NAME`` (under which latencies are noted from
then on), ``end``. Then it prints which finals each had, by epoch, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import defaultdict
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

AGAIN_SECONDS = 0.05


class Seen(Struct):
    """As much of an event as a listener has to keep."""

    type: str
    epoch: str
    seq: int
    timestamp: float = 0.0
    final: bool = False
    cursors: dict[str, int] = {}


_decode = msgspec.json.Decoder(Seen).decode


class Crowd:
    """All listeners of this process."""

    def __init__(self, ports: list[int], devices: list[str]) -> None:
        self.ports = ports
        self.devices = devices
        self.phase = ""
        self.latencies_ms: dict[str, list[float]] = defaultdict(list)
        self.listening = 0
        self.moves = 0
        self.ears: list[Following] = []


class Following:
    """One listener across its connections."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self.device_id = crowd.devices[number % len(crowd.devices)]
        self.finals: dict[str, list[int]] = defaultdict(list)
        self.snapshots = 0
        self._place = number // len(crowd.devices)
        self._crowd = crowd
        self._cursors: dict[str, int] = {}
        self.is_listening = False

    async def connect(self) -> None:
        """To the hub whose turn it is, or the next that is there."""
        loop = asyncio.get_running_loop()
        while True:
            port = self._crowd.ports[self._place % len(self._crowd.ports)]
            try:
                await loop.create_connection(partial(Line, self, port), "127.0.0.1", port)
            except OSError:
                self._place += 1
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return

    def lost(self) -> None:
        """Its hub has gone."""
        self.is_listening = False
        self._place += 1
        self._crowd.moves += 1
        self._crowd.listening -= 1
        asyncio.get_running_loop().create_task(self.connect())

    def subscription(self) -> bytes:
        """What it wants, from where it is, as a masked frame."""
        wanted = {"type": "subscribe", "devices": [self.device_id], "cursors": self._cursors}
        body = json.dumps(wanted, separators=(",", ":")).encode()
        size = bytes((0x80 | len(body),)) if len(body) < 126 else b"\xfe" + len(body).to_bytes(2, "big")
        return b"\x81" + size + bytes(4) + body

    def hear(self, data: bytes, now: float) -> None:
        """One event."""
        seen = _decode(data)
        if seen.type == "snapshot":
            self.snapshots += 1
        if seen.type in ("snapshot", "cursor"):
            self._cursors = dict(seen.cursors)
        self._cursors[seen.epoch] = max(seen.seq, self._cursors.get(seen.epoch, 0))
        if seen.type in ("snapshot", "cursor"):
            return
        self._crowd.latencies_ms[self._crowd.phase].append(1000 * (now - seen.timestamp))
        if seen.final or seen.type == "transcription":
            self.finals[seen.epoch].append(seen.seq)


class Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, ear: Following, port: int) -> None:
        self._ear = ear
        self._port = port
        self._rest = b""
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask to be let in."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            + self._ear.subscription()
        )

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """Go on elsewhere."""
        if not self._is_open:
            self._ear._crowd.listening += 1  # noqa: SLF001 - it never was there
        self._ear.lost()

    def data_received(self, data: bytes) -> None:
        """Frames, and pieces of them."""
        now = time.time()
        data = self._rest + data
        at = 0
        if not self._is_open:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._rest = data
                return
            assert data.startswith(b"HTTP/1.1 101"), data[:200]
            self._is_open, at = True, end + 4
            self._ear.is_listening = True
            self._ear._crowd.listening += 1  # noqa: SLF001
        while len(data) - at >= 2:
            kind, length, head = data[at], data[at + 1], 2
            if length == 126:
                length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            elif length == 127:
                length, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
            end = at + head + length
            if end > len(data):
                break
            if kind == 0x81:
                self._ear.hear(data[at + head : end], now)
            at = end
        self._rest = data[at:]


async def listen(wanted: dict[str, Any]) -> None:
    """All of them, until the end of standard input."""
    crowd = Crowd(wanted["ports"], wanted["devices"])
    for number in range(wanted["count"]):
        crowd.ears.append(Following(crowd, number))
        await crowd.ears[-1].connect()
    while not all(ear.snapshots for ear in crowd.ears):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := (await reader.readline()).decode().split():
        if line[0] != "phase":
            break
        crowd.phase = line[1]
    told = {
        "ears": [[ear.device_id, ear.finals, ear.snapshots] for ear in crowd.ears],
        "latencies_ms": crowd.latencies_ms,
        "moves": crowd.moves,
        "listening": crowd.listening,
        "cpu": time.process_time(),
    }
    print(json.dumps(told), flush=True)
    os._exit(0)  # those that are just coming are not waited for


if __name__ == "__main__":
    asyncio.run(listen(json.loads(sys.argv[1])))
