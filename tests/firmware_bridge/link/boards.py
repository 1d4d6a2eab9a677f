"""What boards send that are set up wrongly: recordings captured at other rates, put together as an I2S bus has them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from firmware_bridge.speech_files import read_wav, recordings

Samples = npt.NDArray[np.int16]
RECORDINGS = {one.path.stem: one.path for one in recordings()}
OPUS_VOIP = 2048
OPUS_SET_DTX, OPUS_SET_BITRATE = 4016, 4002


def speech(*names: str) -> Samples:
    return np.concatenate([np.frombuffer(read_wav(RECORDINGS[name]), np.int16) for name in names])


def captured_at(rate: int, samples: Samples) -> Samples:
    """What a converter at that rate makes of the same sound."""
    frame = av.AudioFrame.from_ndarray(samples[None, :].copy(), format="s16", layout="mono")
    frame.sample_rate = 16_000
    resampler = av.AudioResampler("s16", "mono", rate)
    return np.concatenate(
        [one.to_ndarray()[0] for one in (*resampler.resample(frame), *resampler.resample(None))]
    )


def both_channels(left: Samples, right: Samples) -> Samples:
    return np.stack([left, right], axis=1).reshape(-1)


def wide_slots(samples: Samples, seed: int = 0) -> Samples:
    """24 bits at the upper end of 32, as they lie in memory."""
    low = np.random.default_rng(seed).integers(0, 256, len(samples))
    return ((samples.astype(np.int64) << 16) | (low << 8)).astype("<i4").view("<i2")


def opus_with_gaps(samples: Samples, milliseconds: int) -> Iterator[bytes]:
    """As libopus encodes it that may say that there is nothing to say (DTX); PyAV's own library, without PyAV."""
    (file,) = Path(av.__file__).parent.parent.glob("av.libs/libopus*")
    opus: Any = ctypes.CDLL(str(file))
    opus.opus_encoder_create.restype = ctypes.c_void_p
    encoder = ctypes.c_void_p(opus.opus_encoder_create(16_000, 1, OPUS_VOIP, None))
    for setting, value in ((OPUS_SET_DTX, 1), (OPUS_SET_BITRATE, 16_000)):
        opus.opus_encoder_ctl(encoder, setting, ctypes.c_int(value))
    size, packet = 16 * milliseconds, (ctypes.c_ubyte * 1500)()
    for start in range(0, len(samples) - size + 1, size):
        piece = np.ascontiguousarray(samples[start : start + size])
        length = opus.opus_encode(encoder, piece.ctypes.data_as(ctypes.c_void_p), size, packet, len(packet))
        yield bytes(packet[:length])
    opus.opus_encoder_destroy(encoder)
