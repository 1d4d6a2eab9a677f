"""What simulated devices say in a benchmark: the recordings that come with Earshot, or a person's sentences."""

from __future__ import annotations

from msgspec import Struct

from benchmarks.instruments.words import spoken, word_errors
from benchmarks.load.speaking import Heard
from firmware_bridge.speech_files import read_wav, recordings
from tests.real.people import prompts, read


class Saying(Struct, frozen=True):
    """What is said: its words, its PCM16, and whether the model is known to get it right."""

    text: str
    pcm: bytes
    clear: bool = False

    def is_right(self, heard: Heard) -> bool:
        """Whether that was understood."""
        return spoken(heard.text) == spoken(self.text)

    def words_wrong(self, heard: Heard) -> int:
        """So many were not."""
        return word_errors(spoken(self.text), spoken(heard.text))


def commands() -> tuple[Saying, ...]:
    """The recordings that come with Earshot."""
    return tuple(Saying(one.text, read_wav(one.path), one.demo) for one in recordings())


def sentences(most: int) -> tuple[Saying, ...]:
    """Somebody's, evenly from those that nothing was chosen on; none where ``make real`` fetched none."""
    kept = [one for one in prompts() if not one.is_for_choosing]
    return tuple(
        Saying(one.text, read(one.path).tobytes()) for one in kept[:: max(len(kept) // most, 1)][:most]
    )
