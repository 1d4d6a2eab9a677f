"""Voices without words, for tests of who hears them: syllables by chance, the same for the same seed."""

from __future__ import annotations

import numpy as np

from transcription.audio import SAMPLE_RATE, Samples

PITCHES = (300, 620, 1_100, 1_900, 3_000)


def syllables(seed: int, seconds: float = 1.0) -> Samples:
    """As loud as `tests.gateway.works.loud`, where it is; its pauses are short."""
    rng = np.random.default_rng(seed)
    pieces = []
    while sum(map(len, pieces)) < seconds * SAMPLE_RATE:
        length = int(rng.uniform(0.06, 0.2) * SAMPLE_RATE)
        at = np.arange(length) / SAMPLE_RATE
        tones = [np.sin(2 * np.pi * pitch * at) for pitch in rng.choice(PITCHES, 2, replace=False)]
        pieces.append(rng.uniform(9_000, 14_000) * np.hanning(length) ** 0.3 * sum(tones) / 2)
        pieces.append(np.zeros(int(rng.uniform(0.03, 0.09) * SAMPLE_RATE)))
    return np.concatenate(pieces)[: int(seconds * SAMPLE_RATE)].astype(np.int16)


def spoken(
    seed: int,
    *,
    db: float = 0.0,
    seconds: float = 1.0,
    before: float = 1.0,
    after: float = 1.5,
    noise: float = 30.0,
) -> Samples:
    """A voice in a room with some noise, and nobody before and after it."""
    rng = np.random.default_rng(seed + 1_000)
    voice = syllables(seed, seconds) * 10 ** (db / 20)
    whole = np.concatenate((np.zeros(int(before * SAMPLE_RATE)), voice, np.zeros(int(after * SAMPLE_RATE))))
    return (whole + rng.normal(0, noise, len(whole))).clip(-32_768, 32_767).astype(np.int16)
