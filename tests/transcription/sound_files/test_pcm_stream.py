"""Plain sound of any kind, as it comes, into 16 kHz mono: as loud, as long and in step, without clicks and aliases."""

from __future__ import annotations

import math
import subprocess
import sys

import av
import numpy as np
import numpy.typing as npt
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from transcription.audio import SAMPLE_RATE
from transcription.sound_files.g711 import A_LAW, MU_LAW, Table
from transcription.sound_files.mixing import Mixer
from transcription.sound_files.pcm_stream import PcmFormat, PcmKind, PcmStream, UnknownPcm
from transcription.sound_files.resampling import _MOST_OF_WINDOWS, _windows

Sound = npt.NDArray[np.float64]
KINDS: tuple[PcmKind, ...] = ("u8", "s16", "s24", "s32", "f32", "mulaw", "alaw")
RATES = (
    4_000,
    8_000,
    11_025,
    12_000,
    16_000,
    22_050,
    24_000,
    32_000,
    44_100,
    47_999,
    48_000,
    96_000,
    192_000,
)
NOISE_DB = {"u8": -43, "mulaw": -32, "alaw": -36}
"""Beneath the sound, of those that are coarser than PCM16."""
ALIAS_DB = {47_999: -68}
"""No usual rate: where a sample of ours lies between theirs is known to 1/1024 of the way."""


def tone(rate: int, hertz: float, seconds: float = 0.5, loud: float = 0.5) -> Sound:
    return loud * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def encoded(sound: Sound, kind: PcmKind) -> bytes:
    """Channels one beside the other, if there are several: samples by channels."""
    if kind in ("mulaw", "alaw"):
        codec = av.CodecContext.create(f"pcm_{kind}", "w")
        codec.sample_rate, codec.layout, codec.format = 8_000, "mono", av.AudioFormat("s16")  # type: ignore[attr-defined]
        frame = av.AudioFrame.from_ndarray(
            np.int16(sound.reshape(1, -1) * 32767), format="s16", layout="mono"
        )
        frame.sample_rate = 8_000
        return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])  # type: ignore[attr-defined]
    if kind == "f32":
        return sound.astype("<f4").tobytes()
    if kind == "u8":
        return np.uint8(np.clip(np.rint(sound * 128), -128, 127) + 128).tobytes()
    wide = np.rint(sound * (2**31 - 1)).astype("<i4")
    if kind == "s16":
        return (wide >> 16).astype("<i2").tobytes()
    return wide.reshape(-1, 1).view(np.uint8)[:, 1 if kind == "s24" else 0 :].tobytes()


def canonical(data: bytes, given: PcmFormat, *cuts: int) -> Sound:
    stream = PcmStream(given)
    ends = [*sorted(cuts), len(data)]
    out = b"".join(stream.feed(data[at:end]) for at, end in zip([0, *ends], ends, strict=False))
    return np.frombuffer(out + stream.finish(), "<i2") / 32768


def decibels(part: Sound, whole: Sound) -> float:
    return 10 * math.log10((np.mean(part**2) + 1e-20) / np.mean(whole**2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", RATES)
def test_a_tone_comes_out_as_loud_and_as_long_as_it_was_and_not_a_sample_later(
    rate: int, kind: PcmKind
) -> None:
    heard = canonical(encoded(tone(rate, 1_000), kind), PcmFormat(rate, kind))
    meant = tone(16_000, 1_000)
    assert abs(len(heard) - len(meant)) <= 1
    inner = slice(
        200, min(len(heard), len(meant)) - 200
    )  # where it begins and ends, there is more than a tone
    assert decibels(heard[inner] - meant[inner], meant[inner]) < NOISE_DB.get(kind, -70)


@pytest.mark.parametrize("rate", [24_000, 32_000, 44_100, 47_999, 48_000, 192_000])
def test_what_16_khz_cannot_have_is_gone_and_what_it_can_is_as_loud(rate: int) -> None:
    def level(hertz: float) -> float:
        sound = tone(rate, hertz)
        return decibels(canonical(encoded(sound, "f32"), PcmFormat(rate, "f32"))[200:-200], sound)

    assert max(map(level, (8_050, 9_000, 11_000, rate / 2 - 600))) < ALIAS_DB.get(rate, -80)
    assert max(abs(level(hertz)) for hertz in (50, 300, 3_000, 6_500)) < 0.05


@pytest.mark.parametrize("rate", RATES)
def test_noise_becomes_what_soxr_makes_of_it(rate: int) -> None:
    """Below what both let pass."""
    low = np.cumsum(np.random.default_rng(rate).normal(0, 0.02, rate))  # mostly low, as speech is
    noise = (low - np.convolve(low, np.ones(40) / 40, "same"))[100:-100]
    noise *= 0.5 / np.abs(noise).max()
    ours = canonical(encoded(noise, "f32"), PcmFormat(rate, "f32"))
    theirs = soxr.resample(noise, rate, 16_000, quality="VHQ")
    assert abs(len(ours) - len(theirs)) <= 1
    inner = slice(400, min(len(ours), len(theirs)) - 400)
    spectra = [np.fft.rfft(one[inner] * np.hanning(len(one[inner]))) for one in (ours, theirs)]
    passed = int(len(spectra[0]) * 0.8 * min(1.0, rate / 16_000))
    apart = np.abs(spectra[0][:passed] - spectra[1][:passed])
    assert decibels(apart, np.abs(spectra[1][:passed])) < -60


@pytest.mark.parametrize(("law", "table"), [("pcm_mulaw", MU_LAW), ("pcm_alaw", A_LAW)])
def test_each_byte_of_g711_is_what_it_is_elsewhere(law: str, table: Table) -> None:
    codec = av.CodecContext.create(law, "r")
    codec.sample_rate, codec.layout = 8_000, "mono"
    (frame,) = codec.decode(av.Packet(bytes(range(256))))
    assert np.array_equal(frame.to_ndarray()[0], table)


@settings(max_examples=60)
@given(
    given_=st.builds(PcmFormat, st.sampled_from(RATES), st.sampled_from(KINDS), st.integers(1, 3)),
    data=st.binary(min_size=1, max_size=20_000),
    cuts=st.lists(st.integers(0, 20_000), max_size=40),
)
def test_the_same_comes_out_however_it_was_cut(given_: PcmFormat, data: bytes, cuts: list[int]) -> None:
    data = (data * 20)[:20_000]
    assert np.array_equal(canonical(data, given_), canonical(data, given_, *cuts))


def test_it_may_come_byte_by_byte() -> None:
    data, given_ = encoded(tone(24_000, 440, 0.05), "s24"), PcmFormat(24_000, "s24")
    assert np.array_equal(canonical(data, given_), canonical(data, given_, *range(1, len(data))))


@pytest.mark.parametrize(("rate", "kind"), [(24_000, "s16"), (8_000, "mulaw"), (44_100, "f32")])
def test_it_comes_out_as_it_comes_in(rate: int, kind: PcmKind) -> None:
    """Without several channels, three milliseconds are held back, and nothing grows."""
    given_ = PcmFormat(rate, kind)
    stream, heard = PcmStream(given_), 0
    piece = bytes(given_.frame_bytes * (rate // 50))
    for turn in range(1, 200):
        heard += len(stream.feed(piece)) // 2
        assert turn * 320 - heard <= 70


def test_canonical_audio_goes_through_as_it_is() -> None:
    stream, data = PcmStream(PcmFormat()), bytes(range(200))
    assert stream.feed(data) is data
    assert stream.feed(b"\1\2\3") + stream.feed(b"\4\5") + stream.finish() == b"\1\2\3\4"


def test_after_its_end_it_begins_anew() -> None:
    stream, data = PcmStream(PcmFormat(24_000, "s16", 2)), encoded(tone(24_000, 700), "s16")
    once = stream.feed(data) + stream.finish()
    stream.feed(b"\1")
    stream.finish()
    assert stream.feed(data) + stream.finish() == once


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_channels_are_mixed_as_those_of_recordings(rate: int) -> None:
    left, right = tone(rate, 400), -0.5 * tone(rate, 400)  # inverted: added, they would nearly vanish
    planes = np.stack([left, right]).astype(np.float32)
    heard = canonical(encoded(planes.T.astype(np.float64), "f32"), PcmFormat(rate, "f32", 2))
    mixer = Mixer(2, rate)
    mixed = np.concatenate([mixer.mixed(planes), mixer.rest()]).astype(np.float64)
    alone = canonical(encoded(mixed, "f32"), PcmFormat(rate, "f32"))
    assert np.abs(heard - alone).max() < 2 / 32768


def test_what_is_too_loud_is_cut_off_and_never_wraps() -> None:
    square = np.sign(tone(24_000, 200))
    heard = canonical(encoded(square, "f32"), PcmFormat(24_000, "f32"))
    assert heard[1:39].min() > 0.8
    assert heard[42:79].max() < -0.8
    wild = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30] * 100)
    assert np.abs(canonical(encoded(wild, "f32"), PcmFormat(24_000, "f32"))).max() <= 1


@pytest.mark.parametrize(
    ("rate", "width", "channels", "why"),
    [(3_999, 2, 1, "3999 Hz"), (192_001, 2, 1, "192001 Hz"), (16_000, 0, 1, "not 0"), (16_000, 5, 1, "not 5"),
     (16_000, 2, 0, "0 channels"), (16_000, 2, 17, "17 channels"), (-1, 2, 1, "-1 Hz")],
)  # fmt: skip
def test_what_is_not_taken_is_refused_by_name(rate: int, width: int, channels: int, why: str) -> None:
    with pytest.raises(UnknownPcm, match=why):
        PcmFormat.of_width(rate, width, channels)


def test_widths_in_bytes_are_those_of_wav() -> None:
    assert [PcmFormat.of_width(8_000, width, 1).kind for width in (1, 2, 3, 4)] == ["u8", "s16", "s24", "s32"]


def test_nothing_is_loaded_for_it() -> None:
    code = (
        "import sys\n"
        "from transcription.sound_files.pcm_stream import PcmFormat, PcmStream\n"
        "stream = PcmStream(PcmFormat(24_000, 's16', 2)); stream.feed(bytes(10_000)); stream.finish()\n"
        "print(sorted({'av', 'soxr', 'scipy', 'faster_whisper'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100, 48_000])
def test_an_offset_does_not_pop_where_sound_begins_and_ends(rate: int) -> None:
    stream = PcmStream(PcmFormat(rate))
    samples = np.full(rate, -9_000, "<i2").tobytes()
    made = np.frombuffer(stream.feed(samples) + stream.finish(), np.int16)
    assert len(made) == SAMPLE_RATE
    assert set(made) <= {-9_001, -9_000, -8_999}


@pytest.mark.parametrize("rate", [4_001, 15_999, 47_999, 191_999])
def test_no_rate_takes_longer_to_be_ready_for_than_others(rate: int) -> None:
    """A program may want another one with every piece of its sound."""
    assert _windows(rate).size <= _MOST_OF_WINDOWS
