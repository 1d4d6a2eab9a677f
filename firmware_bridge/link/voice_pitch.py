"""How high a voice is, in two seconds of audio. No I/O."""

from __future__ import annotations

from typing import Final

from firmware_bridge.link.events import SAMPLE_RATE

LOWEST_VOICE, HIGHEST_VOICE = 75.0, 330.0
"""Hertz between which people speak."""
FRAME: Final = 2048
"""Samples that have one pitch: at 30 Hz, four swings."""
HOP: Final = 1024
LOWEST, HIGHEST = 25.0, 900.0
"""Hertz that are looked for: of voices that are played too slowly, or too fast."""
VOICED: Final = 0.5
"""How much of itself a frame must have a swing later, to have a pitch."""
LEAST_FRAMES: Final = 4


def pitch(pcm: bytes) -> float | None:
    """In hertz, as the samples say it at 16 kHz; None: there is no voice to speak of."""
    import numpy as np  # noqa: PLC0415 - only where somebody is under suspicion

    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    if len(samples) < FRAME:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    energy = np.square(frames).sum(axis=1)
    frames = frames[energy > max(float(energy.max()) / 20, 1.0)]
    spectra = np.abs(np.fft.rfft(frames, 2 * FRAME)) ** 2
    alike = np.fft.irfft(spectra)[:, :FRAME] * (FRAME / np.arange(FRAME, 0, -1))
    first, last = int(SAMPLE_RATE / HIGHEST), int(SAMPLE_RATE / LOWEST)
    found = []
    for frame in alike:
        swings = frame[first:last] / max(float(frame[0]), 1.0)
        near = np.flatnonzero(swings >= 0.9 * swings.max())
        if swings.max() >= VOICED and len(near):
            top = int(near[0])
            while top + 1 < len(swings) and swings[top + 1] > swings[top]:
                top += 1
            found.append(SAMPLE_RATE / (first + top))
    return float(np.median(found)) if len(found) >= LEAST_FRAMES else None
