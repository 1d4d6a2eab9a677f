"""Several who speak at once to one server, each as soon as it has been answered, and what they heard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeAlias

from msgspec import Struct

from benchmarks.instruments.report import percentile
from benchmarks.instruments.words import spoken as words
from benchmarks.instruments.words import word_errors
from benchmarks.load.speaking import Heard

Said: TypeAlias = tuple[list[str], bytes]
"""The words, and their PCM16."""

SpeakTo: TypeAlias = Callable[[bytes], Awaitable[Heard]]
"""Say one utterance."""


class Crowd(Struct, frozen=True):
    """What a crowd heard, how long that took in all, and how many of the words that were said came out otherwise."""

    heard: list[Heard]
    seconds: float
    words_wrong: int
    words_said: int = 0

    @property
    def without_text(self) -> int:
        """Utterances of which nothing was heard."""
        return sum(not one.text for one in self.heard)

    @property
    def per_second(self) -> float:
        """Utterances per second, of those that had a text."""
        return (len(self.heard) - self.without_text) / self.seconds

    @property
    def longest_by_median(self) -> float:
        """The longest wait, in medians."""
        times = [one.wait_ms for one in self.heard]
        return max(times) / percentile(times, 50)


async def spoken_to(crowd: Sequence[SpeakTo], said: Iterable[Said]) -> Crowd:
    """Share the utterances out, to whoever is done with the last one."""
    waiting = iter(said)
    began = time.perf_counter()
    answers = await asyncio.gather(*(_say_next(speak, waiting) for speak in crowd))
    seconds = time.perf_counter() - began
    pairs = list(chain.from_iterable(answers))
    wrong = sum(word_errors(expected, words(heard.text)) for expected, heard in pairs)
    return Crowd([heard for _, heard in pairs], seconds, wrong, sum(len(expected) for expected, _ in pairs))


async def _say_next(speak: SpeakTo, waiting: Iterator[Said]) -> list[tuple[list[str], Heard]]:
    return [(expected, await speak(pcm)) for expected, pcm in waiting]
