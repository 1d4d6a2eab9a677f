"""An utterance in progress, and where to cut it if its speech does not pause.

At its longest dip; if it has none, where it is least likely to be speech; else at its quietest place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

CERTAIN = 0.75
"""Two windows with a mean probability of speech from here on are no dip of it."""


@dataclass(frozen=True, slots=True)
class HeardWindow:
    """What was made of a window: its bounds in the stream, its probability of speech, and whether it is speech."""

    start: int
    end: int
    probability: float
    speaking: bool


def best_cut(windows: Sequence[HeardWindow], level: Callable[[HeardWindow], float]) -> int:
    """The best position for a cut: the end of one of these windows, which follow each other.

    ``level`` tells how loud a window is; it is only asked where the speech has no dip at all. The
    later place is taken of two equal ones, so that the longer part is complete. Raises ValueError without windows.
    """
    if not windows:
        raise ValueError("no place to cut at")
    dips = [list(run) for speaking, run in groupby(windows, lambda each: each.speaking) if not speaking]
    if dips:
        dip = max(reversed(dips), key=len)
        return dip[(len(dip) - 1) // 2].end
    if len(windows) == 1:
        return windows[0].end
    least, cut = min((a.probability + b.probability, -a.end) for a, b in pairwise(windows))
    if least >= 2 * CERTAIN:
        levels = [level(each) for each in windows]
        _, cut = min((a + b, -each.end) for each, (a, b) in zip(windows, pairwise(levels), strict=False))
    return -cut


@dataclass(slots=True)
class InProgress:
    """An utterance in progress: what was heard of it so far. ``paused``: its present pause was told."""

    start: int
    speech_start: int | None = None
    speech_end: int | None = None
    peak_probability: float = 0.0
    paused: bool = False
    untold: int = 0
    """Samples of speech since it started, paused, or was last told to go on."""
    windows: list[HeardWindow] = field(default_factory=list)

    def take(self, window: HeardWindow) -> None:
        """Listen to the next of its windows."""
        self.windows.append(window)
        self.peak_probability = max(self.peak_probability, window.probability)
        if window.speaking:
            if self.speech_start is None:
                self.speech_start = window.start
            self.speech_end, self.paused = window.end, False
            self.untold += window.end - window.start

    def until(self, position: int) -> InProgress:
        """As it was when so much was heard."""
        earlier = InProgress(self.start)
        for window in self.windows:
            if window.end <= position:
                earlier.take(window)
        return earlier
