"""Audio into what Whisper hears: the logarithm of its energy in mel bands, every 10 ms.

The figures are those of faster-whisper's ``FeatureExtractor``. Energies depend on nothing but the
400 samples of their frame, so they can be worked out while somebody is still speaking; only
``normalized`` needs to have seen the loudest.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

WINDOW = 400
"""Samples of a frame: 25 ms, centred on a multiple of ``HOP``."""

HOP = 160
"""Samples from one frame to the next: 10 ms."""

Floats = npt.NDArray[np.float32]

_ALONE = 1 << 18
"""Multiplications of a product of matrices up to which OpenBLAS does it without its other threads. Those are no quicker
with so little, and then wait busily for tens of milliseconds on the cores that the model computes on."""

_HANN = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
_QUIETEST = 1e-10
_RANGE = 8.0  # decades below the loudest; what is quieter is as quiet


class LogMel:
    """The features of one model, which has its own number of mel bands."""

    def __init__(self, filters: Floats) -> None:
        """``filters``: what each band takes of each frequency, shape (mels, 201)."""
        self._filters = filters
        self._block = max(1, _ALONE // filters.size)

    def __call__(self, samples: Floats) -> Floats:
        """Normalized features of a clip, shape (mels, len(samples) // 160); more than 200 samples in [-1, 1)."""
        mirrored = np.pad(samples, WINDOW // 2, mode="reflect")  # the first frame is centred on sample 0
        return normalized(self.energies(mirrored)[:, : len(samples) // HOP])

    def energies(self, samples: Floats) -> Floats:
        """log10 of the energy in every band, shape (mels, 1 + (len(samples) - 400) // 160).

        A frame's window begins at a multiple of ``HOP`` in ``samples``.
        """
        windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
        spectrum = np.fft.rfft(windows * _HANN)
        power = spectrum.real**2 + spectrum.imag**2
        bands = np.empty((len(self._filters), len(power)), np.float32)
        for start in range(0, len(power), self._block):
            bands[:, start : start + self._block] = self._filters @ power[start : start + self._block].T
        energies: Floats = np.log10(np.maximum(bands, np.float32(_QUIETEST)))
        return energies


def normalized(energies: Floats) -> Floats:
    """Energies scaled as Whisper expects them, relative to the loudest of all."""
    audible: Floats = np.maximum(energies, energies.max() - np.float32(_RANGE))
    return audible / np.float32(4) + np.float32(1)
