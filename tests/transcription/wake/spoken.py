"""Wake words as espeak-ng says them."""

from __future__ import annotations

import functools
import shutil

import numpy as np
import pytest

from benchmarks.load.synthesized import ESPEAK, spoken
from transcription.audio import SAMPLE_RATE, Samples
from transcription.wake.words import WakeWord, find_wake_word

needs_espeak = pytest.mark.skipif(shutil.which(ESPEAK) is None, reason="espeak-ng is not installed")
ROOM = 10.0
"""Root mean square of the room around speech, in steps of PCM16."""


@functools.cache
def say(text: str, voice: str = "en-us", speed: int = 160) -> Samples:
    """The words alone, without the silence around them."""
    samples = spoken(text, voice, speed)
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 300)
    return samples[loud[0] : loud[-1] + 1]


@functools.cache
def word(name: str = "okay_nabu") -> WakeWord:
    return find_wake_word(name)


def pause(seconds: float) -> Samples:
    return np.zeros(int(seconds * SAMPLE_RATE), np.int16)


def in_a_room(*parts: Samples) -> Samples:
    """One after the other, with the noise of a quiet room."""
    samples = np.concatenate(parts)
    noise = np.random.default_rng(len(samples)).normal(0, ROOM, len(samples))
    return np.clip(samples + noise, -32768, 32767).astype(np.int16)
