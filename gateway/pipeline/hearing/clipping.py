"""How much of a stream is cut off at full scale, as it comes. No I/O and no clock: it counts samples."""

from __future__ import annotations

from collections import deque

import numpy as np

from transcription.audio import AudioChunk

LEAST, MOST = -32_768, 32_767
PIECES = 2_048
"""Pieces with clipped samples in them that are remembered: of 20 ms, 40 s of nothing else."""


class Clipping:
    """The clipped samples of one stream, by where they are; a piece of it counts as a whole."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, int, int]] = deque(maxlen=PIECES)

    def hear(self, chunk: AudioChunk) -> None:
        """The next audio, as it came."""
        samples = chunk.samples
        if len(samples) and (samples.max() == MOST or samples.min() == LEAST):
            clipped = int(np.count_nonzero((samples == MOST) | (samples == LEAST)))
            self._pieces.append((chunk.position, chunk.position + len(samples), clipped))

    def within(self, start: int, end: int) -> int:
        """How many there are between these positions; what is before ``end`` is forgotten."""
        found = sum(count for since, to, count in self._pieces if to > start and since < end)
        while self._pieces and self._pieces[0][1] <= end:
            self._pieces.popleft()
        return found
