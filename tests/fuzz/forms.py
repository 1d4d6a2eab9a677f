"""A form of OpenAI's interface: understood or refused in words, the same however it was cut, and little of it kept."""

from __future__ import annotations

from contextlib import suppress

from gateway.web.entrance.problems import Problem
from gateway.web.openai.errors import answer_of
from gateway.web.openai.fields import FormFields
from gateway.web.openai.multipart import (
    MOST_OF_A_HEAD,
    BadForm,
    FormDecoder,
    FormEvent,
    PartBegan,
    PartData,
    PartEnded,
)
from gateway.web.openai.options import options
from transcription.settings import TranscriptionSettings

_PIECE = 7
_SETTINGS = TranscriptionSettings()


def fuzz(data: bytes) -> None:
    at_once = _parts(data, len(data) or 1)
    assert at_once == _parts(data, _PIECE)
    fields = FormFields()
    for name, _, value in at_once[0]:
        with suppress(UnicodeDecodeError):
            fields.add(name, value.decode())
    for task, languages in (("transcribe", ()), ("translate", ("en", "de"))):
        try:
            wanted = options(
                fields, "translate" if task == "translate" else "transcribe", _SETTINGS, languages
            )
        except Problem as problem:
            told = answer_of(problem).error
            assert told.message.encode("utf-8", "surrogatepass")
            assert len(told.message) < MOST_OF_A_HEAD
            continue
        assert wanted.cut.silence_ms >= 100
        assert len(wanted.hints.prompt) < MOST_OF_A_HEAD
    assert len(fields.ignored()) <= MOST_OF_A_HEAD


def _parts(data: bytes, size: int) -> tuple[list[tuple[str, bool, bytes]], str]:
    """Each part with its data, and why it went no further."""
    decoder = FormDecoder(b"B")
    found: list[tuple[str, bool, bytes]] = []
    try:
        for at in range(0, len(data), size):
            for event in decoder.feed(data[at : at + size]):
                _take(found, event)
            assert len(decoder._buffer) <= MOST_OF_A_HEAD + size + 8
        decoder.finish()
    except BadForm as error:
        return found, str(error)
    return found, ""


def _take(found: list[tuple[str, bool, bytes]], event: FormEvent) -> None:
    match event:
        case PartBegan(name, is_file):
            found.append((name, is_file, b""))
        case PartData(data):
            name, is_file, before = found[-1]
            assert data
            found[-1] = name, is_file, before + data
        case PartEnded():
            pass
