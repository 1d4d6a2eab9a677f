"""A recording, uploaded or streamed, into text: as JSON, subtitles or plain text."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Literal, TypeAlias

from aiohttp import web
from msgspec import Meta, Struct

from gateway.access.principals import Right
from gateway.contract.messages import Language, WordTime
from gateway.pipeline.recordings import subtitles, transcribing
from gateway.pipeline.recordings.transcribing import FileRefused, Passage, RecordingText
from gateway.web.api.operation import JSON, Call, Operation
from gateway.web.entrance.problems import Problem, misfit, unavailable
from transcription.errors import ModelUnavailable, TranscriptionError
from transcription.transcriber import Hints

SRT, VTT, TEXT = "application/x-subrip", "text/vtt", "text/plain"
RECORDINGS = (
    "audio/wav",
    "audio/x-wav",
    "audio/wave",
    "audio/vnd.wave",
    "audio/flac",
    "audio/x-flac",
    "audio/ogg",
    "audio/opus",
    "audio/vorbis",
    "application/ogg",
    "audio/webm",
    "video/webm",
    "audio/mpeg",
    "audio/mp3",
    "audio/x-mp3",
    "audio/x-mpeg",
    "audio/mpeg3",
    "audio/mp4",
    "audio/m4a",
    "audio/x-m4a",
    "audio/aac",
    "audio/aacp",
    "audio/x-aac",
    "audio/3gpp",
    "audio/amr",
    "application/octet-stream",
)
"""What a body may be called; what it is, its bytes say."""

MISSING_HEADER = "X-Missing"
MISSING_IN_HEADER = 20

_STATUS: dict[type[FileRefused], HTTPStatus] = {
    transcribing.TooManyFiles: HTTPStatus.TOO_MANY_REQUESTS,
    transcribing.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    transcribing.TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    transcribing.NoRecording: HTTPStatus.UNPROCESSABLE_ENTITY,
    transcribing.NoDisk: HTTPStatus.SERVICE_UNAVAILABLE,
    transcribing.Stopped: HTTPStatus.SERVICE_UNAVAILABLE,
}


_Hint: TypeAlias = Annotated[str, Meta(max_length=300)]
"""What two of these come to in a URL, every character in twelve, a line of HTTP has room for."""


class Options(Struct, frozen=True, kw_only=True):
    """How it is heard, and how it is answered."""

    format: Annotated[Literal["json", "srt", "vtt", "text"], Meta(description="How it is answered.")] = "json"
    language: (
        Annotated[Language, Meta(description="What is spoken, or `auto`; otherwise as configured.")] | None
    ) = None
    words: Annotated[bool, Meta(description="Tell the time of every word (JSON).")] = False
    prompt: (
        Annotated[_Hint, Meta(description="As it might have stood before; otherwise as configured.")] | None
    ) = None
    hotwords: (
        Annotated[_Hint, Meta(description="Words that are likely in it; otherwise as configured.")] | None
    ) = None


class Part(Struct, frozen=True, kw_only=True):
    """What was said at once; times in seconds from the recording's beginning. ``error``: why it was not understood."""

    start: float
    end: float
    text: str
    language: str
    confidence: float
    error: str | None = None
    words: tuple[WordTime, ...] = ()


class Absent(Struct, frozen=True, kw_only=True):
    """What could not be heard of a recording. ``at``: after so many seconds of what was; ``reason``: what, or why."""

    at: float
    reason: str


class Transcription(Struct, frozen=True, kw_only=True):
    """All that is said in a recording of so many ``seconds``. ``missing``: what could not be heard of it."""

    text: str
    seconds: float
    language: str
    segments: tuple[Part, ...]
    missing: tuple[Absent, ...] = ()


async def transcribe_recording(call: Call[None, Options, None]) -> Transcription | web.Response:
    """All of it, behind what devices say."""
    running, query, request = call.parts.running(), call.query, call.request
    pipeline, who = running.pipeline, call.principal
    settings = running.config.transcription
    hints = Hints(
        language=query.language,
        prompt=settings.prompt if query.prompt is None else query.prompt,
        hotwords=settings.hotwords if query.hotwords is None else query.hotwords,
        word_timestamps=query.words,
    )
    most = running.config.web.uploads.megabytes
    if (request.content_length or 0) > most * 1024 * 1024:
        too_large = f"it has more than {most} MiB (web.uploads.megabytes)"
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large)
    try:
        recording = await pipeline.transcribing.transcribe(
            _body(request),
            running.config.transcription.segmenter,
            hints,
            lambda: _is_gone(request),
            who.owner,
            priority=pipeline.priority(who.own_device, who.own_user),
        )
    except FileRefused as error:
        raise _refusal(error) from error
    except ModelUnavailable as error:
        raise unavailable(str(error), error.remedy) from error
    except TranscriptionError as error:
        raise unavailable(str(error), "try again soon") from error
    return _answer(_transcription(recording), query.format)


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    async for piece in request.content.iter_any():
        yield piece


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _refusal(error: FileRefused) -> Problem:
    if isinstance(error, transcribing.NoRecording):
        return misfit("body", str(error))
    headers = {"Retry-After": "10"} if isinstance(error, transcribing.TooManyFiles) else {}
    return Problem(_STATUS[type(error)], str(error), headers=headers)


def _transcription(recording: RecordingText) -> Transcription:
    parts = tuple(part for passage in recording.passages if (part := _part(passage)) is not None)
    languages = [part.language for part in parts if part.language]
    return Transcription(
        text=" ".join(part.text for part in parts if part.text),
        seconds=recording.seconds,
        language=max(set(languages), key=languages.count, default=""),
        segments=parts,
        missing=tuple(Absent(at=gap.at, reason=gap.reason) for gap in recording.missing),
    )


def _part(passage: Passage) -> Part | None:
    """None: nothing was said in it."""
    said = passage.transcript
    if said is None:
        return Part(
            start=passage.start, end=passage.end, text="", language="", confidence=0.0, error=passage.error
        )
    text = said.text.strip()
    if not text:
        return None
    words = tuple(
        WordTime(
            word=one.word,
            start=passage.start + one.start,
            end=min(passage.start + one.end, passage.end),  # a sum may be too much in its last digit
            probability=one.probability,
        )
        for one in said.words
    )
    return Part(
        start=passage.start,
        end=passage.end,
        text=text,
        language=said.language,
        confidence=said.confidence,
        words=words,
    )


def _answer(whole: Transcription, form: str) -> Transcription | web.Response:
    cues = [part for part in whole.segments if part.text]
    match form:
        case "srt":
            return _text(whole, subtitles.srt(cues), SRT)
        case "vtt":
            return _text(whole, subtitles.vtt(cues), VTT)
        case "text":
            return _text(whole, subtitles.text(cues), TEXT)
        case _:
            return whole


def _text(whole: Transcription, text: str, content_type: str) -> web.Response:
    """What is missing has no place in it, and stands in a header."""
    missing = "; ".join(f"{gap.at:.1f} s: {gap.reason}" for gap in whole.missing[:MISSING_IN_HEADER])
    headers = {MISSING_HEADER: missing.encode("ascii", "replace").decode()} if missing else {}
    return web.Response(text=text, content_type=content_type, charset="utf-8", headers=headers)


OPERATIONS = (
    Operation(
        name="transcribe", method="POST", path="/transcriptions", right=Right.SPEAK, run=transcribe_recording,
        summary="Transcribe a recording (WAV, FLAC, Ogg, WebM, MP3, M4A, AAC, AMR), whole or as it comes",
        query=Options, uploads=RECORDINGS, answer=Transcription, produces=(JSON, SRT, VTT, TEXT),
        problems=(
            HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    ),
)  # fmt: skip
