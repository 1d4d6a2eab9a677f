"""The offset of a microphone or its converter, taken away as the audio comes: what is left swings around zero."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from transcription.audio import AudioChunk

REACH = 512
"""Samples of a mean: 32 ms. What is above 60 Hz changes by less than 1.5 dB."""

_LEAST, _MOST = -32_768, 32_767

Floats = npt.NDArray[np.float64]


class OffsetFilter:
    """One stream without its offset, as loud as it was, and not a sample later.

    Twice, each sample loses the mean of the last ``REACH`` up to itself: the first time leaves nothing of an offset
    that stands still, the second next to nothing of one that drifts. Whatever jumps or pops is forgotten after
    two reaches; a recursive filter would ring on. All sums are whole numbers, so the same audio comes out
    the same however it was cut into chunks. What was before a hole counts as if there was none.
    """

    __slots__ = ("_first", "_second")

    def __init__(self) -> None:
        self._first = _LessItsMean()
        self._second = _LessItsMean()

    def __call__(self, chunk: AudioChunk) -> AudioChunk:
        """The next chunk, without the offset."""
        samples = self._second(self._first(chunk.samples.astype(np.float64)))
        within = np.minimum(np.maximum(samples, _LEAST), _MOST)
        return AudioChunk(chunk.position, within.astype(np.int16), chunk.lost_samples)


class _LessItsMean:
    __slots__ = ("_heard", "_sums")

    def __init__(self) -> None:
        self._sums: Floats = np.zeros(REACH)  # of all samples so far, less the last: how it grew over a reach
        self._heard = 0

    def __call__(self, samples: Floats) -> Floats:
        """Whole numbers in, whole numbers out: float64 adds them exactly."""
        sums = np.concatenate((self._sums, np.cumsum(samples)))
        means: Floats = (sums[REACH:] - sums[:-REACH]) / self._count(len(samples))
        self._sums = sums[-REACH:] - sums[-1]
        return samples - np.rint(means, means)

    def _count(self, samples: int) -> Floats | int:
        """Of how many samples each mean is: at a stream's start there are fewer."""
        since, self._heard = self._heard, min(self._heard + samples, REACH)
        return REACH if since == REACH else np.minimum(np.arange(since + 1.0, since + samples + 1), REACH)
