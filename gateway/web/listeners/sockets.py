"""Listeners on WebSockets: one JSON event per text message (``docs/events.md``).

Each connection is served by its own task and reads its own queue; whatever happens to one never
touches another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from gateway.access.door import NotAdmitted
from gateway.access.principals import Principal
from gateway.contract.events import Authenticate, ErrorEvent, SaidEvent, Subscribe, decode_first, decode_say
from gateway.contract.messages import BadMessage, encode
from gateway.hub.fanout import Batch
from gateway.hub.hub import Evicted, HubFull, ListenerQueue, SlowConsumer
from gateway.pipeline.asking.typed_text import Said, SayError
from gateway.web.entrance.guard import PROTOCOL, TooFast, count_message, introduce, visit_of, who
from gateway.web.listeners.forwarding import CLOSE_SECONDS, DIRECT_BYTES, close_socket, forward
from gateway.web.parts import NotRunning, Parts

log = structlog.get_logger(__name__)

SUBSCRIBE_SECONDS = 1.0
"""A listener that has said nothing for so long gets everything."""
AUTHENTICATE_SECONDS = 5.0
"""Where a token is needed, it has to be here by then."""
MAX_MESSAGE_BYTES = 64 * 1024
"""A longer message from a listener closes its connection with 1009."""


class _Gone(Exception):
    """The listener has left."""


class Sockets:
    """All WebSockets of one server."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._open: set[_Connection] = set()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one listener until it leaves, misbehaves or falls behind, or the hub closes."""
        socket = web.WebSocketResponse(
            timeout=CLOSE_SECONDS,
            heartbeat=self._parts.settings.heartbeat_seconds,
            max_msg_size=MAX_MESSAGE_BYTES,
            compress=False,
            protocols=(PROTOCOL,),
        )
        await socket.prepare(request)
        connection = _Connection(request, socket, self._parts)
        self._open.add(connection)
        try:
            await self._listen(connection)
        finally:
            self._open.remove(connection)
        return socket

    async def close(self) -> None:
        """Say goodbye to every listener."""
        await asyncio.gather(*(connection.close(WSCloseCode.GOING_AWAY) for connection in self._open))

    async def _listen(self, connection: _Connection) -> None:
        try:
            subscription = await connection.subscription()
            hub, direct = self._parts.hub, connection.direct()
            await hub.catch_up(subscription)
            with hub.attach(subscription, connection.principal, direct) as queue:
                await connection.forward(queue)
            await connection.close(WSCloseCode.GOING_AWAY, "the gateway is stopping")
        except BadMessage as error:
            await connection.refuse(WSCloseCode.POLICY_VIOLATION, "bad_message", str(error))
        except NotAdmitted as error:
            await connection.refuse(WSCloseCode.POLICY_VIOLATION, "not_admitted", str(error))
        except TooFast as error:
            await connection.refuse(WSCloseCode.POLICY_VIOLATION, "too_many_messages", str(error))
        except HubFull as error:
            await connection.refuse(WSCloseCode.TRY_AGAIN_LATER, "too_many_listeners", str(error))
        except (SlowConsumer, Evicted) as error:
            await connection.close(WSCloseCode.TRY_AGAIN_LATER, str(error))
        except (_Gone, ConnectionError):
            log.debug("listener left")


class _Connection:
    """One listener's socket."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, parts: Parts) -> None:
        self._parts = parts
        self._request = request
        self._socket = socket

    @property
    def principal(self) -> Principal:
        """Who listens. Raises NotAdmitted as long as nobody has said it."""
        return who(self._request)

    async def subscription(self) -> Subscribe:
        """The listener's first message, after a token if it has to show one. Raises BadMessage and NotAdmitted."""
        if visit_of(self._request).principal is None:
            first = await self._within(AUTHENTICATE_SECONDS)
            if not isinstance(first, Authenticate):
                raise NotAdmitted("a token is needed: authenticate first")
        else:
            first = await self._within(SUBSCRIBE_SECONDS)
        if isinstance(first, Authenticate):
            await introduce(self._request, first.token)
            first = await self._within(SUBSCRIBE_SECONDS)
        if isinstance(first, Authenticate):
            raise BadMessage("only one token per connection")
        return first or Subscribe()

    async def forward(self, queue: ListenerQueue) -> None:
        """Send events until the hub closes. Raises BadMessage, SlowConsumer, _Gone, ConnectionError."""
        await forward(self._request, queue, self._send_all(queue), self._answer_all())

    def direct(self) -> Callable[[Batch], bool]:
        """A way onto the wire for what is framed already, as long as the wire is free."""
        socket, transport = self._socket, self._request.transport

        def write(batch: Batch) -> bool:
            if transport is None or socket.closed:
                return False
            frames = batch.frames
            if transport.get_write_buffer_size() + len(frames) > DIRECT_BYTES:
                return False
            transport.write(frames)
            return True

        return write

    async def refuse(self, close_code: WSCloseCode, code: str, reason: str) -> None:
        """Tell the listener why, then close."""
        log.info("listener refused", code=code, reason=reason)
        await self.close(close_code, code, ErrorEvent(code=code, reason=reason))

    async def close(self, code: WSCloseCode, reason: str = "", last: ErrorEvent | None = None) -> None:
        """Close with the handshake if the listener takes part in it, else without."""

        async def say() -> None:
            if last is not None:
                await self._socket.send_str(encode(last).decode())

        await close_socket(self._request, self._socket, code, reason, say)

    async def _within(self, seconds: float) -> Authenticate | Subscribe | None:
        """The next message; None when there is none so long."""
        try:
            async with asyncio.timeout(seconds):
                return decode_first(await self._read())
        except TimeoutError:
            return None

    async def _send_all(self, queue: ListenerQueue) -> None:
        async for item in queue:
            await self._socket.send_str(item.text)

    async def _answer_all(self) -> None:
        """What a listener says after its first message. Raises BadMessage, _Gone, ConnectionError."""
        while True:
            answer = await self._answer(await self._read())
            await self._socket.send_str(encode(answer).decode())

    async def _answer(self, text: str) -> SaidEvent | ErrorEvent:
        try:
            say = decode_say(text)
        except BadMessage as error:
            return ErrorEvent(code="ignored", reason=str(error))
        try:
            said = await self._say(say.text)
        except (SayError, NotRunning) as error:
            return ErrorEvent(code="not_said", reason=str(error), ref=say.ref)
        return SaidEvent(
            session_id=said.session_id,
            device_id=said.device_id,
            correlation_id=said.correlation_id,
            ref=say.ref,
        )

    async def _say(self, text: str) -> Said:
        """Here, or by a gateway of the house where this is a hub. Raises SayError, NotRunning."""
        parts = self._parts
        if parts.others is None or parts.find_running() is not None:
            return await parts.running().pipeline.say(text, self.principal)
        return await parts.others.say(text, self.principal)

    async def _read(self) -> str:
        message = await self._socket.receive()
        count_message(self._request)
        if message.type is WSMsgType.TEXT:
            return str(message.data)
        if message.type is WSMsgType.BINARY:
            raise BadMessage("binary messages are not understood, only JSON text")
        raise _Gone
