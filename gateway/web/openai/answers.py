"""A recording's text in the forms that OpenAI's clients know. No I/O."""

from __future__ import annotations

import math
import zlib
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.pipeline.recordings import subtitles
from gateway.pipeline.recordings.transcribing import Gap, Passage, RecordingText
from gateway.web.api.operation import JSON
from gateway.web.openai.languages import name_of
from gateway.web.openai.options import Options

TEXT = "text/plain"
_LEAST_CONFIDENCE = 1e-6


class DurationUsage(Struct, frozen=True, kw_only=True):
    """What it would have cost elsewhere is told by how long it is: nobody counts tokens here."""

    seconds: float
    type: Literal["duration"] = "duration"


class LanguageFound(Struct, frozen=True):
    """One that was spoken."""

    code: str


class PlainText(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``json``. ``missing`` is no field of OpenAI's: what could not be heard, where there is such a thing."""

    text: str
    usage: DurationUsage
    languages: tuple[LanguageFound, ...]
    missing: tuple[Gap, ...] = ()


class VerboseSegment(Struct, frozen=True, kw_only=True):
    """One utterance. There is no sampling here, and no token is told: both are as empty as they may be."""

    id: int
    start: float
    end: float
    text: str
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    seek: int = 0
    temperature: float = 0.0
    tokens: tuple[int, ...] = ()


class VerboseWord(Struct, frozen=True):
    """A word and its times in the recording, in seconds."""

    word: str
    start: float
    end: float


class VerboseText(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``verbose_json``."""

    task: str
    language: str
    duration: float
    text: str
    usage: DurationUsage
    segments: tuple[VerboseSegment, ...] | None = None
    words: tuple[VerboseWord, ...] | None = None
    missing: tuple[Gap, ...] = ()


class TextDelta(Struct, frozen=True, tag_field="type", tag="transcript.text.delta"):
    """An utterance more, with what stands between it and the one before."""

    delta: str


class TextDone(Struct, frozen=True, tag_field="type", tag="transcript.text.done", omit_defaults=True):
    """All of it. OpenAI's ``usage`` counts tokens here, and is left out."""

    text: str
    languages: tuple[LanguageFound, ...]
    missing: tuple[Gap, ...] = ()


def answer(recording: RecordingText, options: Options) -> tuple[bytes, str]:
    """The body, and its media type."""
    said = [passage for passage in recording.passages if passage.text]
    match options.form:
        case "text":
            return f"{recording.text}\n".encode(), TEXT
        case "srt":
            return subtitles.srt(said).encode(), TEXT
        case "vtt":
            return subtitles.vtt(said).encode(), "text/vtt"
        case "verbose_json":
            return msgspec.json.encode(_verbose(recording, options, said)), JSON
        case _:
            return msgspec.json.encode(_plain(recording)), JSON


def done(recording: RecordingText) -> TextDone:
    """The last event of a stream."""
    return TextDone(recording.text, _languages(recording), tuple(recording.absent))


def _plain(recording: RecordingText) -> PlainText:
    return PlainText(
        text=recording.text,
        usage=DurationUsage(seconds=recording.seconds),
        languages=_languages(recording),
        missing=tuple(recording.absent),
    )


def _verbose(recording: RecordingText, options: Options, said: list[Passage]) -> VerboseText:
    words = [VerboseWord(one.word.strip(), one.start, one.end) for passage in said for one in passage.words]
    translates = options.hints.task == "translate"
    return VerboseText(
        task=options.hints.task,
        language="english" if translates else name_of(recording.language or options.hints.language or ""),
        duration=recording.seconds,
        text=recording.text,
        usage=DurationUsage(seconds=recording.seconds),
        segments=tuple(_segment(i, one) for i, one in enumerate(said)) if options.segments else None,
        words=tuple(words) if options.words else None,
        missing=tuple(recording.absent),
    )


def _segment(number: int, passage: Passage) -> VerboseSegment:
    said, text = passage.transcript, passage.text
    assert said is not None
    data = text.encode()
    return VerboseSegment(
        id=number,
        start=passage.start,
        end=passage.end,
        text=f" {text}",  # as Whisper has it
        avg_logprob=math.log(max(said.confidence, _LEAST_CONFIDENCE)),
        compression_ratio=len(data) / len(zlib.compress(data)),
        no_speech_prob=said.no_speech_probability,
    )


def _languages(recording: RecordingText) -> tuple[LanguageFound, ...]:
    return (LanguageFound(recording.language),) if recording.language else ()
