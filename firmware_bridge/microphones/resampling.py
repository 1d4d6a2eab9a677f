"""From the rate of a microphone to 16 kHz: the only file that knows soxr."""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from firmware_bridge.link.events import SAMPLE_RATE
from firmware_bridge.microphones.sound_devices import SoundUnavailable

QUALITY: Final = "MQ"
"""Of soxr's recipes: 96 dB, far below what a microphone has, and half the delay of the next better."""

Pcm = npt.NDArray[np.int16]


class Resampler:
    """One stretch of sound, mono, brought to 16 kHz as it comes. Raises SoundUnavailable without soxr."""

    def __init__(self, rate: int) -> None:
        self._stream: Any = None
        if rate == SAMPLE_RATE:
            return
        try:
            import soxr  # noqa: PLC0415 - only for microphones that do not have 16 kHz
        except ImportError as error:
            raise SoundUnavailable(
                f"it has {rate} Hz and not {SAMPLE_RATE}, and soxr is not installed",
                f"{sys.executable} -m pip install 'earshot-gateway[microphone]'",
            ) from error
        self._stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="int16", quality=QUALITY)

    def feed(self, samples: Pcm, *, last: bool = False) -> Pcm:
        """What is ready by now; with ``last`` all of it."""
        if self._stream is None:
            return samples
        resampled: Pcm = self._stream.resample_chunk(samples, last=last)
        return resampled
