"""Names put where a stretch of what was heard sounds like one, if the model, told of them, hears them there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Protocol

from transcription.whisper.likeness import Near, holds, unlike, words

HEAD_START = 2.0
"""A name may be so much less likely than what was heard, in nats: somebody said beforehand that it may come."""

_EVEN = math.log(0.5)
"""A stretch that the model finds likelier than not is what was said: nothing else is tried in its place."""

_SAID_UNLIKE = 0.7
_MOST_WORDS = 3
_WORDS_MORE = 1
"""What it says, told of the names, replaces so many words that sound so, by a name and a word beside it."""


class HearsNames(Protocol):
    """A model that has the utterance's sound, and is told which names are near."""

    def encode(self, text: str) -> list[int]:
        """The text's tokens."""

    def weigh(self, tokens: list[int]) -> list[float]:
        """How likely it finds each token after those before, as a natural logarithm."""

    def say(self) -> str:
        """What it hears now."""


@dataclass(frozen=True, slots=True)
class NamedText:
    """A text with names in it, its tokens, and what they weigh together."""

    text: str
    tokens: tuple[int, ...]
    log_probability: float


def with_names(text: str, near: Sequence[Near], model: HearsNames) -> NamedText | None:
    """The text with those of the names that are heard in it; None: without any.

    A model that was sure of its words is asked once. Else it says the sentence again, and is asked once for each name,
    unless it said one.
    """
    heard = model.encode(text)
    weights = model.weigh(heard)
    tried = {one: model.encode(one.put_into(text)) for one in near}
    unsure = {one: other for one, other in tried.items() if sum(weights[_changed(heard, other)]) < _EVEN}
    if not unsure:
        return None
    named = said_anew(text, model.say(), [one.name for one in near])
    if named is None:
        least = sum(weights) - HEAD_START
        gains = [(sum(model.weigh(other)) - least, one) for one, other in unsure.items()]
        named = _put_in(text, [one for gain, one in sorted(gains, key=_gain, reverse=True) if gain >= 0])
    if named is None:
        return None
    tokens = model.encode(named)
    return NamedText(named, tuple(tokens), sum(model.weigh(tokens)))


def said_anew(text: str, anew: str, names: Sequence[str]) -> str | None:
    """The text with the name that ``anew`` has for some words that sound so; None: for none, or more than one.

    All other words stay as they were: a model that is told names takes them less seriously.
    """
    before, after = words(text), words(anew)
    plain, anew_plain = ([one[0].casefold() for one in some] for some in (before, after))
    matched = SequenceMatcher(None, plain, anew_plain, autojunk=False)
    found: list[tuple[int, int, str]] = []
    for kind, first, last, begin, end in matched.get_opcodes():
        said = [one[0] for one in after[begin:end]]
        name = next((name for name in names if holds(said, name)), None)
        if kind != "replace" or name is None:
            continue
        start, stop = before[first].start(), before[last - 1].end()
        put = anew[after[begin].start() : after[end - 1].end()]
        fits = last - first <= _MOST_WORDS and len(said) <= len(words(name)) + _WORDS_MORE
        if not fits or unlike(text[start:stop], put) > _SAID_UNLIKE:
            return None
        found.append((start, stop, put))
    if len(found) != 1:
        return None
    [(start, stop, put)] = found
    return f"{text[:start]}{put}{text[stop:]}"


def _gain(one: tuple[float, Near]) -> float:
    return one[0]


def _put_in(text: str, best: Sequence[Near]) -> str | None:
    """The text with these, the first ones where two want the same words; None: there are none."""
    taken: list[Near] = []
    for one in best:
        if not any(one.overlaps(other) for other in taken):
            taken.append(one)
    for one in sorted(taken, key=lambda each: each.start, reverse=True):  # what stands before keeps its place
        text = one.put_into(text)
    return text if taken else None


def _changed(one: list[int], other: list[int]) -> slice:
    """Where the first has what the other has not; where the other has only more, the token that it comes before."""
    begin = min(_same(one, other), max(len(one) - 1, 0))
    end = len(one) - _same(one[begin:][::-1], other[begin:][::-1])
    return slice(begin, max(end, begin + 1))


def _same(one: list[int], other: list[int]) -> int:
    """So many they begin with both."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
