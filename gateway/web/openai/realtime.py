"""GET /v1/realtime: transcription sessions of OpenAI's realtime interface, one on each WebSocket.

A client is read until it is half a minute ahead, and heard as fast as the recognizer comes after it, but no faster
than eight times real time: what it sends faster waits, first here and then with the client.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from gateway.access.door import NotAdmitted
from gateway.access.principals import Principal
from gateway.adapters.doors import AdapterDoor, NoPlace
from gateway.pipeline.dictation.dictation import Dictation
from gateway.pipeline.dictation.dictations import DictationClosed, DictationRefused
from gateway.web.entrance.guard import REALTIME, who
from gateway.web.entrance.problems import Problem, unavailable
from gateway.web.listeners.forwarding import CLOSE_SECONDS, close_socket, cut, while_admitted
from gateway.web.openai.errors import WrongRequest
from gateway.web.openai.names import check_name, own_name
from gateway.web.openai.realtime_messages import ServerMessage, WrongMessage, encode
from gateway.web.openai.realtime_queues import ClientInbox, ClientOutbox, NotRead
from gateway.web.openai.realtime_session import RealtimeSession, Surroundings
from gateway.web.openai.realtime_settings import AskedSession, AskedTranscription, RealtimeSetting
from gateway.web.parts import Parts, RunningParts

log = structlog.get_logger(__name__)

BETA_PROTOCOL: Final = "openai-beta.realtime-v1"
BETA_HEADER: Final = "OpenAI-Beta"
MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""A longer message closes its session with 1009: a minute of PCM."""
IDLE_SECONDS: Final = 600.0
"""A session whose client says nothing for so long is closed."""
_ANSWERING: Final = ("gpt-realtime", "gpt-4o-realtime", "gpt-4o-mini-realtime")
"""Names that clients connect with whatever they want; they say nothing of how to transcribe."""


class RealtimeSockets:
    """All sessions of one server."""

    def __init__(self, parts: Parts, door: AdapterDoor) -> None:
        self._parts = parts
        self._open: set[_Socket] = set()
        self._door = door

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one session to its end. Raises Problem, before there is one."""
        running, principal = self._parts.running(), who(request)
        around = self._around(running, principal)
        setting = _asked(request, around)
        response = web.WebSocketResponse(
            timeout=CLOSE_SECONDS, max_msg_size=MESSAGE_BYTES, compress=False, protocols=(REALTIME,)
        )
        if not response.can_prepare(request).ok:
            raise WrongRequest("this is for WebSockets", status=HTTPStatus.UPGRADE_REQUIRED)
        try:
            with self._door.place(principal.owner, principal.name):
                await self._converse(_Socket(request, response, around, setting), running)
        except NoPlace as error:
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, str(error)) from error
        return response

    async def close(self, _application: web.Application) -> None:
        """Say goodbye to every client."""
        await asyncio.gather(
            *(one.close(WSCloseCode.GOING_AWAY, "the gateway is stopping") for one in self._open)
        )

    async def _converse(self, socket: _Socket, running: RunningParts) -> None:
        session = socket.session
        try:
            dictation = running.pipeline.dictations.begin(
                session.wanted, owner=socket.owner, tell=session.tell, settings=session.segmenter
            )
        except DictationClosed as error:
            raise unavailable(str(error), "try again soon") from error
        except DictationRefused as error:
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, str(error)) from error
        self._open.add(socket)
        try:
            with dictation, self._parts.health.mishaps.contained("a realtime session"):
                await socket.serve(dictation, self._parts.settings.heartbeat_seconds)
                return
            await socket.close(WSCloseCode.INTERNAL_ERROR, "something is wrong with the gateway")
        finally:
            self._open.discard(socket)

    def _around(self, running: RunningParts, principal: Principal) -> Surroundings:
        model = running.model
        return Surroundings(
            model=own_name(model),
            settings=running.config.transcription,
            languages=running.recognizer.state.languages,
            priority=running.pipeline.priority(principal.own_device, principal.own_user),
            check_model=lambda name: check_name(name, model, self._parts.openai.models),
        )


class _Gone(Exception):
    """The client has left."""


class _Socket:
    """One client's socket."""

    def __init__(
        self,
        request: web.Request,
        response: web.WebSocketResponse,
        around: Surroundings,
        setting: RealtimeSetting,
    ) -> None:
        self.owner = who(request).owner
        self._request = request
        self._response = response
        self._outbox = ClientOutbox(response.send_str)
        self._inbox = ClientInbox()
        self.session = RealtimeSession(around, setting, self._put, in_beta=_in_beta(request))

    async def serve(self, dictation: Dictation, heartbeat: float) -> None:
        """Until the client leaves, does not read, or may not be here any more."""
        try:
            await self._response.prepare(self._request)
            self.session.begin(dictation)
            await while_admitted(
                self._request,
                self._read(),
                self._hear(),
                self._outbox.send_all(),
                self._outbox.overrun(),
                self._ping(heartbeat),
            )
        except NotAdmitted as error:
            log.info("realtime session closed", reason=str(error))
            self.session.wrong(WrongMessage(str(error), code="invalid_api_key"))
            await self.close(WSCloseCode.POLICY_VIOLATION, str(error))
        except NotRead as error:
            log.info("realtime session closed", reason=str(error))
            cut(self._request)
        except TimeoutError:
            await self.close(WSCloseCode.OK, f"nothing was said for {IDLE_SECONDS:g} s")
        except (_Gone, ConnectionError) as error:
            log.debug("realtime client left", reason=str(error))

    async def close(self, code: WSCloseCode, reason: str) -> None:
        """Say what waits and why, if the client takes part in it."""
        await close_socket(self._request, self._response, code, reason, self._outbox.flush)

    def _put(self, message: ServerMessage) -> None:
        self._outbox.put(encode(message))

    async def _read(self) -> None:
        """Raises _Gone, and TimeoutError when nothing comes."""
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                message = await self._response.receive()
            if message.type is WSMsgType.TEXT:
                await self._inbox.put(message.data)
            elif message.type is WSMsgType.BINARY:
                self.session.wrong(WrongMessage("messages are JSON, in text", code="invalid_event"))
            else:
                raise _Gone(f"closed with {self._response.close_code}")

    async def _hear(self) -> None:
        while True:
            await self.session.hear(await self._inbox.take())
            await asyncio.sleep(0)  # what costs no audio may be there in thousands: others have their turn

    async def _ping(self, seconds: float) -> None:
        """Whoever is not there any more, the system tells by what it does not acknowledge."""
        while True:
            await asyncio.sleep(seconds)
            await self._response.ping()


def _asked(request: web.Request, around: Surroundings) -> RealtimeSetting:
    """What stands in the URL. Raises WrongRequest."""
    if request.query.get("intent", "transcription") != "transcription":
        raise WrongRequest("there are sessions with the intent transcription here", "intent")
    model = request.query.get("model", "")
    if not model or model.startswith(_ANSWERING):
        return RealtimeSetting()
    around.check_model(model)
    return RealtimeSetting().changed(AskedSession(input_audio_transcription=AskedTranscription(model=model)))


def _in_beta(request: web.Request) -> bool:
    """Whether the client speaks as in the beta."""
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    return "realtime=v1" in request.headers.get(BETA_HEADER, "") or BETA_PROTOCOL in offered
