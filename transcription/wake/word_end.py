"""Where a wake word ends, and what was said behind it in the same breath begins. No I/O and no clock."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from transcription.audio import Samples

HOP = 160
FRAME = 2 * HOP
"""Samples whose loudness is one value: 20 ms, every 10."""
EARLIEST, LATEST = 9 * HOP, 5 * HOP
"""So far before and after its first likely step a wake word ends of which nothing is known."""
SOONER = 10 * HOP
"""A word of which it is known may end so much sooner, when it is followed by a pause."""
DRAWN_OUT = 30 * HOP
"""A word before a pause is so much longer, at most; behind it there may be another, which has its own pause."""
PAUSE = 9
"""Frames of silence, 100 ms: whoever spoke it waits. Before a consonant within speech there are fewer."""
ABOVE_ROOM = 6.0
BELOW_VOICE = 15.0
"""Decibels between which a pause lies."""
AS_DEEP = 3.0
"""Of two dips that differ by no more decibels the earlier counts: rather too much of the word than too little else."""

_Levels = npt.NDArray[np.float64]


def word_end(samples: Samples, likely_at: int, lag: int | None = None) -> int:
    """The index in ``samples`` from which what follows the word is to be heard.

    ``samples`` end soon after it was certain. Where there is a pause behind it, that is the pause's beginning; else
    ``lag`` samples behind the place where the word was likely first, where that is known of it, and if it is not, the
    deepest dip around that place.
    """
    levels = _levels(samples)
    if not len(levels):
        return len(samples)
    earliest = likely_at - EARLIEST if lag is None else likely_at + lag - SOONER
    first = max(0, earliest // HOP - 1)
    limit = min(float(np.percentile(levels, 10)) + ABOVE_ROOM, float(levels[-100:].max()) - BELOW_VOICE)
    latest = likely_at + (LATEST if lag is None else lag) + DRAWN_OUT
    pause = _pause(levels[first : max(first, latest // HOP) + PAUSE] <= limit)
    if pause is not None:
        return (first + pause) * HOP + HOP
    if lag is not None:
        return min(len(samples), max(0, likely_at + lag))
    last = min(len(levels), (likely_at + LATEST) // HOP)
    if first >= last:
        return min(len(samples), max(0, likely_at))
    return (first + _dip(levels[first:last])) * HOP + HOP


def _pause(quiet: npt.NDArray[np.bool_]) -> int | None:
    """Where the first pause begins."""
    runs = np.convolve(quiet, np.ones(PAUSE), "valid") if len(quiet) >= PAUSE else quiet[:0]
    found = np.flatnonzero(runs >= PAUSE)
    return int(found[0]) if len(found) else None


def _dip(levels: _Levels) -> int:
    """The first of the deepest dips."""
    deepest = int(levels.argmin())
    for place in range(1, deepest):
        is_dip = levels[place] <= levels[place - 1] and levels[place] <= levels[place + 1]
        if is_dip and levels[place] <= levels[deepest] + AS_DEEP:
            return place
    return deepest


def _levels(samples: Samples) -> _Levels:
    """Decibels of each frame."""
    count = (len(samples) - FRAME) // HOP + 1
    if count < 1:
        return np.zeros(0)
    energies = np.square(samples[: (count + 1) * HOP].astype(np.float64)).reshape(-1, HOP).sum(axis=1)
    frames: _Levels = 10 * np.log10((energies[:-1] + energies[1:]) / FRAME + 1.0)
    return frames
