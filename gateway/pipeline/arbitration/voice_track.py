"""How one stream sounds, frame after frame, and when that was by the gateway's clock. No I/O and no clock of its own.

What is kept is the loudness of a few bands, 62 times a second, of the last seconds: no words can be had from it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from transcription.audio import SAMPLE_RATE, Samples

HOP, WINDOW = 256, 512
"""Samples from one frame to the next, and in one."""
FRAMES_A_SECOND = SAMPLE_RATE / HOP
BANDS = 10
LOWEST_HZ, HIGHEST_HZ = 150.0, 6_000.0
"""What is below is hum, and what is above not every microphone has."""
MOST_FRAMES = 16 * SAMPLE_RATE // HOP
"""Of the last 16 seconds: what is noise now."""
KEPT_FRAMES = 40 * SAMPLE_RATE // HOP
"""So many at least are kept: what others bring late is compared with them."""
DRIFT = 500e-6
"""A device's clock may be so much slower than ours: what comes later and later is no slow link then."""
QUIETEST = -78.0
"""A floor below (in dBFS) counts as this: it is a gate's or a muted microphone's, and tells nothing of the room."""
ACTIVE_DB = 20.0
"""Frames that are so far below the loudest are no part of how loud a voice is."""
SILENT = -96.0
"""The level of digital silence, in dBFS."""

Frames = npt.NDArray[np.float32]
"""The power of each band, relative to full scale: float32, shape (n, ``BANDS``)."""

_HANN = np.hanning(WINDOW).astype(np.float32)
_SCALE = np.float32(2.0 / (WINDOW * float((_HANN**2).sum()) * 32_768.0**2))


def _bands() -> npt.NDArray[np.float32]:
    edges = np.geomspace(LOWEST_HZ, HIGHEST_HZ, BANDS + 1)
    pitch = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
    within = (pitch[:, None] >= edges[:-1]) & (pitch[:, None] < edges[1:])
    return within.astype(np.float32) * _SCALE


_BANDS = _bands()


class VoiceTrack:
    """One stream. Positions count its samples; times are the caller's seconds, which never go back."""

    __slots__ = ("_began", "_count", "_first", "_frames", "_placed_at", "_rest", "_rest_from")

    def __init__(self) -> None:
        self._frames: Frames = np.zeros((KEPT_FRAMES + MOST_FRAMES, BANDS), np.float32)
        self._count = 0
        self._first = 0  # the position of the first frame
        self._rest: Samples = np.zeros(0, np.int16)  # what no later frame can do without
        self._rest_from: int | None = None
        self._began = math.inf
        self._placed_at = 0.0

    def hear(self, position: int, samples: Samples, now: float) -> None:
        """The next audio, which has just come; a hole before it is silence."""
        self.place(position + len(samples), now)
        hole = 0 if self._rest_from is None else position - self._rest_from - len(self._rest)
        if self._rest_from is None or not 0 <= hole <= MOST_FRAMES * HOP:
            self._first = self._rest_from = position
            self._count, self._rest, hole = 0, samples[:0], 0
        audio = np.concatenate((self._rest, np.zeros(hole, np.int16), samples))
        count = max(0, (len(audio) - WINDOW) // HOP + 1)
        for at in range(0, count, MOST_FRAMES):
            self._take(_frames(audio[at * HOP :], min(count - at, MOST_FRAMES)))
        self._rest = audio[count * HOP :].copy()
        self._rest_from += count * HOP

    def _take(self, frames: Frames) -> None:
        if self._count + len(frames) > len(self._frames):
            forgotten = self._count - KEPT_FRAMES
            self._frames[:KEPT_FRAMES] = self._frames[forgotten : self._count].copy()
            self._count, self._first = KEPT_FRAMES, self._first + forgotten * HOP
        self._frames[self._count : self._count + len(frames)] = frames
        self._count += len(frames)

    @property
    def heard_to(self) -> int:
        """The position up to which there are frames."""
        return self._first + self._count * HOP

    @property
    def heard_at(self) -> float:
        """When the last of it came."""
        return self._placed_at

    def place(self, position: int, now: float) -> None:
        """What comes before ``position`` is here now: what comes soonest of a stream tells when it was spoken.

        Audio that a slow link brings late is where it belongs, as long as some of its stream came in time.
        """
        later = self._began + DRIFT * (now - self._placed_at)
        self._began, self._placed_at = min(now - position / SAMPLE_RATE, later), now

    def when(self, position: int) -> float:
        """When this was spoken, as far as is known: its way here is not."""
        return self._began + position / SAMPLE_RATE

    def between(self, start: int, end: int) -> tuple[int, Frames]:
        """The frames between two positions, as far as they are kept; and the position of the first of them."""
        first = min(self._count, max(0, (start - self._first) // HOP))
        last = max(first, min(self._count, (end - self._first) // HOP))
        return self._first + first * HOP, self._frames[first:last]

    def noise(self) -> float:
        """How loud it is where nobody speaks, in dBFS."""
        powers = self._frames[max(0, self._count - MOST_FRAMES) : self._count].sum(axis=1)
        powers = powers[powers > 0]  # a muted microphone hears no room
        return max(QUIETEST, _db(float(np.percentile(powers, 10)))) if len(powers) else QUIETEST

    def level(self, start: int, end: int) -> float:
        """How loud the voice between two positions is, in dBFS; its pauses do not count."""
        powers = self.between(start, end)[1].sum(axis=1)
        if not len(powers):
            return SILENT
        return _db(float(powers[powers >= powers.max() * 10 ** (-ACTIVE_DB / 10)].mean()))

    def fell_mute(self, spoken_to: int, end: int) -> bool:
        """Whether there is nothing but digital silence soon after what was spoken, and was noise at least before."""
        frames = self.between(spoken_to + (end - spoken_to) // 4, end)[1]
        before = self.between(spoken_to - MOST_FRAMES * HOP, spoken_to - WINDOW)[1]
        return len(frames) > 0 and not frames.any() and len(before) > 0 and bool(before.any(axis=1).all())


def _frames(audio: Samples, count: int) -> Frames:
    pieces = np.lib.stride_tricks.sliding_window_view(audio, WINDOW)[::HOP][:count]
    spectrum = np.fft.rfft(pieces * _HANN, axis=1)
    return ((spectrum.real**2 + spectrum.imag**2).astype(np.float32) @ _BANDS).astype(np.float32)


def _db(power: float) -> float:
    return max(SILENT, 10 * math.log10(power)) if power > 0 else SILENT
