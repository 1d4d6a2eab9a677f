"""Recordings in every format that is taken, made by the library that the decoder uses, and some that lie."""

from __future__ import annotations

import io
import struct
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from transcription.audio import SAMPLE_RATE, Samples

FORMATS = {
    "wav": ("wav", "pcm_s16le", 44_100),
    "flac": ("flac", "flac", 48_000),
    "ogg": ("ogg", "libopus", 48_000),
    "webm": ("webm", "libopus", 48_000),
    "mp3": ("mp3", "libmp3lame", 44_100),
    "aac": ("adts", "aac", 44_100),
    "m4a": ("mp4", "aac", 44_100),
}
"""By name: container, codec, sample rate. M4A is what browsers send: in fragments, as it is recorded."""
WHOLE_FORMATS = {
    "m4a of a phone": ("ipod", "aac", 44_100),
    "alac": ("ipod", "alac", 44_100),
    "3gp": ("3gp", "aac", 16_000),
}
"""Whose index is at their end."""
_FRAGMENTS = {"movflags": "empty_moov+default_base_moof", "frag_duration": "1000000"}


def tone(seconds: float, hertz: float = 440.0) -> Samples:
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (12_000 * np.sin(2 * np.pi * hertz * times)).astype(np.int16)


def recording(samples: Samples, name: str = "wav", channels: str = "mono", rate: int = 0) -> bytes:
    """These samples (16 kHz) as a file of a format, at another rate than is usual for it if one is given."""
    container, codec, usual = {**FORMATS, **WHOLE_FORMATS}[name]
    return encoded(samples[np.newaxis, :], container, codec, rate or usual, channels, spread=True)


def encoded(
    planes: npt.NDArray[np.int16],
    container: str,
    codec: str,
    rate: int,
    layout: str,
    *,
    spread: bool = False,
    **options: str,
) -> bytes:
    """Channels by samples (16 kHz) as a file; ``spread``: one channel, on all of them."""
    file = io.BytesIO()
    muxing = _FRAGMENTS if container == "mp4" else {}
    with av.open(file, "w", format=container, options=muxing) as out:
        stream: Any = out.add_stream(codec, rate=rate, layout=layout, options=options)
        resampler = av.AudioResampler(
            stream.codec_context.format or "s16", layout, rate, stream.codec_context.frame_size or None
        )
        packed = np.ascontiguousarray(planes.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="mono" if spread else layout)
        frame.sample_rate = SAMPLE_RATE
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(
            [one for one in stream.encode(None) if one.size or container == codec]
        )  # FLAC's sum is no sound
    return file.getvalue()


def wav(
    data: bytes, *, form: bytes = b"", magic: bytes = b"RIFF", order: str = "<", after: bytes = b""
) -> bytes:
    """A WAV file of these bytes: 16 bits and 16 kHz, or as ``form`` says."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack(f"{order}I", len(body)) + body + b"\0" * (len(body) % 2)

    body = b"WAVE" + chunk(b"fmt ", form or wav_form(order=order)) + chunk(b"data", data) + after
    return magic + struct.pack(f"{order}I", len(body)) + body


def wav_form(  # noqa: PLR0917
    channels: int = 1,
    bits: int = 16,
    place: int = 0,
    rate: int = SAMPLE_RATE,
    valid: int = 0,
    mask: int = 0,
    *,
    order: str = "<",
) -> bytes:
    """What a WAV file says of its sound: ``bits`` in ``place`` bytes; extensible with ``valid`` bits or a mask."""
    align = channels * (place or (bits + 7) // 8)
    tag = 0xFFFE if valid or mask else 1
    plain = struct.pack(f"{order}HHIIHH", tag, channels, rate, rate * align, align, bits)
    if tag == 1:
        return plain
    guid = struct.pack(f"{order}IHH", 1, 0, 0x10) + bytes.fromhex("800000aa00389b71")
    return plain + struct.pack(f"{order}HHI", 22, valid or bits, mask) + guid


def wav_that_says(
    size: int, *, channels: int = 1, rate: int = SAMPLE_RATE, bits: int = 16, data: bytes = b""
) -> bytes:
    """A WAV file whose head may lie about everything."""
    block = max(1, channels * bits // 8) & 0xFFFF
    form = struct.pack("<HHIIHH", 1, channels, rate, min(rate * block, 0xFFFFFFFF), block, bits)
    head = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", min(size + len(head), 0xFFFFFFFF)) + head + data
