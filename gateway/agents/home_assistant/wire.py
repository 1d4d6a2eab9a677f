"""Home Assistant's WebSocket, kept: commands and what comes of them, several at a time; made anew when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from itertools import count
from typing import Any, Final

import msgspec
from aiohttp import ClientError, ClientWebSocketResponse, WSMsgType

from gateway.agents.http_peer import HttpPeer, PeerFailed

PATH: Final = "/api/websocket"
LOGIN_SECONDS: Final = 5.0
MOST_WAITING: Final = 1_000
"""Messages to one command that nobody has taken yet; with more it has failed."""
_LET_IN = "make a long-lived access token in Home Assistant, and give it to this agent"
_Queue = asyncio.Queue[dict[str, Any] | PeerFailed]


class AssistWire:
    """One connection at a time, which is made when it is needed. ``close`` ends it."""

    def __init__(self, peer: HttpPeer, token: str) -> None:
        self.version = ""
        """Home Assistant's, once it was there."""
        self.connections = 0
        """So many were made."""
        self._peer = peer
        self._token = token
        self._socket: ClientWebSocketResponse | None = None
        self._reading: asyncio.Task[None] | None = None
        self._numbers = count(1)
        self._waiting: dict[int, _Queue] = {}
        self._making = asyncio.Lock()

    async def ask(self, kind: str, **fields: object) -> Any:
        """A command with one result. Raises PeerFailed."""
        async for told in self.follow(kind, **fields):
            return told.get("result")
        return None

    async def follow(self, kind: str, **fields: object) -> AsyncGenerator[dict[str, Any]]:
        """A command: its result, and then its events for ever. Whoever leaves ends it there, too. Raises PeerFailed."""
        socket = await self._connected()
        number = next(self._numbers)
        queue: _Queue = asyncio.Queue(MOST_WAITING)
        self._waiting[number] = queue
        has_events = False
        try:
            await self._send(socket, {"id": number, "type": kind} | fields)
            while True:
                told = await queue.get()
                if isinstance(told, PeerFailed):
                    raise told
                has_events = has_events or told.get("type") == "event"
                if told.get("type") == "result" and told.get("success") is not True:
                    raise _refused(told.get("error"))
                yield told
        finally:
            del self._waiting[number]
            if kind.endswith("/run") and socket is self._socket and not socket.closed:
                self._end(socket, number)

    async def close(self) -> None:
        """Nothing is asked any more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()
            self._socket = None

    async def connect(self) -> None:
        """Ahead of the first command; whoever is not there is asked again then."""
        with suppress(PeerFailed):
            await self._connected()

    def _end(self, socket: ClientWebSocketResponse, number: int) -> None:
        """What still comes is for nobody."""
        told = {"id": next(self._numbers), "type": "unsubscribe_events", "subscription": number}
        task = asyncio.ensure_future(self._send(socket, told))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _connected(self) -> ClientWebSocketResponse:
        async with self._making:
            if self._socket is None or self._socket.closed:
                if self._reading is not None:
                    await asyncio.wait({self._reading})  # whoever waits by the last one is told, and no other
                socket = await self._peer.socket(PATH)
                try:
                    await self._log_in_soon(socket)
                except BaseException:
                    await socket.close()
                    raise
                self.connections += 1
                self._socket = socket
                self._reading = asyncio.create_task(self._read(socket), name="home assistant")
            return self._socket

    async def _log_in_soon(self, socket: ClientWebSocketResponse) -> None:
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                await self._log_in(socket)
        except TimeoutError as error:
            raise PeerFailed("Home Assistant does not answer in time", "see that it runs") from error

    async def _log_in(self, socket: ClientWebSocketResponse) -> None:
        told = _read_message(await _received(socket))
        if told.get("type") != "auth_required":
            raise PeerFailed("Home Assistant is something else", "see the agent's url", never_began=True)
        await self._send(socket, {"type": "auth", "access_token": self._token})
        told = _read_message(await _received(socket))
        if told.get("type") != "auth_ok":
            said = str(told.get("message", ""))[:200]
            raise PeerFailed(
                f"Home Assistant does not let us in{f': {said}' if said else ''}",
                _LET_IN,
                status=401,
                never_began=True,
            )
        self.version = str(told.get("ha_version", ""))[:40]

    async def _read(self, socket: ClientWebSocketResponse) -> None:
        failure = PeerFailed("the answer of Home Assistant was cut off")
        try:
            while True:
                told = _read_message(await _received(socket))
                queue = self._waiting.get(told["id"]) if isinstance(told.get("id"), int) else None
                if queue is not None:
                    _put(queue, told)
        except PeerFailed as error:
            failure = error
        finally:
            self._socket = None
            for queue in self._waiting.values():
                _put(queue, failure)
            await socket.close()

    async def _send(self, socket: ClientWebSocketResponse, told: dict[str, object]) -> None:
        try:
            await socket.send_str(msgspec.json.encode(told).decode())
        except (ClientError, OSError) as error:
            raise PeerFailed("the answer of Home Assistant was cut off") from error


def _put(queue: _Queue, told: dict[str, Any] | PeerFailed) -> None:
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        told = PeerFailed("Home Assistant says more than is listened to")
    queue.put_nowait(told)


async def _received(socket: ClientWebSocketResponse) -> str:
    message = await socket.receive()
    if message.type is not WSMsgType.TEXT:
        raise PeerFailed("the answer of Home Assistant was cut off")
    return str(message.data)


def _read_message(text: str) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise PeerFailed("Home Assistant answers with no JSON", "see the agent's url") from error
    if not isinstance(told, dict):
        raise PeerFailed("Home Assistant is something else", "see the agent's url")
    return told


def _refused(error: object) -> PeerFailed:
    told = error if isinstance(error, dict) else {}
    said = " ".join(str(told.get("message", "")).split())[:200]
    return PeerFailed(f"Home Assistant refuses it{f': {said}' if said else ''}", "see its log")
