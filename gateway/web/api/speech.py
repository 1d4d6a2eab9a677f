"""A recording as speech: put to the orchestrators as if a device had heard what is said in it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal, TypeAlias

import msgspec
from aiohttp import web
from msgspec import Meta, Struct
from msgspec.structs import replace

from gateway.access.principals import Principal, Right
from gateway.contract.messages import Data, Language, WantedHints
from gateway.pipeline.asking.typed_text import Speaker
from gateway.pipeline.recorded_speech import SaidRecording, SaidUtterance
from gateway.pipeline.telling.witnesses import Answer, Witness
from gateway.web.api.devices import DeviceName
from gateway.web.api.operation import JSON, Call, Operation
from gateway.web.api.transcriptions import RECORDINGS, Absent, Hint
from gateway.web.entrance.problems import Problem, no_device, not_found
from gateway.web.parts import RunningParts
from gateway.web.recordings import put_recording

State: TypeAlias = Literal["transcribing", "thinking", "answered", "unanswered", "silent", "failed"]


class Options(Struct, frozen=True, kw_only=True):
    """How it is heard, and how long its answers are waited for."""

    wait: Annotated[
        float,
        Meta(ge=0, le=300, description="So many seconds for texts and answers, once all of it is here."),
    ] = 0.0
    language: (
        Annotated[Language, Meta(description="What is spoken, or `auto`; otherwise as of the device.")] | None
    ) = None
    prompt: (
        Annotated[Hint, Meta(description="As it might have stood before; otherwise as of the device.")] | None
    ) = None
    hotwords: (
        Annotated[Hint, Meta(description="Words that are likely in it; otherwise as of the device.")] | None
    ) = None


class SpokenReply(Struct, frozen=True, kw_only=True):
    """What it was answered. ``error``: why it was not; ``fallback``: nobody did in time.

    ``agents``: who has a part in it, ``missing``: who was asked and has none. ``flags``: the content filter's.
    """

    text: str
    agent: str
    error: str | None = None
    fallback: bool = False
    flags: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    data: Data | None = None


class SpokenPart(Struct, frozen=True, kw_only=True):
    """One utterance of a recording; times in seconds from its beginning.

    ``state``: ``transcribing``; ``thinking``, an answer is awaited; ``answered``; ``unanswered``, nobody did in time;
    ``silent``, nothing was understood in it; ``failed``, for the reason in ``error``.
    """

    utterance_id: str
    correlation_id: str
    start: float
    end: float
    state: State
    text: str = ""
    language: str = ""
    confidence: float = 0.0
    error: str | None = None
    flags: tuple[str, ...] = ()
    reply: SpokenReply | None = None


class Speech(Struct, frozen=True, kw_only=True):
    """What is said in a recording of so many ``seconds``, in order. ``missing``: what could not be heard of it."""

    session_id: str
    device_id: str
    user_id: str
    seconds: float
    utterances: tuple[SpokenPart, ...]
    missing: tuple[Absent, ...] = ()


async def speak_recording(call: Call[DeviceName, Options, None]) -> web.Response:
    """As safe as what a device has said once the answer is there: 202 while something is still under way."""
    query = call.query
    speaker = _speaker(call.principal, call.path.device_id, call.parts.running())
    wanted = WantedHints(language=query.language, prompt=query.prompt, hotwords=query.hotwords)
    said = await put_recording(call.request, call.parts.running(), speaker, wanted)
    if query.wait:
        await said.over(query.wait)
    status = HTTPStatus.OK if said.is_over else HTTPStatus.ACCEPTED
    return web.Response(body=msgspec.json.encode(_speech(said)), status=status, content_type=JSON)


def _speaker(principal: Principal, device_id: str, running: RunningParts) -> Speaker:
    """Whoever may stream audio as the device may put a recording as it, whether it is there or not. Raises Problem."""
    pipeline = running.pipeline
    if principal.owns(device_id) and principal.may(Right.SPEAK):
        return Speaker(device_id, principal.owner, principal.own_user)
    if not principal.may_be(device_id, pipeline.user(device_id)):
        raise not_found(f"device for {principal.name}, who may speak as {principal.possible_devices}")
    if not pipeline.knows(device_id):
        raise no_device()
    if objection := running.register.objection(device_id):
        raise Problem(HTTPStatus.CONFLICT, objection.reason, remedy=objection.remedy)
    return Speaker(device_id, principal.owner)


def _speech(said: SaidRecording) -> Speech:
    return Speech(
        session_id=said.session_id,
        device_id=said.device_id,
        user_id=said.user_id,
        seconds=said.seconds,
        utterances=tuple(map(_part, said.utterances)),
        missing=tuple(Absent(at=gap.at, reason=gap.reason) for gap in said.missing),
    )


def _part(one: SaidUtterance) -> SpokenPart:
    witness, message = one.witness, one.witness.message
    part = SpokenPart(
        utterance_id=witness.name.utterance_id,
        correlation_id=witness.name.correlation_id,
        start=one.start,
        end=one.end,
        state=_state(witness),
        error=witness.why_not or None,
        reply=None if witness.answer is None else _reply(witness.answer),
    )
    if message is None:
        return part
    return replace(
        part,
        text=message.text,
        language=message.language,
        confidence=message.confidence,
        flags=message.flags,
    )


def _state(witness: Witness) -> State:
    if witness.answer is not None:
        if witness.answer.error is not None:
            return "failed"
        return "unanswered" if witness.answer.fallback else "answered"
    if witness.over.is_set():
        is_silent = witness.message is not None and witness.message.success and not witness.message.text
        return "silent" if is_silent else "failed"
    return "transcribing" if witness.message is None else "thinking"


def _reply(answer: Answer) -> SpokenReply:
    return msgspec.convert(answer, SpokenReply, from_attributes=True)


OPERATIONS = (
    Operation(
        name="speak", method="POST", path="/devices/{device_id}/speech", right=(Right.SPEAK, Right.BE_DEVICE),
        run=speak_recording, path_type=DeviceName, query=Options, uploads=RECORDINGS, answer=Speech,
        unfinished=HTTPStatus.ACCEPTED, summary="Put a recording to the orchestrators, as if the device had heard it",
        problems=(
            HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    ),
)  # fmt: skip
