"""Devices on WebSockets: one frame of ``docs/protocol.md`` per binary message, as on MQTT.

A browser's microphone and a microcontroller with Wi-Fi are the same here. Each socket is a line of the
carrier ``web``; it is lost when the socket closes, and a HELLO resumes on the next one, or on another
carrier. What a device may call itself, its token says.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import Iterator
from typing import NoReturn

import structlog
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from firmware_bridge.link.frames import DeviceFrame, FaultCode, Hello
from firmware_bridge.link.framing import DatagramDecoder, Decoded
from firmware_bridge.link.link import refuse
from firmware_bridge.link.wires import WEB, Line
from firmware_bridge.shares import HOUSE, gives_way
from gateway.access.door import NotAdmitted
from gateway.access.principals import WEB_DEVICE, Principal, Role
from gateway.web.entrance.guard import PROTOCOL, visit_of, who
from gateway.web.listeners.forwarding import CLOSE_SECONDS, close_socket, cut, while_admitted
from gateway.web.parts import NotRunning, Parts, RunningParts

log = structlog.get_logger(__name__)

HELLO_SECONDS = 10.0
"""A socket on which no device has said a good HELLO for so long is closed."""
MAX_MESSAGE_BYTES = 8 * 1024
"""More than any frame has. A longer message closes its socket with 1009."""
OUTBOX_BYTES = 64 * 1024
"""Bytes that may wait for one socket; further frames are not taken, and sent again by the link."""
LOOK_SECONDS = 0.5
"""How often it is looked whether a device is still of somebody whom its token may speak for."""


class DeviceSockets:
    """All devices on the sockets of one server; the carrier ``web`` of the bridge."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._numbers = itertools.count(1)
        self._open: dict[_DeviceSocket, None] = {}  # in the order they came
        self._sockets: dict[Line, _DeviceSocket] = {}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one device until it leaves."""
        try:
            running = self._parts.running()
        except NotRunning as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n") from error
        response = web.WebSocketResponse(
            timeout=CLOSE_SECONDS,
            heartbeat=self._parts.settings.heartbeat_seconds,
            max_msg_size=MAX_MESSAGE_BYTES,
            compress=False,
            protocols=(PROTOCOL,),
        )
        is_full = len(self._open) >= 2 * running.config.devices.max_devices
        if is_full and response.can_prepare(request).ok:  # else it is refused, at nobody's cost
            self._make_room(_visitor(who(request)))
        running.bridge.attach(WEB, self)
        socket = _DeviceSocket(request, response)
        self._open[socket] = None
        try:
            await response.prepare(request)
            await self._converse(socket, running)
        finally:
            self._open.pop(socket, None)
        return response

    def send(self, line: Line, frame: DeviceFrame) -> bool:
        """Queue a frame for a socket; False when it is gone or takes nothing more."""
        socket = self._sockets.get(line)
        return socket is not None and socket.put(frame.to_bytes())

    async def close(self) -> None:
        """Say goodbye to every device; it keeps what it has for the next gateway."""
        await asyncio.gather(*(socket.close(WSCloseCode.GOING_AWAY) for socket in self._open))

    def _make_room(self, visitor: str) -> None:
        """At the cost of the visitor who has most sockets. Raises 503 when that is this one."""
        crowd = gives_way(Counter(socket.visitor for socket in self._open), visitor)
        if crowd is None:
            raise web.HTTPServiceUnavailable(text="too many devices are connected\n")
        oldest = next(socket for socket in self._open if socket.visitor == crowd)
        log.info("device socket closed", reason="another device needed its place")
        del self._open[oldest]
        oldest.cut()

    async def _converse(self, socket: _DeviceSocket, running: RunningParts) -> None:
        sender = asyncio.create_task(socket.send_all(), name="device sender")
        try:
            await while_admitted(socket.request, self._hear(socket, running), _lose_device(socket, running))
        except NotAdmitted as error:
            log.info("device socket closed", reason=str(error))
            if socket.device_id:
                running.pipeline.hush(socket.device_id)
            await socket.close(WSCloseCode.POLICY_VIOLATION, str(error))
        except (_Gone, ConnectionError) as error:
            log.debug("device left its socket", reason=str(error))
        except _Misbehaved as error:
            log.info("device socket closed", code=int(error.code), reason=error.reason)
            await socket.close(error.code, error.reason)
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _hear(self, socket: _DeviceSocket, running: RunningParts) -> None:
        line = await self._introduce(socket, running)
        socket.device_id = line.device_id
        await self._listen(socket, line, running)

    async def _introduce(self, socket: _DeviceSocket, running: RunningParts) -> Line:
        """Wait for a HELLO that may stand here; the line that it makes. Raises _Gone, _Misbehaved."""
        stranger = Line(WEB, number=next(self._numbers))
        self._sockets[stranger] = socket
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                while True:
                    for arrival in await socket.receive():
                        if isinstance(arrival, Hello):
                            return self._admit(socket, arrival, stranger.number, running)
                        running.bridge.receive(stranger, (arrival,))  # it is told what is wrong
        except TimeoutError:
            raise _Misbehaved(WSCloseCode.POLICY_VIOLATION, "no HELLO has come") from None
        finally:
            del self._sockets[stranger]

    def _admit(self, socket: _DeviceSocket, hello: Hello, number: int, running: RunningParts) -> Line:
        principal = socket.principal
        if not principal.may_be(hello.device_id, running.pipeline.user(hello.device_id)):
            reason = (
                f"{principal.name} may not be the device {hello.device_id}, but {principal.possible_devices}"
            )
            socket.note_not_allowed(hello.device_id)
            socket.put(refuse(hello, FaultCode.REFUSED, reason).to_bytes())
            running.bridge.refused(Line(WEB, number=number), hello, FaultCode.REFUSED, reason)
            raise _Misbehaved(WSCloseCode.POLICY_VIOLATION, reason)
        if not hello.device_id.startswith(WEB_DEVICE):
            socket.visitor = HOUSE
        line = Line(WEB, hello.device_id, number, socket.visitor)
        self._sockets[line] = socket
        _greet(socket, line, hello, running)
        return line

    async def _listen(self, socket: _DeviceSocket, line: Line, running: RunningParts) -> None:
        try:
            while True:
                for arrival in await socket.receive():
                    if isinstance(arrival, Hello):
                        _greet(socket, line, arrival, running)
                    else:
                        running.bridge.receive(line, (arrival,))
        finally:
            del self._sockets[line]
            running.bridge.line_lost(line, "its socket is closed")


def _greet(socket: _DeviceSocket, line: Line, hello: Hello, running: RunningParts) -> None:
    """A HELLO on the line of who may be this device; its words are its owner's once it is welcome, not before."""
    if not socket.principal.may_be(hello.device_id, running.pipeline.user(hello.device_id)):
        socket.note_not_allowed(hello.device_id)  # the bridge refuses it: the line is another's
    if hello.device_id.startswith(WEB_DEVICE) and running.bridge.admits(line, hello):
        running.pipeline.adopt(hello.device_id, socket.principal.own_user)
    running.bridge.receive(line, (hello,))


async def _lose_device(socket: _DeviceSocket, running: RunningParts) -> NoReturn:
    """Until the device is somebody's, by the configuration, whom this is not. Raises NotAdmitted."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        name = socket.device_id
        if name and not socket.principal.may_be(name, running.pipeline.user(name)):
            raise NotAdmitted(f"{name} is another user's now")


def _visitor(principal: Principal) -> str:
    """Whose part of the places a socket takes; a board's token is the house's."""
    return HOUSE if principal.role is Role.DEVICE else principal.owner


class _Gone(Exception):
    """The device has left."""


class _Misbehaved(Exception):
    """The device is not listened to any longer."""

    def __init__(self, code: WSCloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class _DeviceSocket:
    """One device's socket: frames in, and a bounded queue of frames out."""

    def __init__(self, request: web.Request, response: web.WebSocketResponse) -> None:
        self.principal: Principal = who(request)
        self.visitor = _visitor(self.principal)
        self.device_id = ""
        """Of whoever has said a good HELLO."""
        self.request = request
        self._response = response
        self._decoder = DatagramDecoder()
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._ready = asyncio.Event()

    def note_not_allowed(self, device_id: str) -> None:
        """Write down as whom it wanted to speak."""
        visit = visit_of(self.request)
        visit.guard.note_not_allowed(visit, self.principal, self.request.path, device_id=device_id)

    def put(self, data: bytes) -> bool:
        """Queue a message. False: the device reads too slowly."""
        if self._queued_bytes + len(data) > OUTBOX_BYTES:
            return False
        self._queue.append(data)
        self._queued_bytes += len(data)
        self._ready.set()
        return True

    async def send_all(self) -> None:
        """Send what is queued, until cancelled or the connection breaks."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            await self._flush()

    async def receive(self) -> Iterator[Decoded]:
        """The next message's frame, or what was none. Raises _Gone, _Misbehaved."""
        message: WSMessage = await self._response.receive()
        if message.type is WSMsgType.BINARY:
            return self._decoder.feed(message.data)
        if message.type is WSMsgType.TEXT:
            raise _Misbehaved(WSCloseCode.UNSUPPORTED_DATA, "only binary messages, one frame in each")
        raise _Gone(f"closed with {self._response.close_code}")

    async def close(self, code: WSCloseCode, reason: str = "") -> None:
        """Send what is queued and close, with the handshake if the device takes part in it."""
        await close_socket(self.request, self._response, code, reason, self._flush)

    def cut(self) -> None:
        """End it at once."""
        cut(self.request)

    async def _flush(self) -> None:
        while self._queue:
            data = self._queue.popleft()
            self._queued_bytes -= len(data)
            await self._response.send_bytes(data)
