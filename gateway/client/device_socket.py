"""The simulated device's end of a WebSocket: what a browser's microphone or a board with Wi-Fi does.

The gateway's end is ``gateway/web/device_sockets.py``.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import AbstractAsyncContextManager, suppress
from urllib.parse import urlsplit

from aiohttp import (
    ClientConnectorCertificateError,
    ClientError,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    InvalidURL,
    WSMsgType,
    WSServerHandshakeError,
)

from firmware_bridge.link.frames import DeviceFrame
from firmware_bridge.link.framing import DatagramDecoder
from firmware_bridge.pacing import Backoff
from firmware_bridge.simulator.wires import WireOwner
from gateway.client.credentials import CA_REMEDY, REFUSED_REMEDY, Introduction

CONNECT_SECONDS = 10.0
HEARTBEAT_SECONDS = 20.0
RETRY_SECONDS = 1.0
"""The longest wait before the gateway is looked for again."""
OUTBOX_MESSAGES = 256
"""Frames that may wait for the socket: all the credit a gateway may give; further ones are not taken."""


class WebSocketWire:
    """Frames as binary messages. Raises ValueError when ``url`` is not like ``http://127.0.0.1:8080/``."""

    audio_samples = 960
    checksummed = False

    def __init__(self, url: str, introduction: Introduction = Introduction()) -> None:  # noqa: B008 - frozen
        self._introduction = introduction
        self._tls = introduction.tls()
        self._url = _device_address(url)
        self._queue: asyncio.Queue[bytes] | None = None
        self._socket: ClientWebSocketResponse | None = None
        self._plugged = asyncio.Event()
        self._plugged.set()

    async def run(self, owner: WireOwner) -> None:
        """Connect to the gateway and stay connected."""
        backoff = Backoff(0.1, RETRY_SECONDS)
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        async with ClientSession(timeout=timeout) as session:
            while True:
                await self._plugged.wait()
                try:
                    async with self._connecting(session) as opened:
                        backoff.reset()
                        await self._serve(opened, owner)
                except WSServerHandshakeError as error:
                    self._not_let_in(error, owner)
                except ClientConnectorCertificateError:
                    owner.wire_refused(f"{self._url} has a certificate that is not trusted here", CA_REMEDY)
                except (ClientError, InvalidURL, TimeoutError, ConnectionError) as error:
                    owner.wire_missing(f"no gateway answers at {self._url}: {error}")
                await asyncio.sleep(backoff.next())

    def _not_let_in(self, error: WSServerHandshakeError, owner: WireOwner) -> None:
        reason = f"{self._url} answers {error.status} {error.message}"
        if error.status in {401, 403}:
            owner.wire_refused(reason, REFUSED_REMEDY.format(role="device"))
        owner.wire_missing(reason)

    def _connecting(self, session: ClientSession) -> AbstractAsyncContextManager[ClientWebSocketResponse]:
        return session.ws_connect(
            self._url, heartbeat=HEARTBEAT_SECONDS, headers=self._introduction.headers, ssl=self._tls
        )

    def encode(self, frame: DeviceFrame) -> bytes:
        """Header and payload: a WebSocket keeps messages whole."""
        return frame.to_bytes()

    def write(self, data: bytes) -> bool:
        """Send one frame."""
        if self._queue is None or self._queue.full():
            return False
        self._queue.put_nowait(data)
        return True

    def unplug(self) -> None:
        """Break the connection without a goodbye."""
        self._plugged.clear()
        connection = self._socket.get_extra_info("socket") if self._socket is not None else None
        if connection is not None:
            with suppress(OSError):  # it is broken already
                connection.shutdown(socket.SHUT_RDWR)

    def replug(self) -> None:
        """Allow the next connection."""
        self._plugged.set()

    async def _serve(self, opened: ClientWebSocketResponse, owner: WireOwner) -> None:
        """Frames both ways until the socket closes."""
        decoder = DatagramDecoder()
        self._socket, self._queue = opened, asyncio.Queue(OUTBOX_MESSAGES)
        sender = asyncio.create_task(_send_all(opened, self._queue), name="device sender")
        owner.wire_up()
        try:
            async for message in opened:
                if message.type is WSMsgType.BINARY:
                    for decoded in decoder.feed(message.data):
                        owner.received(decoded)
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            self._socket = self._queue = None
            owner.wire_down()


async def _send_all(opened: ClientWebSocketResponse, queue: asyncio.Queue[bytes]) -> None:
    while True:
        await opened.send_bytes(await queue.get())


def _device_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname or parts.port == 0:
        raise ValueError(f"{url!r} is not an address like http://127.0.0.1:8080/")
    scheme = "wss" if parts.scheme in {"https", "wss"} else "ws"
    return f"{scheme}://{parts.netloc}/device"
