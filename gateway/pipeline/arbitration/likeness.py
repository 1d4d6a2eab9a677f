"""Whether two streams have heard one voice: how alike the loudness of their bands goes up and down. No I/O.

Loudness itself, the microphone's colour and the way to it change nothing, for each band is compared with its own mean.
Two people who speak at once are not alike, and neither is one person who says two things.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.pipeline.arbitration.voice_track import FRAMES_A_SECOND, Frames

ALIKE = 0.7
"""From here on it is one voice. Of two microphones with an echo of 0.3 s around them, one voice has 0.83 and more (with
loud noise 0.7), two people who speak at once, each 12 dB louder to their own, 0.5 (one in ten: 0.63)."""
LEAST = 24
"""Frames that must be compared for an answer: 0.38 s."""
LONGEST = 375
"""Frames that are compared at most: 6 s."""
LOUD_DB = 12.0
"""So far below a band's loudest moments is what is compared: who speaks elsewhere in the room is less."""
CERTAIN_DB = 3.0
"""What is less above a band's floor than this is noise."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """``score``: 1 is the same. ``lag``: so many seconds later is the second than the first."""

    score: float
    lag: float = 0.0

    @property
    def is_one_voice(self) -> bool:
        """Whether that is enough."""
        return self.score >= ALIKE


UNKNOWN = Likeness(0.0)
"""There is too little to compare."""


def likeness(one: Frames, other: Frames, offset: float, window: float) -> Likeness:
    """Of two stretches of frames. ``offset``: so many seconds later does the second begin; true within ``window``."""
    one = one[:LONGEST]
    least = max(LEAST, len(one) // 2)
    if len(one) < least or len(other) < least:
        return UNKNOWN
    ours, theirs = _contours(one), _contours(other)
    middle, reach = round(offset * FRAMES_A_SECOND), round(window * FRAMES_A_SECOND)
    best = UNKNOWN
    for shift in range(-middle - reach, reach - middle + 1):  # ours[i] is compared with theirs[i + shift]
        first, last = max(0, -shift), min(len(ours), len(theirs) - shift)
        if last - first < least:
            continue
        score = _correlation(ours[first:last], theirs[first + shift : last + shift])
        if score > best.score:
            best = Likeness(score, offset + shift / FRAMES_A_SECOND)
    return best


def _contours(frames: Frames) -> Frames:
    """In dB, from each band's floor on."""
    loud = 10 * np.log10(frames + np.float32(1e-10))
    quietest, loudest = np.percentile(loud, (15, 97), axis=0)
    return np.asarray(np.maximum(loud, np.maximum(quietest + CERTAIN_DB, loudest - LOUD_DB)), np.float32)


def _correlation(ours: Frames, theirs: Frames) -> float:
    ours, theirs = ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)
    scale = float(np.sqrt((ours * ours).sum() * (theirs * theirs).sum()))
    return float((ours * theirs).sum()) / scale if scale > 0 else 0.0
