"""Recordings in every format that is taken, made by the library that the decoder uses, and some that lie."""

from __future__ import annotations

import io
import struct
from typing import Any

import av
import numpy as np

from transcription.audio import SAMPLE_RATE, Samples

FORMATS = {
    "wav": ("wav", "pcm_s16le", 44_100),
    "flac": ("flac", "flac", 48_000),
    "ogg": ("ogg", "libopus", 48_000),
    "webm": ("webm", "libopus", 48_000),
    "mp3": ("mp3", "libmp3lame", 44_100),
}
"""By name: container, codec, sample rate."""


def tone(seconds: float, hertz: float = 440.0) -> Samples:
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (12_000 * np.sin(2 * np.pi * hertz * times)).astype(np.int16)


def recording(samples: Samples, name: str = "wav", channels: str = "mono") -> bytes:
    """These samples (16 kHz) as a file of a format."""
    container, codec, rate = FORMATS[name]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=rate, layout=channels)
        resampler = av.AudioResampler(
            stream.codec_context.format or "s16", channels, rate, stream.codec_context.frame_size or None
        )
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return file.getvalue()


def wav_that_says(
    size: int, *, channels: int = 1, rate: int = SAMPLE_RATE, bits: int = 16, data: bytes = b""
) -> bytes:
    """A WAV file whose head may lie about everything."""
    block = max(1, channels * bits // 8) & 0xFFFF
    form = struct.pack("<HHIIHH", 1, channels, rate, min(rate * block, 0xFFFFFFFF), block, bits)
    head = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", min(size + len(head), 0xFFFFFFFF)) + head + data
