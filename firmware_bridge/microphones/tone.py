"""The tone by which a loudspeaker is tried. No I/O."""

from __future__ import annotations

from typing import Final

import numpy as np

RATE: Final = 48_000
PITCH: Final = 440.0
LOUDNESS: Final = 0.25
"""Of the greatest there is: nobody is to be frightened."""
FADE_SECONDS: Final = 0.05


def tone(seconds: float) -> bytes:
    """PCM16 little-endian, mono, at ``RATE``; it swells and fades, so that it does not click."""
    at = np.arange(round(seconds * RATE)) / RATE
    swell = np.clip(np.minimum(at, seconds - at) / FADE_SECONDS, 0.0, 1.0)
    pcm: bytes = (32767 * LOUDNESS * swell * np.sin(2 * np.pi * PITCH * at)).astype("<i2").tobytes()
    return pcm
