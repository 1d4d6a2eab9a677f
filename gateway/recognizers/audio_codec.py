"""An utterance's audio as it travels in a job: FLAC, which loses nothing, or Opus, which is small; and back.

PyAV does both; it is imported with the first utterance that travels, for it takes 20 MB.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from gateway.contract.recognition import AudioCodec
from transcription.audio import SAMPLE_RATE, Samples, from_pcm16

OPUS_BITS: Final = 24_000
"""A second, on the average."""
OPUS_SLACK: Final = SAMPLE_RATE // 10
"""Opus comes in pieces of 20 ms: so much may be missing at its end, or be too much."""
_FORMATS: Final = {AudioCodec.FLAC: ("flac", "flac"), AudioCodec.OPUS: ("ogg", "opus")}
"""The container, and the codec in it, by FFmpeg's names."""


class BadAudio(ValueError):
    """It is not the audio that it is said to be."""


def encoded(samples: Samples, codec: AudioCodec) -> bytes:
    """``samples`` as they travel. Some milliseconds of a processor for each second: for a thread."""
    if codec is AudioCodec.PCM:
        return samples.astype("<i2").tobytes()
    if not len(samples):
        return b""
    import av  # noqa: PLC0415 - see above

    into, (container, _) = io.BytesIO(), _FORMATS[codec]
    with av.open(into, "w", format=container) as file:
        stream = _stream(file, codec)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, np.int16)[np.newaxis, :], format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        for part in (frame, None):
            file.mux(stream.encode(part))
    return into.getvalue()


def _stream(file: Any, codec: AudioCodec) -> Any:
    if codec is AudioCodec.FLAC:
        return file.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
    options = {"application": "voip", "frame_duration": "20"}
    stream = file.add_stream("libopus", rate=SAMPLE_RATE, layout="mono", options=options)
    stream.bit_rate = OPUS_BITS
    return stream


def decoded(data: bytes, codec: AudioCodec, samples: int) -> Samples:
    """The audio, exactly so many ``samples``. Raises BadAudio; for a thread, as ``encoded``."""
    if codec is AudioCodec.PCM:
        if len(data) != 2 * samples:
            raise BadAudio(f"it has {len(data)} bytes, and {samples} samples have {2 * samples}")
        return from_pcm16(data)
    if not data:
        heard: Samples = np.zeros(0, np.int16)
    else:
        heard = _decoded(data, codec, samples + OPUS_SLACK)
    return _as_long(heard, samples, 0 if codec is AudioCodec.FLAC else OPUS_SLACK)


def _decoded(data: bytes, codec: AudioCodec, most: int) -> Samples:
    import av  # noqa: PLC0415 - see above

    pieces: list[Samples] = []
    room = most
    try:
        for piece in _pieces(av, data, codec):
            room -= len(piece)
            if room < 0:
                raise BadAudio(f"it is longer than the {most} samples that there may be")
            pieces.append(piece)
    except (av.error.FFmpegError, UnicodeError) as error:
        raise BadAudio(f"it cannot be decoded as {codec.value}: {error}") from error
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)


def _pieces(av: Any, data: bytes, codec: AudioCodec) -> Iterator[Samples]:
    """By this demuxer and this decoder; nothing else is opened."""
    container, name = _FORMATS[codec]
    options = {
        "format_whitelist": container,
        "codec_whitelist": f"{name},lib{name}",
        "protocol_whitelist": "",
    }
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    with av.open(io.BytesIO(data), "r", format=container, options=options, io_open=_nothing_else) as file:
        if (
            len(file.streams.audio) != 1
            or file.streams.audio[0].codec_context.name.removeprefix("lib") != name
        ):
            raise BadAudio(f"it is not {codec.value} in {container}")
        for frame in file.decode(audio=0):
            if codec is AudioCodec.FLAC and (frame.sample_rate, frame.format.name) != (SAMPLE_RATE, "s16"):
                raise BadAudio(f"it has {frame.format.name} at {frame.sample_rate} Hz")
            frame.pts = None  # times that jump would be filled with silence
            for part in resampler.resample(frame):
                yield part.to_ndarray()[0]
    for part in resampler.resample(None):
        yield part.to_ndarray()[0]


def _nothing_else(_url: str, _flags: int, _options: dict[str, str]) -> Any:
    raise BadAudio("it wants to be read together with another file")


def _as_long(heard: Samples, samples: int, slack: int) -> Samples:
    if abs(len(heard) - samples) > slack:
        raise BadAudio(f"it has {len(heard)} samples, and is to have {samples}")
    if len(heard) >= samples:
        return heard[:samples]
    return np.concatenate([heard, np.zeros(samples - len(heard), np.int16)])
