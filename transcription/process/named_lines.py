"""Lines that the recognizer's process prints, each with the ids of what it was at: put before it there, lifted here."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import msgspec

from transcription.names_in_log import AT_WORK_ON, names_of

_BEGINS: Final = "\x1e"
"""ASCII's record separator: no engine begins a line with it."""
_names: Final = msgspec.json.Decoder(dict[str, str])


@contextmanager
def at_work_on(names: Mapping[str, str]) -> Iterator[None]:
    """What this thread logs meanwhile is about that."""
    before = AT_WORK_ON.set(names)
    try:
        yield
    finally:
        AT_WORK_ON.reset(before)


class NamesTheUtterance(logging.Filter):
    """Notes on each record what its thread was at when it was logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Every record goes on."""
        record.earshot_names = AT_WORK_ON.get()
        return True


class NamedLines(logging.Formatter):
    """Each line of a record, a traceback's too, after the ids of what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """As ``lifted`` reads it."""
        text, names = super().format(record), getattr(record, "earshot_names", None)
        if not names:
            return text
        before = f"{_BEGINS}{msgspec.json.encode(names).decode()}{_BEGINS}"
        return "\n".join(before + line for line in text.split("\n"))


def lifted(line: str) -> tuple[dict[str, str], str]:
    """The ids before a line, and the line; none where it has none, or what looks like some is none."""
    if not line.startswith(_BEGINS):
        return {}, line
    told, between, text = line[1:].partition(_BEGINS)
    try:
        return (names_of(_names.decode(told)), text) if between else ({}, line)
    except (msgspec.DecodeError, UnicodeError):
        return {}, line
