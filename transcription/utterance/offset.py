"""The offset of a microphone or its converter, taken away as the audio comes: what is left swings around zero."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from transcription.audio import AudioChunk

REACH = 512
"""Samples of a mean: 32 ms, some swings of any voice."""

_LEAST, _MOST = -32_768, 32_767

Floats = npt.NDArray[np.float64]


class OffsetFilter:
    """One stream without its offset, and not a sample later.

    Twice, each sample loses the offset of the last ``REACH`` up to itself: the first time what stands still, the
    second what drifts. A mean is an offset as far as it is more than what swings around it: the standard deviation of
    the same samples, and more of it the fewer they are at a stream's start. Less does no harm, and audio without
    an offset comes out as it went in. Whatever jumps or pops is forgotten after two reaches; a recursive filter would
    ring on. What was before a hole counts as if there was none.

    The same audio comes out the same however it was cut into chunks (of two minutes at most: all sums are whole
    numbers, which float64 adds exactly).
    """

    __slots__ = ("_first", "_second")

    def __init__(self) -> None:
        self._first = _LessItsOffset()
        self._second = _LessItsOffset()

    def __call__(self, chunk: AudioChunk) -> AudioChunk:
        """The next chunk, without the offset."""
        samples = self._second(self._first(chunk.samples.astype(np.float64)))
        within = np.minimum(np.maximum(samples, _LEAST), _MOST)
        return AudioChunk(chunk.position, within.astype(np.int16), chunk.lost_samples)


class _LessItsOffset:
    __slots__ = ("_heard", "_sums")

    def __init__(self) -> None:
        # Of all samples and of their squares, less the last of these sums: how they grew over a reach.
        self._sums: Floats = np.zeros((2, REACH))
        self._heard = 0

    def __call__(self, samples: Floats) -> Floats:
        """Whole numbers in, whole numbers out."""
        grown = np.cumsum((samples, samples * samples), axis=1)
        sums = np.concatenate((self._sums, grown), axis=1)
        count = self._count(len(samples))
        means, squares = (sums[:, REACH:] - sums[:, :-REACH]) / count
        self._sums = sums[:, -REACH:] - sums[:, -1:]
        swing = np.sqrt(np.maximum(squares - means * means, 0.0))
        no_offset = swing * np.sqrt(REACH / count)
        offset = np.copysign(np.maximum(np.abs(means) - no_offset, 0.0), means)
        less: Floats = samples - np.rint(offset)
        return less

    def _count(self, samples: int) -> Floats | int:
        """Of how many samples each mean is: at a stream's start there are fewer."""
        since, self._heard = self._heard, min(self._heard + samples, REACH)
        return REACH if since == REACH else np.minimum(np.arange(since + 1.0, since + samples + 1), REACH)
