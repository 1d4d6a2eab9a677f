"""What a microphone does as it is switched on: a pop, far louder than the speech behind it, and not to be heard."""

from __future__ import annotations

import numpy as np

from transcription.audio import SAMPLE_RATE, Samples
from transcription.utterance.segmenter import Utterance

FIRST = SAMPLE_RATE * 160 // 1000
"""Samples at an utterance's beginning among which there may be a pop: 160 ms."""

TIMES_AS_LOUD = 8
"""No word is so much louder than the loudest of all that follow: 18 dB."""

_ENOUGH = SAMPLE_RATE // 5
"""Samples of speech behind it that are needed to tell: else it may itself be what was said."""


def without_pop(utterance: Utterance) -> Samples:
    """The utterance's samples; where it begins with a pop, silence up to the pop's end."""
    samples = utterance.samples
    speech = np.abs(samples[: utterance.speech_end - utterance.start].astype(np.int32))
    if not utterance.has_speech or len(speech) < FIRST + _ENOUGH:
        return samples
    loudest = speech[FIRST:].max()
    if speech[:FIRST].max() <= TIMES_AS_LOUD * max(loudest, 1):
        return samples
    silenced = samples.copy()
    silenced[: np.flatnonzero(speech[:FIRST] > loudest)[-1] + 1] = 0
    return silenced
