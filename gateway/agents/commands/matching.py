"""Whether a pattern fits what was said, whole, and what its slots have caught. No I/O.

A pattern is a net of steps. At each place of what was said each step is tried once at most, so that the time is bounded
by their number times its length, whatever the pattern; and what is said is compared with all patterns for so many
tries at most. Of several ways to fit, the first counts: what may be left out
is looked for, of alternatives the first that fits is taken, a value of a list is as long as it can be, free text as
short as it can be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from gateway.agents.commands.sentence import Alternatives, BadSentence, Literal, Piece, Pieces, Slot, slots_of
from gateway.agents.commands.words import SaidWords, plain

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_SPACED = re.compile(r"(?P<before>[\W_]*)(?P<words>.*?)(?P<behind>[\W_]*)\Z", re.DOTALL)
_APOSTROPHES = str.maketrans("", "", "'\u2019")


MOST_TRIES = 200_000
"""Of steps at places, for one utterance: some tenths of a second."""


class TooMuchToTry(Exception):
    """The patterns leave so many ways open that not all are tried."""


class SlotValue(NamedTuple):
    """What a slot stands for: for programs, and in words for people."""

    value: str | int | float
    words: str


class Entries(NamedTuple):
    """A list: what stands for each way to say one of it, by the words as they are compared."""

    said: Mapping[str, SlotValue]
    lengths: tuple[int, ...]
    """Of the ways, the longest first."""

    @classmethod
    def of(cls, said: Mapping[str, SlotValue]) -> Entries:
        """By the words as they are compared."""
        return cls(said, tuple(sorted({len(one) for one in said}, reverse=True)))


class NumberRange(NamedTuple):
    """A number within bounds."""

    least: float
    most: float
    mark: str = "."
    """Before its decimals, for people."""


class FreeText(NamedTuple):
    """Any words."""


SlotKind: TypeAlias = Entries | NumberRange | FreeText


class _Caught(NamedTuple):
    """What was caught on the way, the last first. ``value`` None: free text began there, or (``ends``) ended."""

    name: str
    value: SlotValue | None
    at: int
    ends: bool
    before: _Caught | None


_Move: TypeAlias = tuple["_Step", int, _Caught | None]


class _Step(Protocol):
    def moves(self, spoken: SaidWords, at: int, caught: _Caught | None) -> Iterator[_Move]:
        """Where it leads from there, the best way first."""


@dataclass(frozen=True, slots=True, eq=False)
class _End:
    def moves(self, _spoken: SaidWords, _at: int, _caught: _Caught | None) -> Iterator[_Move]:
        return iter(())


@dataclass(frozen=True, slots=True, eq=False)
class _Words:
    words: str
    then: _Step

    def moves(self, spoken: SaidWords, at: int, caught: _Caught | None) -> Iterator[_Move]:
        if spoken.text.startswith(self.words, at):
            yield self.then, at + len(self.words), caught


@dataclass(frozen=True, slots=True, eq=False)
class _Gap:
    """Between two words, or before the first, or behind the last."""

    then: _Step

    def moves(self, spoken: SaidWords, at: int, caught: _Caught | None) -> Iterator[_Move]:
        if spoken.text[at : at + 1] == " ":
            yield self.then, at + 1, caught
        elif spoken.is_border(at):
            yield self.then, at, caught


@dataclass(frozen=True, slots=True, eq=False)
class _Fork:
    ways: tuple[_Step, ...]

    def moves(self, _spoken: SaidWords, at: int, caught: _Caught | None) -> Iterator[_Move]:
        for way in self.ways:
            yield way, at, caught


@dataclass(frozen=True, slots=True, eq=False)
class _OneOf:
    name: str
    entries: Entries
    then: _Step

    def moves(self, spoken: SaidWords, at: int, caught: _Caught | None) -> Iterator[_Move]:
        said = self.entries.said
        for length in self.entries.lengths:
            found = said.get(spoken.text[at : at + length])
            if found is not None and at + length <= len(spoken.text):
                yield self.then, at + length, _Caught(self.name, found, at, False, caught)


@dataclass(frozen=True, slots=True, eq=False)
class _Number:
    name: str
    bounds: NumberRange
    then: _Step

    def moves(self, spoken: SaidWords, at: int, caught: _Caught | None) -> Iterator[_Move]:
        found = _NUMBER.match(spoken.text, at)
        if found is None or (at and (spoken.text[at - 1].isdecimal() or spoken.text[at - 1] in ".-")):
            return
        number = float(found[0]) if "." in found[0] else int(found[0]) if len(found[0]) < 19 else float("inf")
        if self.bounds.least <= number <= self.bounds.most:
            value = SlotValue(number, found[0].replace(".", self.bounds.mark))
            yield self.then, found.end(), _Caught(self.name, value, at, False, caught)


@dataclass(frozen=True, slots=True, eq=False)
class _FreeBegins:
    name: str
    on: _FreeGoesOn

    def moves(self, spoken: SaidWords, at: int, caught: _Caught | None) -> Iterator[_Move]:
        if at < len(spoken.text) and spoken.text[at] != " " and spoken.is_border(at):
            yield self.on, spoken.next_border(at), _Caught(self.name, None, at, False, caught)


@dataclass(frozen=True, slots=True, eq=False)
class _FreeGoesOn:
    name: str
    then: _Step

    def moves(self, spoken: SaidWords, at: int, caught: _Caught | None) -> Iterator[_Move]:
        if spoken.text[at - 1] != " ":
            yield self.then, at, _Caught(self.name, None, at, True, caught)
        if at < len(spoken.text):
            yield self, spoken.next_border(at), caught


class SentencePattern:
    """A sentence that can be compared.

    ``size``: its steps; ``slots``: the names of those in it; ``always``: words without which it does not fit.
    """

    def __init__(self, sentence: Pieces, kinds: Mapping[str, SlotKind], language: str) -> None:
        """Raises BadSentence for a slot of no kind, and for what nobody can say."""
        self._weaving = _Weaving(kinds, language)
        self._end = _End()
        self._first = self._weaving.sequence((Literal(" "), *sentence, Literal(" ")), self._end)
        self.size = self._weaving.size
        literals = [piece.text for piece in sentence if isinstance(piece, Literal)]
        self.always = tuple(filter(None, (_literal_words(text, language)[1] for text in literals)))
        self.slots = frozenset(slots_of(sentence))

    def fits(self, spoken: SaidWords) -> dict[str, SlotValue] | None:
        """What the slots have caught; None: it does not fit. Raises TooMuchToTry."""
        if not all(words in spoken.text for words in self.always):
            return None
        length = len(spoken.text)
        seen: set[tuple[int, int]] = set()
        ways: list[Iterator[_Move]] = [iter([(self._first, 0, None)])]
        while ways:
            move = next(ways[-1], None)
            if move is None:
                ways.pop()
                continue
            step, at, caught = move
            if step is self._end and at == length:
                return _values(spoken, caught)
            key = (id(step), at)
            if key not in seen:
                seen.add(key)
                spoken.tried += 1
                if spoken.tried > MOST_TRIES:
                    raise TooMuchToTry
                ways.append(step.moves(spoken, at, caught))
        return None


@dataclass(slots=True)
class _Weaving:
    """Makes the net of a sentence, from its end on."""

    kinds: Mapping[str, SlotKind]
    language: str
    size: int = field(default=1)

    def sequence(self, sentence: Pieces, then: _Step) -> _Step:
        for piece in reversed(sentence):
            then = self._piece(piece, then)
        return then

    def _piece(self, piece: Piece, then: _Step) -> _Step:
        self.size += 1
        if isinstance(piece, Literal):
            return self._literal(piece.text, then)
        if isinstance(piece, Alternatives):
            return _Fork(tuple(self.sequence(option, then) for option in piece.options))
        return self._slot(piece, then)

    def _literal(self, text: str, then: _Step) -> _Step:
        before, words, behind = _literal_words(text, self.language)
        if not words:
            return _Gap(then) if before else then
        then = _Gap(then) if behind else then
        step: _Step = _Words(words, then)
        return _Gap(step) if before else step

    def _slot(self, slot: Slot, then: _Step) -> _Step:
        kind = self.kinds.get(slot.kind)
        if kind is None:
            known = ", ".join(self.kinds) or "none"
            raise BadSentence(f"there is no list, number or text {slot.kind!r} (there is {known:.200})")
        if isinstance(kind, Entries):
            return _OneOf(slot.name, kind, then)
        if isinstance(kind, NumberRange):
            return _Number(slot.name, kind, then)
        return _FreeBegins(slot.name, _FreeGoesOn(slot.name, then))


def _literal_words(text: str, language: str) -> tuple[bool, str, bool]:
    """Its words as they are compared, and whether a gap stands before and behind them (no words: whether it is one)."""
    bare = text.translate(_APOSTROPHES)
    found = _SPACED.match(bare)
    words = "" if found is None else plain(found["words"], language)
    if found is None or not words:
        return bool(bare), "", False
    return bool(found["before"]), words, bool(found["behind"])


def _values(spoken: SaidWords, caught: _Caught | None) -> dict[str, SlotValue]:
    values: dict[str, SlotValue] = {}
    ends: dict[str, int] = {}
    while caught is not None:
        if caught.value is not None:
            values.setdefault(caught.name, caught.value)
        elif caught.ends:
            ends[caught.name] = caught.at
        else:
            said = spoken.as_said(caught.at, ends.get(caught.name, caught.at))
            values.setdefault(caught.name, SlotValue(said, said))
        caught = caught.before
    return values
