"""What becomes of an utterance's audio on its way: FLAC to the sample, Opus to the ear, and what is neither is told."""

from __future__ import annotations

import contextlib
import io

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.contract.recognition import AudioCodec
from gateway.recognizers.audio_codec import BadAudio, decoded, encoded
from tests.transcription.speech import recording
from transcription.audio import SAMPLE_RATE, Samples


@pytest.mark.parametrize("codec", [AudioCodec.FLAC, AudioCodec.PCM])
@pytest.mark.parametrize("length", [0, 1, 2, 15, 16, 17, 4095, 4096, 4097, 64_000])
def test_what_loses_nothing_is_the_same_to_the_sample(codec: AudioCodec, length: int) -> None:
    noise = np.random.default_rng(length).integers(-32768, 32768, length).astype(np.int16)
    for samples in (noise, np.zeros(length, np.int16), np.full(length, -32768, np.int16)):
        assert np.array_equal(decoded(encoded(samples, codec), codec, length), samples)


@given(st.binary(max_size=4000).map(lambda data: np.frombuffer(data[: len(data) // 2 * 2], np.int16)))
@settings(max_examples=50, deadline=None)
def test_flac_keeps_whatever_there_is(samples: Samples) -> None:
    assert np.array_equal(decoded(encoded(samples, AudioCodec.FLAC), AudioCodec.FLAC, len(samples)), samples)


def test_opus_is_small_as_long_and_in_its_place() -> None:
    samples = recording("u01")
    data = encoded(samples, AudioCodec.OPUS)
    assert len(data) < len(samples) / SAMPLE_RATE * 5_000
    again = decoded(data, AudioCodec.OPUS, len(samples)).astype(np.float64)
    assert len(again) == len(samples)
    likeness = [float(np.corrcoef(np.roll(again, by), samples)[0, 1]) for by in range(-16, 17)]
    assert max(likeness) > 0.9  # within a millisecond of where it was


@pytest.mark.parametrize("codec", [AudioCodec.FLAC, AudioCodec.OPUS, AudioCodec.PCM])
@pytest.mark.parametrize("told", [-5_000, 5_000])
def test_another_length_than_told_is_told(codec: AudioCodec, told: int) -> None:
    data = encoded(recording("u01")[:16_000], codec)
    with pytest.raises(BadAudio, match=r"longer|16\d\d\d samples|32000 bytes"):
        decoded(data, codec, 16_000 + told)


@pytest.mark.parametrize("codec", [AudioCodec.FLAC, AudioCodec.OPUS])
def test_what_is_of_another_kind_is_told(codec: AudioCodec) -> None:
    other = AudioCodec.OPUS if codec is AudioCodec.FLAC else AudioCodec.FLAC
    for data in (
        encoded(recording("u01")[:16_000], other),
        b"RIFF" + bytes(100),
        b"\0",
        b"fLaC",
        b"OggS" + bytes(60),
    ):
        with pytest.raises(BadAudio):
            decoded(data, codec, 16_000)


def test_flac_at_another_rate_is_told() -> None:
    into = io.BytesIO()
    with av.open(into, "w", format="flac") as file:
        stream = file.add_stream("flac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4_800), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48_000, 0
        for part in (frame, None):
            file.mux(stream.encode(part))
    with pytest.raises(BadAudio, match="48000 Hz"):
        decoded(into.getvalue(), AudioCodec.FLAC, 1_600)


_SPOKEN = encoded(recording("u01")[:8_000], AudioCodec.FLAC)


@given(
    st.integers(0, len(_SPOKEN) - 1), st.integers(1, 255), st.sampled_from([AudioCodec.FLAC, AudioCodec.OPUS])
)
@example(8, 0xFF, AudioCodec.FLAC)
@settings(max_examples=100, deadline=None)
def test_what_is_broken_on_the_way_is_audio_or_told(place: int, change: int, codec: AudioCodec) -> None:
    broken = bytearray(_SPOKEN if codec is AudioCodec.FLAC else encoded(recording("u01")[:8_000], codec))
    broken[place % len(broken)] ^= change
    with contextlib.suppress(BadAudio):
        assert len(decoded(bytes(broken), codec, 8_000)) == 8_000
