"""The words of a hypothesis and their times, from which token was heard in which frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from transcription.transcriber import Word

SECONDS_PER_POSITION = 0.02
"""An encoder's position is two frames of 10 ms."""

SHORTEST = 0.02
"""Seconds that a word lasts at least, where the audio has room for that."""

_OPENING = frozenset("([{\"'“¿¡«「『")


def timed_words(
    pieces: Sequence[tuple[str, int]],
    alignment: Sequence[tuple[int, int]],
    probabilities: Sequence[float],
    seconds: float,
) -> tuple[Word, ...]:
    """The words, ``fitted`` into the ``seconds`` that were heard.

    ``pieces``: each piece of the text as it stands there, blanks included, and of how many tokens it is;
    punctuation goes to its word. ``alignment``: (token, position) in order, the end's token included;
    ``probabilities``: of each token.
    """
    onsets: dict[int, float] = {}
    for token, position in alignment:
        onsets.setdefault(token, min(position * SECONDS_PER_POSITION, seconds))
    edges = list(accumulate((count for _, count in pieces), initial=0))
    words: list[Word] = []
    opening = ""
    for (piece, _), (first, end) in zip(pieces, pairwise(edges), strict=True):
        text = piece.strip()
        start, stop = onsets.get(first, seconds), onsets.get(end, seconds)
        if any(character.isalnum() for character in text):
            words.append(Word(opening + text, start, stop, _mean(probabilities[first:end])))
            opening = ""
        elif words and not (piece.startswith(" ") and text[:1] in _OPENING):
            last = words[-1]
            words[-1] = Word(last.word + text, last.start, last.end, last.probability)
        else:
            opening += text
    return fitted(words, seconds)


def fitted(words: Sequence[Word], seconds: float) -> tuple[Word, ...]:
    """The words at nearly the same times, which do not run backwards and lie in the first ``seconds``.

    Each lasts for ``SHORTEST`` at least; where that is too much for all of them, for an equal part.
    """
    shortest = min(SHORTEST, seconds / max(len(words), 1))
    latest = [max(0.0, seconds - left * shortest) for left in range(len(words), -1, -1)]
    done: list[Word] = []
    for word, last_start, last_end in zip(words, latest, latest[1:], strict=False):
        start = min(max(word.start, done[-1].end if done else 0.0), last_start)
        end = min(max(word.end, start + shortest), last_end)
        done.append(replace(word, start=start, end=end))
    return tuple(done)


def _mean(probabilities: Sequence[float]) -> float:
    return min(1.0, max(0.0, sum(probabilities) / len(probabilities))) if probabilities else 0.0
