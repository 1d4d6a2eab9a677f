"""A recording, uploaded or streamed, into text: as JSON, subtitles or plain text.

It may be published as its sender's own words, too.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal, TypeAlias

from aiohttp import web
from msgspec import Meta, Struct

from gateway.access.principals import Right
from gateway.contract.messages import Language, WantedHints, WordTime
from gateway.pipeline.asking.typed_text import own_speaker
from gateway.pipeline.recordings import subtitles
from gateway.pipeline.recordings.transcribing import Passage, RecordingText
from gateway.web.api.operation import JSON, Call, Operation
from gateway.web.recordings import (
    body_of,
    check_length,
    is_gone,
    missing_header,
    put_recording,
    refused_as_problems,
)
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


Hint: TypeAlias = Annotated[str, Meta(max_length=300)]
"""What two of these come to in a URL, every character in twelve, a line of HTTP has room for."""


class Options(Struct, frozen=True, kw_only=True):
    """How it is heard, and how it is answered."""

    format: Annotated[Literal["json", "srt", "vtt", "text"], Meta(description="How it is answered.")] = "json"
    language: (
        Annotated[Language, Meta(description="What is spoken, or `auto`; otherwise as configured.")] | None
    ) = None
    words: Annotated[bool, Meta(description="Tell the time of every word (JSON).")] = False
    prompt: (
        Annotated[Hint, Meta(description="As it might have stood before; otherwise as configured.")] | None
    ) = None
    hotwords: (
        Annotated[Hint, Meta(description="Words that are likely in it; otherwise as configured.")] | None
    ) = None
    publish: Annotated[
        bool, Meta(description="Put it to the orchestrators, too, as what the caller's own device has heard.")
    ] = False


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
    """All that is said in a recording of so many ``seconds``. ``missing``: what could not be heard of it.

    ``session_id``: in which it is published, if it is; the answers to it have that, too.
    """

    text: str
    seconds: float
    language: str
    segments: tuple[Part, ...]
    missing: tuple[Absent, ...] = ()
    session_id: str = ""


async def transcribe_recording(call: Call[None, Options, None]) -> Transcription | web.Response:
    """All of it, behind what devices say."""
    running, query, request = call.parts.running(), call.query, call.request
    if query.publish:
        return _answer(await _published(call), query.format)
    pipeline, who = running.pipeline, call.principal
    settings = running.config.transcription
    hints = Hints(
        language=query.language,
        prompt=settings.prompt if query.prompt is None else query.prompt,
        hotwords=settings.hotwords if query.hotwords is None else query.hotwords,
        word_timestamps=query.words,
    )
    check_length(request, running.config.web.uploads)
    with refused_as_problems("body"):
        recording = await pipeline.transcribing.transcribe(
            body_of(request),
            settings.segmenter,
            hints,
            lambda: is_gone(request),
            who.owner,
            priority=pipeline.priority(who.own_device, who.own_user),
        )
    return _answer(recording, query.format)


async def _published(call: Call[None, Options, None]) -> RecordingText:
    """Once the content filter has had its word about it."""
    query = call.query
    wanted = WantedHints(
        language=query.language, prompt=query.prompt, hotwords=query.hotwords, word_timestamps=query.words
    )
    speaker = own_speaker(call.principal)  # whoever may ask for this may speak
    said = await put_recording(call.request, call.parts.running(), speaker, wanted)
    return await said.text()


def _transcription(recording: RecordingText) -> Transcription:
    parts = tuple(_part(passage) for passage in recording.passages if passage.text or passage.error)
    return Transcription(
        text=recording.text,
        seconds=recording.seconds,
        language=recording.language,
        segments=parts,
        missing=tuple(Absent(at=gap.at, reason=gap.reason) for gap in recording.missing),
        session_id=recording.session_id,
    )


def _part(passage: Passage) -> Part:
    said = passage.transcript
    return Part(
        start=passage.start,
        end=passage.end,
        text=passage.text,
        language=said.language if said is not None else "",
        confidence=said.confidence if said is not None else 0.0,
        error=passage.error or None,
        words=tuple(
            WordTime(word=one.word, start=one.start, end=one.end, probability=one.probability)
            for one in passage.words
        ),
    )


def _answer(recording: RecordingText, form: str) -> Transcription | web.Response:
    cues = [passage for passage in recording.passages if passage.text]
    match form:
        case "srt":
            return _text(recording, subtitles.srt(cues), SRT)
        case "vtt":
            return _text(recording, subtitles.vtt(cues), VTT)
        case "text":
            return _text(recording, subtitles.text(cues), TEXT)
        case _:
            return _transcription(recording)


def _text(recording: RecordingText, text: str, content_type: str) -> web.Response:
    """What is missing has no place in it, and stands in a header."""
    headers = missing_header(recording)
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
