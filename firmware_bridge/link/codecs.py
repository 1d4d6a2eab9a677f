"""From the codecs a device may use to PCM16 little-endian, mono, 16 kHz.

Each codec is a :class:`Decoder`: one per stream, fed one AUDIO payload at a time, in order.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import struct
import sys
from array import array
from typing import Any, Final, Protocol

from firmware_bridge.link.events import SAMPLE_RATE
from firmware_bridge.link.frames import Codec


class CodecError(ValueError):
    """A payload that its codec cannot have made, or a codec this machine lacks."""


class Decoder(Protocol):
    """Turns the AUDIO payloads of one stream into sound."""

    def decode(self, payload: bytes) -> bytes:
        """PCM16 little-endian mono 16 kHz. Raises CodecError; the next payload may be fine again."""
        ...


def decoder_for(codec: Codec) -> Decoder:
    """A fresh decoder for one stream. Raises CodecError if this machine cannot decode it."""
    return _DECODERS[codec]()


class Pcm16Decoder:
    """PCM16 is what we want already."""

    def decode(self, payload: bytes) -> bytes:
        """Return the payload. Raises CodecError on half a sample."""
        if len(payload) & 1:
            raise CodecError(f"PCM16 has two bytes a sample; got {len(payload)} bytes")
        return payload


# IMA ADPCM: https://www.cs.columbia.edu/~hgs/audio/dvi/IMA_ADPCM.pdf
_STEPS: Final = (
    *(7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73),
    *(80, 88, 97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494),
    *(544, 598, 658, 724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499),
    *(2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493, 10442, 11487),
    *(12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767),
)
_INDEX_SHIFTS: Final = (-1, -1, -1, -1, 2, 4, 6, 8)
_STATE: Final = struct.Struct("<hBB")


# The smallest differences that codes 0 to 7 stand for, for each step index.
_THRESHOLDS: Final = tuple(
    [bool(code & 4) * step + bool(code & 2) * (step >> 1) + bool(code & 1) * (step >> 2) for code in range(8)]
    for step in _STEPS
)


def _difference(index: int, code: int) -> int:
    """What a 4-bit code adds to the predicted sample."""
    step = _STEPS[index]
    size = step >> 3
    size += step if code & 4 else 0
    size += step >> 1 if code & 2 else 0
    size += step >> 2 if code & 1 else 0
    return -size if code & 8 else size


def _next_index(index: int, code: int) -> int:
    return min(max(index + _INDEX_SHIFTS[code & 7], 0), len(_STEPS) - 1)


_MOVES: Final = tuple(
    [(_difference(index, code), _next_index(index, code)) for code in range(16)]
    for index in range(len(_STEPS))
)


@functools.cache
def _byte_rows() -> tuple[list[tuple[int, int, int]], ...]:
    """[step index][byte of two codes]: both differences, and the step index after them."""
    return tuple([_two_codes(index, byte) for byte in range(256)] for index in range(len(_STEPS)))


def _two_codes(index: int, byte: int) -> tuple[int, int, int]:
    first, middle = _MOVES[index][byte & 15]
    second, after = _MOVES[middle][byte >> 4]
    return first, second, after


class AdpcmDecoder:
    """IMA ADPCM: a state (predictor i16, step index u8, 0), then two samples a byte, low nibble first.

    The state in front of each payload makes it independent of all others.
    """

    def __init__(self) -> None:
        self._rows = _byte_rows()

    def decode(self, payload: bytes) -> bytes:
        """Return 4 bytes for each byte after the state. Raises CodecError on an impossible state."""
        if len(payload) < _STATE.size:
            raise CodecError(f"IMA ADPCM starts with {_STATE.size} bytes of state; got {len(payload)} bytes")
        predictor, index, _ = _STATE.unpack_from(payload)
        if index >= len(_STEPS):
            raise CodecError(f"IMA ADPCM has step indices up to {len(_STEPS) - 1}, not {index}")
        rows = self._rows
        differences: list[int] = [predictor]
        extend = differences.extend
        for byte in payload[_STATE.size :]:
            first, second, index = rows[index][byte]
            extend((first, second))
        samples = list(itertools.accumulate(differences))
        if max(samples) > 32767 or min(samples) < -32768:
            samples = list(itertools.accumulate(differences, _clipped_sum))
        return _little_endian(array("h", samples[1:]))


def _clipped_sum(sample: int, difference: int) -> int:
    return min(max(sample + difference, -32768), 32767)


def _little_endian(samples: array[int]) -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


class AdpcmEncoder:
    """What a device does: PCM16 to IMA ADPCM payloads, going on from one to the next."""

    def __init__(self) -> None:
        self._predictor = 0
        self._index = 0

    def encode(self, pcm: bytes) -> bytes:
        """One payload from PCM16 little-endian. Raises CodecError unless the samples are even."""
        if len(pcm) % 4:
            raise CodecError(f"IMA ADPCM has two samples a byte; got {len(pcm)} bytes of PCM16")
        samples = array("h", pcm)
        if sys.byteorder == "big":
            samples.byteswap()
        predictor, index = self._predictor, self._index
        state = _STATE.pack(predictor, index, 0)
        codes = bytearray()
        for sample in samples:
            difference = sample - predictor
            code = bisect.bisect_right(_THRESHOLDS[index], abs(difference)) - 1
            if difference < 0:
                code += 8
            step, index = _MOVES[index][code]
            predictor = _clipped_sum(predictor, step)
            codes.append(code)
        self._predictor, self._index = predictor, index
        return state + bytes(low | high << 4 for low, high in zip(codes[::2], codes[1::2], strict=True))


class OpusDecoder:
    """Raw Opus packets, one a payload, by PyAV.

    It always decodes to 48 kHz. A linear-phase low-pass over the last samples takes every third, so
    that a packet of 60 ms is 960 samples exactly, each delayed by the same 0.7 ms.
    """

    _RATE: Final = 48_000
    _TAPS: Final = 65

    def __init__(self) -> None:
        try:
            import av  # noqa: PLC0415  # only devices that send Opus need it
            import numpy as np  # noqa: PLC0415

            self._context: Any = av.CodecContext.create("libopus", "r")
        except (ImportError, ValueError) as error:
            raise CodecError(f"Opus needs PyAV (the 'av' package): {error}") from error
        self._av: Any = av
        self._np: Any = np
        self._context.sample_rate = self._RATE
        self._context.layout = "mono"
        self._history: Any = np.zeros(self._TAPS - 1, np.float32)
        at = (np.arange(self._TAPS) - self._TAPS // 2) * SAMPLE_RATE / self._RATE
        low_pass = np.sinc(at) * np.hamming(self._TAPS)
        self._low_pass: Any = (low_pass / low_pass.sum()).astype(np.float32)

    def decode(self, payload: bytes) -> bytes:
        """Return what one packet holds: 2.5 to 120 ms. Raises CodecError."""
        np = self._np
        try:
            frames = self._context.decode(self._av.Packet(payload)) if payload else []
        except self._av.FFmpegError as error:
            raise CodecError(f"Opus: {error}") from error
        if not frames:
            raise CodecError("Opus: the packet holds no sound")
        heard = np.concatenate([self._history, *(frame.to_ndarray()[0] for frame in frames)])
        self._history = heard[-(self._TAPS - 1) :]
        narrow = np.convolve(heard, self._low_pass, "valid")[:: self._RATE // SAMPLE_RATE]
        pcm: bytes = np.clip(np.rint(narrow), -32768, 32767).astype("<i2").tobytes()
        return pcm


_DECODERS: Final[dict[Codec, type[Pcm16Decoder | AdpcmDecoder | OpusDecoder]]] = {
    Codec.PCM16: Pcm16Decoder,
    Codec.IMA_ADPCM: AdpcmDecoder,
    Codec.OPUS: OpusDecoder,
}
