"""Plain sound of another program, as it comes, into the canonical audio: any usual rate and width, several channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from transcription.audio import SAMPLE_RATE
from transcription.sound_files.g711 import A_LAW, MU_LAW
from transcription.sound_files.mixing import MAX_CHANNELS, Mixer, Mono
from transcription.sound_files.resampling import Interpolator

PcmKind = Literal["u8", "s16", "s24", "s32", "f32", "mulaw", "alaw"]
"""A sample, little-endian: 8 bits have no sign, as in WAV."""
PCM_RATES: Final = range(4_000, 192_001)
_BYTES: Final[dict[PcmKind, int]] = {"u8": 1, "s16": 2, "s24": 3, "s32": 4, "f32": 4, "mulaw": 1, "alaw": 1}
_OF_WIDTH: Final[dict[int, PcmKind]] = {1: "u8", 2: "s16", 3: "s24", 4: "s32"}
_STRETCH: Final = 16_384
"""Frames that are worked on at once."""


class UnknownPcm(ValueError):
    """Sound of a kind that is not taken; its text says what is."""


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """What the bytes are. Raises UnknownPcm for what is not taken."""

    rate: int = SAMPLE_RATE
    kind: PcmKind = "s16"
    channels: int = 1

    def __post_init__(self) -> None:
        if self.rate not in PCM_RATES:
            raise UnknownPcm(f"{self.rate} Hz is none of {PCM_RATES[0]} to {PCM_RATES[-1]} Hz")
        if self.kind not in _BYTES:
            raise UnknownPcm(f"samples are {', '.join(_BYTES)}, not {self.kind}")
        if not 0 < self.channels <= MAX_CHANNELS:
            raise UnknownPcm(f"{self.channels} channels are not 1 to {MAX_CHANNELS}")

    @classmethod
    def of_width(cls, rate: int, width: int, channels: int) -> PcmFormat:
        """Integers of so many bytes. Raises UnknownPcm."""
        if width not in _OF_WIDTH:
            raise UnknownPcm(f"a sample has 1 to 4 bytes, not {width}")
        return cls(rate, _OF_WIDTH[width], channels)

    @property
    def frame_bytes(self) -> int:
        """Of one sample of each channel."""
        return _BYTES[self.kind] * self.channels


class PcmStream:
    """One stretch of sound: bytes in, cut anywhere; PCM16 at 16 kHz, mono, out, the same however they were cut.

    A few ms are held back at most, and of several channels a tenth of a second, which are looked at before they
    are mixed. What has the canonical format already goes through as it is.
    """

    def __init__(self, given: PcmFormat) -> None:
        self._given = given
        self._is_canonical = given == PcmFormat()
        self._part = b""
        self._begin()

    def feed(self, data: bytes) -> bytes:
        """What can be made by now."""
        data = self._part + data if self._part else data
        whole = len(data) - len(data) % self._given.frame_bytes
        self._part = data[whole:]
        if self._is_canonical:
            return data if whole == len(data) else data[:whole]
        stretch = _STRETCH * self._given.frame_bytes
        return b"".join(self._made(data[at : min(at + stretch, whole)]) for at in range(0, whole, stretch))

    def finish(self) -> bytes:
        """The rest. Bytes that are not a whole frame are left out; what is fed now begins anew."""
        mono = self._mixer.rest() if self._given.channels > 1 else np.zeros(0, np.float32)
        rest = _pcm16(mono)
        if self._interpolator is not None:
            rest = _pcm16(self._interpolator.feed(mono)) + _pcm16(self._interpolator.rest())
        self._begin()
        return rest

    def _begin(self) -> None:
        rate = self._given.rate
        self._part = b""
        self._mixer = Mixer(self._given.channels, rate)
        self._interpolator = Interpolator(rate) if rate != SAMPLE_RATE else None

    def _made(self, data: bytes) -> bytes:
        mono = self._mixer.mixed(_scaled(data, self._given.kind).reshape(-1, self._given.channels).T)
        return _pcm16(mono if self._interpolator is None else self._interpolator.feed(mono))


def _scaled(data: bytes, kind: PcmKind) -> Mono:
    """Samples in [-1, 1)."""
    match kind:
        case "u8":
            return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(1 << 7)
        case "s16":
            return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(1 << 15)
        case "s24":
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            return _scaled(wide.tobytes(), "s32")
        case "s32":
            return np.frombuffer(data, "<i4").astype(np.float32) / np.float32(1 << 31)
        case "f32":
            sound: Mono = np.clip(np.nan_to_num(np.frombuffer(data, "<f4"), nan=0.0), -1, 1).astype(
                np.float32
            )
            return sound
        case "mulaw" | "alaw":
            table = MU_LAW if kind == "mulaw" else A_LAW
            return table[np.frombuffer(data, np.uint8)].astype(np.float32) / np.float32(1 << 15)


def _pcm16(mono: Mono) -> bytes:
    rounded = np.clip(np.rint(mono * np.float32(1 << 15)), -(1 << 15), (1 << 15) - 1)
    return bytes(rounded.astype("<i2").tobytes())
