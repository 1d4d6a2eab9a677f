"""What is wrong with what a device records, concluded from its samples and when they arrive. No I/O.

A board that captures at another rate than it says, that sends both channels of its I2S bus as if they were one, or its
32-bit slots as they are, is understood by nobody, and sounds like a bad microphone. Each leaves its own trace. What
cannot be told apart from a line that catches up is not told.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from firmware_bridge.link.clock_drift import ClockDrift
from firmware_bridge.link.events import SAMPLE_RATE
from firmware_bridge.link.frames import Codec
from firmware_bridge.link.voice_pitch import HIGHEST_VOICE, LOWEST_VOICE, pitch

RATES: Final = (8_000, 11_025, 12_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 96_000)
"""What boards capture at when they do not capture at 16 kHz."""
NEAR: Final = 0.035
"""So near to a rate, as a share of it, is that rate: jitter of the first seconds is less."""
LIVE_SECONDS: Final = 3.0
"""How long a stream must have been that began as it was spoken."""
LONG_SECONDS: Final = 4.0
"""How long one that may be older: then the pitch of its voice must say the same."""
VOICE_BYTES: Final = 4 * SAMPLE_RATE
"""Two seconds that are looked at for their pitch."""
LOOKS: Final = 12
"""Pieces with something in them that must show the same, of so many samples at least each: a pattern, and no chance."""
LEAST_SAMPLES: Final = 64
FIRST: Final = 4 * LOOKS
EVERY: Final = 16
"""The first pieces are all looked at, and then each so-many-th."""
SHARE: Final = 0.99
FEW: Final = 8
"""Values of a byte that are still silence."""
AGAIN_SECONDS: Final = 5.0
"""How often it is looked at how fast samples come."""
PAUSE_SECONDS: Final = 0.3
"""Longer than between two pieces: a device that sends only what is loud, or a line that stood still."""
SURE_SECONDS: Final = 1.0
"""So much later it must still be so: a line that stands still looks like a slow clock, for a moment."""


@dataclass(frozen=True, slots=True)
class RecordingFault:
    """What is wrong, in words that follow the device's name, and what to do about it."""

    reason: str
    remedy: str


SILENT_CHANNEL: Final = RecordingFault(
    "sends both channels of its I2S bus as one: every second sample is silent",
    "let its firmware take one slot only (ESP-IDF: I2S_SLOT_MODE_MONO, and the side that the microphone is wired to)",
)
SAME_CHANNELS: Final = RecordingFault(
    "sends each sample twice: both channels of its I2S bus as one, or 8 kHz repeated",
    "let its firmware take one slot only (ESP-IDF: I2S_SLOT_MODE_MONO), at 16 kHz",
)
WIDE_SLOTS: Final = RecordingFault(
    "sends the 32-bit slots of its I2S bus as they are: every second sample is noise",
    "let its firmware make 16 bits of each slot (of 24 bits in 32: the upper ones, slot >> 16) before it sends them",
)


LAYOUTS: Final = frozenset({SILENT_CHANNEL, SAME_CHANNELS, WIDE_SLOTS})


def wrong_rate(rate: int) -> RecordingFault:
    """It captures at another rate than 16 kHz."""
    return RecordingFault(
        f"sends {rate} samples in a second and calls them {SAMPLE_RATE}",
        f"set the rate of its I2S or PDM peripheral to {SAMPLE_RATE} Hz, or resample before it sends",
    )


class RecordingFaults:
    """One stream: to be shown each piece of it. ``fault``: what is wrong; None: nothing that is known."""

    __slots__ = (
        "_came_at",
        "_count",
        "_due",
        "_is_live",
        "_layouts",
        "_rate",
        "_suspected",
        "_voice",
        "fault",
        "is_fine",
    )

    def __init__(self, *, is_live: bool) -> None:
        """``is_live``: it began as it was spoken; its device had nothing older to send."""
        self._is_live = is_live
        self._count = 0
        self._came_at = 0.0
        self._layouts: Counter[RecordingFault | None] = Counter()
        self._due = LIVE_SECONDS if is_live else LONG_SECONDS
        self._suspected = self._rate = 0
        self._voice = bytearray()
        self.fault: RecordingFault | None = None
        self.is_fine = False
        """Whether it has been long enough to say that nothing is wrong."""

    def look(self, pcm: bytes, codec: Codec, drift: ClockDrift) -> None:
        """The next piece, after ``drift`` has heard of it."""
        self._count += 1
        if drift.seconds > self._came_at + PAUSE_SECONDS:
            self._is_live = False  # it has stood still: what comes may be late, or not all that was recorded
        self._came_at = drift.seconds
        if codec is Codec.PCM16 and (self._count < FIRST or not self._count % EVERY):
            self._look_at_layout(pcm)
        if self._rate:
            self._voice += pcm
            if len(self._voice) >= VOICE_BYTES:
                self._listen()
        elif drift.seconds >= self._due and self.fault not in LAYOUTS:
            self._look_at_rate(drift.samples_per_second)
            self._due = drift.seconds + (SURE_SECONDS if self._suspected else AGAIN_SECONDS)

    def _look_at_layout(self, pcm: bytes) -> None:
        if len(pcm) < 2 * LEAST_SAMPLES or not any(pcm):
            return
        shown = layout(pcm)
        self._layouts[shown] += 1
        if shown is not None and self._layouts[shown] >= max(LOOKS, SHARE * self._layouts.total()):
            self.fault, self.is_fine = shown, False

    def _look_at_rate(self, measured: float | None) -> None:
        if measured is None:
            return
        rate = next((rate for rate in RATES if abs(measured / rate - 1) < NEAR), 0)
        self.is_fine = abs(measured / SAMPLE_RATE - 1) < NEAR
        if self.is_fine or not rate:
            self.fault, self._suspected = None, 0
        elif rate != self._suspected:
            self._suspected = rate
        elif self._is_live:
            self.fault = wrong_rate(rate)
        else:
            self._rate = rate

    def _listen(self) -> None:
        """Whether the voice is nobody's as it is, and somebody's at the rate at which it came."""
        heard = pitch(bytes(self._voice)) or LOWEST_VOICE
        really = heard * self._rate / SAMPLE_RATE
        if not _is_human(heard) and _is_human(really):
            self.fault = wrong_rate(self._rate)
        self._rate, self._voice = 0, bytearray()


def _is_human(hertz: float) -> bool:
    return LOWEST_VOICE <= hertz <= HIGHEST_VOICE


def layout(pcm: bytes) -> RecordingFault | None:
    """What the samples say of how they were put together: of PCM16 as it was sent."""
    even, odd = (pcm[0::4], pcm[1::4]), (pcm[2::4], pcm[3::4])
    even_is_silent, odd_is_silent = _is_silent(even), _is_silent(odd)
    if even_is_silent or odd_is_silent:
        loud = odd if even_is_silent else even
        return SILENT_CHANNEL if _is_various(loud[0]) else None
    count = len(odd[1])
    if even[0][:count] == odd[0][:count] and even[1][:count] == odd[1]:
        return SAME_CHANNELS if _is_various(odd[0]) else None
    return WIDE_SLOTS if _is_low_half(even) != _is_low_half(odd) else None


def _is_silent(samples: tuple[bytes, bytes]) -> bool:
    return not any(samples[0]) and not any(samples[1])


def _is_various(low: bytes) -> bool:
    """Whether there is more in it than the last bit of a converter that has nothing to convert."""
    return len(set(low)) > FEW


def _is_low_half(samples: tuple[bytes, bytes]) -> bool:
    """The lower 16 of 24 bits in 32: nothing in the low byte, and anything in the high one."""
    low, high = samples
    return low.count(0) >= SHARE * len(low) and len(set(high)) > min(len(high), 256) // 4
