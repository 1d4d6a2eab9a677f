"""A client that may send anything: bytes on a socket, and what comes back."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.gateway.web.house import PATIENCE

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\x01\x02\x03\x04"


@dataclass
class Raw:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, str]:
        """The status and the whole head of an answer; 0 when the connection was closed without one."""
        try:
            async with asyncio.timeout(PATIENCE):
                text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, ""
        return int(text.split(" ", 2)[1]), text

    async def close_code(self) -> int | None:
        """What the gateway closes this WebSocket with; None when it just goes."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    opcode, payload = await self.frame()
                    if opcode == 8:
                        return int(struct.unpack("!H", payload[:2])[0]) if payload else None
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def frame(self) -> tuple[int, bytes]:
        """The next frame of the gateway."""
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return first & 0x0F, await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """Everything until the gateway closes."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def websocket(port: int, *, headers: str = "") -> AsyncIterator[Raw]:
    async with connection(port) as raw:
        raw.send(handshake(port, headers))
        status, head = await raw.head()
        assert status == 101, head
        yield raw


def request(port: int, line: str = "GET /livez HTTP/1.1", headers: str = "") -> bytes:
    return f"{line}\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n".encode("latin-1")


def handshake(port: int, headers: str = "", path: str = "/ws") -> bytes:
    return request(
        port,
        f"GET {path} HTTP/1.1",
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n"
        f"Sec-WebSocket-Version: 13\r\n{headers}",
    )


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """A client's frame, right or wrong; ``length`` lies about it."""
    size = len(payload) if length is None else length
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    mask = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, mask | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    if not masked:
        return head + payload
    body = bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))
    return head + MASK + body
