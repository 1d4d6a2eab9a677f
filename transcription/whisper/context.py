"""How much a Whisper model is given of an utterance: which audio, and in how many feature frames.

Whisper was trained on 30 s at a time, and an encoder that is given 3 s padded to 30 works ten times
as long as one that is given the 3 s. How short a model's context may be depends on how it was trained.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from transcription.audio import SAMPLE_RATE, Samples
from transcription.models.models import FULL, STOCK_FLOOR
from transcription.utterance.pops import without_pop
from transcription.utterance.segmenter import Utterance
from transcription.whisper.features import HOP

TAIL = SAMPLE_RATE // 2
"""Samples heard after the last speech: without any the last word suffers, a long silence invites inventions."""

LONGEST = FULL * HOP
"""Samples that the full context takes."""

SECOND_LOOK = 2048
"""Frames in which a doubtful result of stock weights is looked at again: in the full context they are wrong as often,
and take twice the time; in 1536 they are wrong twice as often. Others may need to see what they were trained on."""

MOST_PADDING = 1.5
"""The longest context of a batch by its shortest, which is padded to it."""


def audible(utterance: Utterance) -> Samples:
    """What the model is to hear, no pop, up to the end of speech and ``TAIL`` more, at most ``LONGEST`` samples.

    The tail is the utterance's own audio as far as that goes, then silence. An utterance in which
    no speech was noticed is heard to its end. Raises ValueError when the speech is too long.
    """
    samples = without_pop(utterance)
    speech = utterance.speech_end - utterance.start if utterance.has_speech else len(samples)
    if speech > LONGEST:
        raise ValueError(f"{speech / SAMPLE_RATE:.1f} s of speech; Whisper hears 30 s at a time")
    heard = samples[: speech + TAIL]
    silence = np.zeros(speech + TAIL - len(heard), samples.dtype)
    return np.concatenate([heard, silence])[:LONGEST]


def context_frames(frames: int, *, floor: int, mels: int) -> int:
    """The length of context, in frames, for so many frames of audio; at least ``floor``, at most ``FULL``.

    ``mels`` are the model's mel bins. CTranslate2 knows an encoder's output by its second dimension
    not being ``mels``. Where that happens to be its length, it would encode it once more, without
    an error but with nonsense in it; those two lengths are left out.
    """
    length = min(max(frames, floor), FULL)
    return 2 * mels + 1 if (length + 1) // 2 == mels else length


def longer_contexts(frames: int, *, tolerated: int) -> list[int]:
    """In which a result from so many frames is looked at again, one after the other until one can be believed.

    ``tolerated``: the shortest context that the model is known to tolerate.
    """
    looks = (SECOND_LOOK, FULL) if tolerated >= STOCK_FLOOR else (FULL,)
    return [longer for longer in looks if longer > frames]


def alike(kinds: Sequence[tuple[Hashable, int]]) -> list[list[int]]:
    """The places of those that can be decoded together, by what must be equal and their lengths of context."""
    groups: list[list[int]] = []
    for place in sorted(range(len(kinds)), key=lambda place: kinds[place][1]):
        kind, frames = kinds[place]
        for group in groups:
            shortest = kinds[group[0]]
            if shortest[0] == kind and frames <= MOST_PADDING * shortest[1]:
                group.append(place)
                break
        else:
            groups.append([place])
    return groups
