"""Lines of a log that are about some ids: our JSON, what journald makes of it (``-o json``), and text for terminals.

What is no line of ours is passed over, and so is what is too long: a log has lines of others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, BinaryIO, Final

import msgspec
from msgspec import Struct

IDS: Final = ("correlation_id", "utterance_id", "causation_id")
LONGEST_LINE: Final = 64 * 1024
"""Bytes."""
MOST_LINES: Final = 1_000
_LEVEL: Final = re.compile(r"<[0-7]>")
_TEXT: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) \[(\w+) *\] (.*)")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_LOGGER: Final = re.compile(r" +\[[\w.]+\]$")
_FACT: Final = re.compile(r"""(\w+)=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+)""")
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class LoggedLine(Struct, frozen=True):
    """``at``: Unix seconds; 0: it does not say."""

    at: float
    level: str
    event: str
    facts: dict[str, Any]

    def ids(self) -> set[str]:
        """What it is about; a line may be about several."""
        return {one for name in IDS for one in str(self.facts.get(name, "")).split()}


def about(lines: BinaryIO, names: set[str]) -> tuple[list[LoggedLine], set[str]]:
    """The lines about these ids and those that belong to them (all of them, too); the newest MOST_LINES of them.

    ``lines`` is read twice: what came before may say what belongs together.
    """
    start = lines.tell()
    known = set(names)
    for line in _read(lines):
        if line.ids() & names:
            known |= line.ids() - {str(line.facts.get("causation_id", ""))}
    lines.seek(start)
    found = [line for line in _read(lines) if line.ids() & known]
    return found[-MOST_LINES:], known


def _read(lines: BinaryIO) -> Iterator[LoggedLine]:
    for raw in _bounded(lines):
        if (line := parsed(raw.decode("utf-8", "replace"))) is not None:
            yield line


def _bounded(lines: BinaryIO) -> Iterator[bytes]:
    while line := lines.readline(LONGEST_LINE):
        whole = line.endswith(b"\n")
        if whole or len(line) < LONGEST_LINE:
            yield line
        while not whole and line:
            line = lines.readline(LONGEST_LINE)
            whole = line.endswith(b"\n")


def parsed(text: str) -> LoggedLine | None:
    """A line of ours; None: it is none."""
    text = _LEVEL.sub("", text.strip(), count=1)
    if not text.startswith("{"):
        return _of_terminal(_COLOUR.sub("", text))
    try:
        facts = _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    message = facts.get("MESSAGE")
    if isinstance(message, str) and "event" not in facts:
        return None if message.lstrip().startswith('{"MESSAGE"') else parsed(message)
    if isinstance(message, list):  # journald's form of what is not UTF-8 or holds control characters
        return _of_bytes(message)
    return _of_ours(facts)


def _of_bytes(message: Iterable[Any]) -> LoggedLine | None:
    try:
        return parsed(bytes(message).decode("utf-8", "replace"))
    except (TypeError, ValueError):
        return None


def _of_ours(facts: dict[str, Any]) -> LoggedLine | None:
    event = facts.pop("event", None)
    if not isinstance(event, str):
        return None
    level = str(facts.pop("level", ""))
    return LoggedLine(_when(str(facts.pop("timestamp", ""))), level, event, facts)


def _of_terminal(text: str) -> LoggedLine | None:
    found = _TEXT.match(text)
    if found is None:
        return None
    when, level, rest = found.groups()
    facts = {name: value.strip("'\"") for name, value in _FACT.findall(rest)}
    first = _FACT.search(rest)
    event = _LOGGER.sub("", (rest[: first.start()] if first else rest).strip()).strip()
    return LoggedLine(_when(when), level, event, facts)


def _when(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()  # without a zone it is of this machine
    except (ValueError, OverflowError, OSError):
        return 0.0
