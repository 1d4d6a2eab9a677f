"""The pattern of a sentence, read: ``turn (on|off) [the] {light} [in the {room}] <politely>``. No I/O.

``[...]`` may be left out, of ``(a|b)`` one is said (of ``[a|b]`` one or none), ``{name}`` is a slot
(``{name:list}``: of the list of another name), ``<name>`` stands for a part that several sentences share. Anything
else is said as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

MOST_LETTERS = 500
"""Of one pattern."""
MOST_PIECES = 5_000
"""Of one pattern, with its parts, which may have parts themselves."""
MOST_LEVELS = 12
"""Of brackets within brackets, parts included."""

_MARKS = re.compile(r"[\[\](){}<>|]")
_SLOT = re.compile(r"\{\s*([a-z][a-z0-9_]{0,63})\s*(?::\s*([a-z][a-z0-9_]{0,63})\s*)?\}")
_PART = re.compile(r"<\s*([a-z][a-z0-9_]{0,63})\s*>")
_CLOSING = {"[": "]", "(": ")"}


class BadSentence(ValueError):
    """It is no pattern; the text says what is wrong, and where."""


class Literal(NamedTuple):
    """What is said as it stands."""

    text: str


class Slot(NamedTuple):
    """Something of a list, a number, or any words."""

    name: str
    kind: str
    """The list's name."""


class Alternatives(NamedTuple):
    """One of these; an empty one is nothing."""

    options: tuple[Pieces, ...]


Piece: TypeAlias = Literal | Slot | Alternatives
Pieces: TypeAlias = tuple[Piece, ...]


def read_sentence(text: str, parts: Mapping[str, Pieces]) -> Pieces:
    """Raises BadSentence. ``parts``: by their names."""
    if len(text) > MOST_LETTERS:
        raise BadSentence(f"a pattern has at most {MOST_LETTERS} letters, got {len(text)}")
    reading = _Reading(text, parts)
    options = reading.options("", 0)
    sentence: Pieces = options[0] if len(options) == 1 else (Alternatives(options),)
    if is_too_much(sentence):
        raise BadSentence(f"with its parts it has more than {MOST_PIECES} pieces")
    return sentence


def parts_of(text: str) -> list[str]:
    """The parts that a pattern names."""
    return _PART.findall(text)


def slots_of(sentence: Pieces) -> dict[str, str]:
    """The slots in it, and of which list each is."""
    found: dict[str, str] = {}
    for piece in sentence:
        if isinstance(piece, Slot):
            found[piece.name] = piece.kind
        elif isinstance(piece, Alternatives):
            for option in piece.options:
                found |= slots_of(option)
    return found


def is_too_much(sentence: Pieces) -> bool:
    """Whether it has more than MOST_PIECES: a part that stands in it twice counts twice. It is not counted further."""
    waiting, count = list(sentence), 0
    while waiting:
        piece = waiting.pop()
        count += 1
        if isinstance(piece, Alternatives):
            for option in piece.options:
                waiting += option
        if count + len(waiting) > MOST_PIECES:
            return True
    return False


def all_ways(sentence: Pieces, most: int) -> list[str]:
    """Everything that can be said by it. Raises BadSentence for a slot, and for more than ``most``."""
    ways = [""]
    for piece in sentence:
        if isinstance(piece, Slot):
            raise BadSentence(f"a slot ({{{piece.name}}}) has no place here")
        added = [piece.text] if isinstance(piece, Literal) else _ways_of(piece, most)
        ways = [way + one for way in ways for one in added]
        if len(ways) > most:
            raise BadSentence(f"more than {most} ways to say it")
    return ways


def plainest_way(sentence: Pieces) -> str:
    """How it is said without anything that may be left out."""
    said = ""
    for piece in sentence:
        if isinstance(piece, Literal):
            said += piece.text
        elif isinstance(piece, Alternatives):
            said += "" if () in piece.options else plainest_way(piece.options[0])
    return " ".join(said.split())


def _ways_of(choice: Alternatives, most: int) -> list[str]:
    return [way for option in choice.options for way in all_ways(option, most)]


class _Reading:
    def __init__(self, text: str, parts: Mapping[str, Pieces]) -> None:
        self._text = text
        self._parts = parts
        self._at = 0

    def options(self, closing: str, level: int) -> tuple[Pieces, ...]:
        """Up to the bracket that closes, or the end."""
        if level > MOST_LEVELS:
            raise self._wrong(f"brackets within brackets, more than {MOST_LEVELS} deep")
        opened, options, pieces = self._at, list[Pieces](), list[Piece]()
        while self._at < len(self._text):
            mark = self._text[self._at]
            if mark in (closing, "|"):
                self._at += 1
                options.append(tuple(pieces))
                pieces = []
                if mark == closing:
                    return tuple(options)
            else:
                pieces += self._pieces(mark, level)
        if closing:
            self._at = opened - 1
            raise self._wrong(f"'{self._text[self._at]}' is not closed")
        return (*options, tuple(pieces))

    def _pieces(self, mark: str, level: int) -> Pieces:
        if mark in _CLOSING:
            self._at += 1
            options = self.options(_CLOSING[mark], level + 1)
            return (Alternatives((*options, ()) if mark == "[" else options),)
        if mark == "{":
            found = self._found(_SLOT, "a slot is {name} or {name:list}, in small letters, digits and _")
            return (Slot(found[1], found[2] or found[1]),)
        if mark == "<":
            return self._part()
        end = _MARKS.search(self._text, self._at)
        if end is not None and end.start() == self._at:
            raise self._wrong(f"'{mark}' closes nothing")
        start, self._at = self._at, len(self._text) if end is None else end.start()
        return (Literal(self._text[start : self._at]),)

    def _part(self) -> Pieces:
        at = self._at
        name = self._found(_PART, "a part is <name>, in small letters, digits and _")[1]
        if name not in self._parts:
            self._at = at
            raise self._wrong(f"there is no part <{name}> (parts has {', '.join(self._parts) or 'none'})")
        return self._parts[name]

    def _found(self, what: re.Pattern[str], otherwise: str) -> re.Match[str]:
        found = what.match(self._text, self._at)
        if found is None:
            raise self._wrong(otherwise)
        self._at = found.end()
        return found

    def _wrong(self, what: str) -> BadSentence:
        return BadSentence(f"{what}, at letter {self._at + 1}")
