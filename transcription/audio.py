"""The canonical format: PCM16, mono, 16 kHz. Everything behind this border is in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000

Samples = npt.NDArray[np.int16]
"""PCM16 mono at 16 kHz, shape (n,)."""


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """The next audio of one stream.

    ``position``: stream position of the first sample. ``lost_samples``: the hole right before it,
    which the segmenter conceals with silence and counts.
    """

    position: int
    samples: Samples
    lost_samples: int = 0


def from_pcm16(pcm: bytes) -> Samples:
    """PCM16 little-endian bytes as samples (a read-only view).

    Raises ValueError on an odd number of bytes.
    """
    if len(pcm) % 2:
        raise ValueError(f"PCM16 has two bytes a sample; got {len(pcm)} bytes")
    return np.frombuffer(pcm, dtype="<i2").astype(np.int16, copy=False)


def to_float32(samples: Samples) -> npt.NDArray[np.float32]:
    """Samples scaled to [-1, 1), float32: what the models take."""
    return samples.astype(np.float32) / np.float32(32768.0)


def milliseconds(samples: int) -> float:
    """Duration of so many samples."""
    return samples * 1000 / SAMPLE_RATE
