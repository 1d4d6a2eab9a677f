"""People's speech for a recognizer with real weights: which recordings, with which noise; and an hour without speech.

``STOCK_FLOOR`` was chosen on English prompts of the first half of the alphabet, clean and in white noise. It is judged
on the other half, other voices, other languages, and another noise: eight who talk at once, in other languages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from benchmarks.load.clips import coloured, in_noise, in_room, pcm16
from tests.real.people import LANGUAGES, commanders, music, prompts, read, readers
from transcription.audio import SAMPLE_RATE, Samples

CHOSEN_ON = "chosen on"
CROWD_SECONDS = 90
OF_OTHER_LANGUAGES = 60
"""Prompts of each, which are as many as an hour of two cores is worth."""

MINUTES = 20
"""Of silence, of noise and of music, each."""

PIECE = 30 * SAMPLE_RATE


@dataclass(frozen=True)
class Said:
    """One recording as it is given, and what was said in it."""

    name: str
    text: str
    samples: Samples


@dataclass(frozen=True)
class Set:
    """Recordings of one language in one noise."""

    name: str
    language: str
    said: list[Said]


def sets(languages: tuple[str, ...], most: int) -> Iterator[Set]:
    """All that is heard in these languages, at most so many of each. Each recording comes out alike every time."""
    for language in languages:
        judged, choosing = _prompts(language)
        if language != "en":
            yield from _in_noises(language, judged[: min(most, OF_OTHER_LANGUAGES)], language, (10,))
            continue
        yield from _in_white(f"{CHOSEN_ON} en", choosing[:most])
        yield from _in_noises("en", judged[:most], language, (20, 10))
        yield from _in_noises("en, other voices", list(_others())[:most], language, (20, 10))


def _prompts(language: str) -> tuple[list[Said], list[Said]]:
    """Those to judge on and those to choose on, mixed."""
    found = prompts(language)
    order = np.random.default_rng(3).permutation(len(found))
    mixed = [(found[at].is_for_choosing, found[at]) for at in order]
    said = [(choosing, Said(one.name, one.text, read(one.path))) for choosing, one in mixed]
    return [one for choosing, one in said if not choosing], [one for choosing, one in said if choosing]


def _others() -> Iterator[Said]:
    for number, (text, path) in enumerate(readers()):
        yield Said(f"reader {number}", text, read(path))
    for number, (text, samples) in enumerate(commanders()):
        yield Said(f"commander {number}", text, samples)


def _in_white(name: str, said: list[Said]) -> Iterator[Set]:
    quiet = [Said(one.name, one.text, in_room(one.samples, _rng(one))) for one in said]
    yield Set(f"{name}, clean", "en", quiet)
    noisy = [Said(one.name, one.text, in_noise(one.samples, 10, _rng(one))) for one in quiet]
    yield Set(f"{name}, white noise 10 dB", "en", noisy)


def _in_noises(name: str, said: list[Said], language: str, noises: tuple[int, ...]) -> Iterator[Set]:
    quiet = [Said(one.name, one.text, in_room(one.samples, _rng(one))) for one in said]
    yield Set(f"{name}, clean", language, quiet)
    crowd = _crowd(language)
    for decibels in noises:
        noisy = [
            Said(one.name, one.text, _beside(one.samples, crowd, decibels, len(before.samples), _rng(one)))
            for before, one in zip(said, quiet, strict=True)
        ]
        yield Set(f"{name}, talk {decibels} dB", language, noisy)


def _rng(said: Said) -> np.random.Generator:
    return np.random.default_rng([*said.name.encode()])


def _beside(
    samples: Samples, crowd: np.ndarray, decibels: float, spoken: int, rng: np.random.Generator
) -> Samples:
    """With the crowd so many decibels below the mean level of what is spoken."""
    level = np.sqrt(np.sum(np.square(samples, dtype=np.float64)) / spoken) * 10 ** (-decibels / 20)
    start = rng.integers(0, len(crowd))
    others = np.take(crowd, np.arange(start, start + len(samples)), mode="wrap")
    return pcm16(samples + others / np.sqrt(np.mean(np.square(others))) * level)


def _crowd(language: str) -> np.ndarray:
    """Two at a time of each other language, of those who say what nothing is judged on."""
    rng = np.random.default_rng(7)
    length = CROWD_SECONDS * SAMPLE_RATE
    crowd = np.zeros(length)
    for other in LANGUAGES:
        if other != language:
            voices = [_level(read(one.path)) for one in prompts(other) if one.is_for_choosing]
            for _ in range(2):
                order = rng.permutation(len(voices))
                crowd += np.resize(np.concatenate([voices[at] for at in order]), length)
    return crowd


def _level(samples: Samples) -> np.ndarray:
    level: np.ndarray = samples / max(1.0, np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return level


def without_speech(most: int) -> dict[str, list[Samples]]:
    """An hour in which nobody speaks, in pieces: of each kind, at most so many."""
    rng = np.random.default_rng(11)
    pieces = MINUTES * 60 * SAMPLE_RATE // PIECE
    kinds = {"silence": _silence(rng), "noise": _noise(rng), "music": _music()}
    return {kind: list(islice(found, pieces))[:most] for kind, found in kinds.items()}


def _silence(rng: np.random.Generator) -> Iterator[Samples]:
    """None at all, and that of rooms."""
    for level in cycle((0, 3, 10, 30)):
        yield pcm16(rng.normal(0, 1, PIECE) * level)


def _noise(rng: np.random.Generator) -> Iterator[Samples]:
    """White, pink and brown, clicks and hum, faint and loud."""
    time = np.arange(PIECE) / SAMPLE_RATE
    for number in cycle(range(15)):
        white = rng.normal(0, 1, PIECE)
        kind = (
            white,
            coloured(white, 0.5),
            coloured(white, 1.0),
            (rng.random(PIECE) < 3 / SAMPLE_RATE) * rng.choice([-8, 8], PIECE),
            np.sin(2 * np.pi * 50 * time) + 0.3 * np.sin(2 * np.pi * 150 * time) + 0.05 * white,
        )[number % 5]
        yield pcm16(kind / np.abs(kind).max() * (300, 3_000, 15_000)[number // 5])


def _music() -> Iterator[Samples]:
    """What there is (18 minutes), once as it is, then fainter."""
    for gain in cycle((1.0, 0.2)):
        for path in music():
            samples = read(path)
            for start in range(0, len(samples) - PIECE, PIECE):
                yield pcm16(gain * samples[start : start + PIECE])
