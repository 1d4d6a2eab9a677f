"""Every codec gives PCM16, mono, 16 kHz, or says that it cannot."""

from __future__ import annotations

import math
import subprocess
import sys
from array import array

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.link.codecs import AdpcmDecoder, AdpcmEncoder, CodecError, decoder_for
from firmware_bridge.link.frames import Codec

RATE = 16_000


def tone(hertz: float, seconds: float, amplitude: float = 8000) -> bytes:
    return array(
        "h", [round(amplitude * math.sin(math.tau * hertz * k / RATE)) for k in range(int(seconds * RATE))]
    ).tobytes()


def opus_packets(pcm: bytes, milliseconds: int) -> list[bytes]:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate = RATE
    encoder.layout = "mono"
    encoder.format = "s16"
    encoder.options = {"frame_duration": str(milliseconds)}
    size = RATE * milliseconds // 1000
    samples = np.frombuffer(pcm, np.int16)
    packets = []
    for start in range(0, len(samples) - size + 1, size):
        frame = av.AudioFrame.from_ndarray(
            samples[None, start : start + size].copy(), format="s16", layout="mono"
        )
        frame.sample_rate = RATE
        frame.pts = start
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


@given(st.binary(max_size=700))
def test_pcm16_is_passed_on_or_refused(payload: bytes) -> None:
    decoder = decoder_for(Codec.PCM16)
    if len(payload) % 2:
        with pytest.raises(CodecError):
            decoder.decode(payload)
    else:
        assert decoder.decode(payload) == payload


@given(st.binary(max_size=400))
def test_any_adpcm_is_two_samples_a_byte_or_refused(payload: bytes) -> None:
    decoder = decoder_for(Codec.IMA_ADPCM)
    if len(payload) < 4 or payload[2] > 88:
        with pytest.raises(CodecError):
            decoder.decode(payload)
    else:
        assert len(decoder.decode(payload)) == 4 * (len(payload) - 4)


STEPS = [
    *(
        7,
        8,
        9,
        10,
        11,
        12,
        13,
        14,
        16,
        17,
        19,
        21,
        23,
        25,
        28,
        31,
        34,
        37,
        41,
        45,
        50,
        55,
        60,
        66,
        73,
        80,
        88,
        97,
    ),
    *(
        107,
        118,
        130,
        143,
        157,
        173,
        190,
        209,
        230,
        253,
        279,
        307,
        337,
        371,
        408,
        449,
        494,
        544,
        598,
        658,
        724,
        796,
    ),
    *(
        876,
        963,
        1060,
        1166,
        1282,
        1411,
        1552,
        1707,
        1878,
        2066,
        2272,
        2499,
        2749,
        3024,
        3327,
        3660,
        4026,
        4428,
    ),
    *(4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350),
    *(22385, 24623, 27086, 29794, 32767),
]


def plain_adpcm(payload: bytes) -> list[int]:
    """The published algorithm, word for word, to hold the tables to."""
    predictor = int.from_bytes(payload[:2], "little", signed=True)
    index = payload[2]
    samples = []
    for code in (nibble for byte in payload[4:] for nibble in (byte & 15, byte >> 4)):
        step = STEPS[index]
        difference = step >> 3
        if code & 4:
            difference += step
        if code & 2:
            difference += step >> 1
        if code & 1:
            difference += step >> 2
        predictor += -difference if code & 8 else difference
        predictor = max(-32768, min(32767, predictor))
        index = max(0, min(88, index + (-1, -1, -1, -1, 2, 4, 6, 8)[code & 7]))
        samples.append(predictor)
    return samples


@given(st.integers(-32768, 32767), st.integers(0, 88), st.binary(max_size=400))
def test_adpcm_decodes_as_published(predictor: int, index: int, codes: bytes) -> None:
    payload = predictor.to_bytes(2, "little", signed=True) + bytes((index, 0)) + codes
    assert array("h", AdpcmDecoder().decode(payload)).tolist() == plain_adpcm(payload)


@given(st.lists(st.lists(st.integers(-32768, 32767), max_size=60).map(lambda half: half + half), max_size=4))
def test_each_adpcm_payload_decodes_alone_and_ends_where_the_next_begins(pieces: list[list[int]]) -> None:
    encoder = AdpcmEncoder()
    payloads = [encoder.encode(array("h", piece).tobytes()) for piece in pieces]
    ends = [array("h", AdpcmDecoder().decode(payload)) for payload in payloads]
    for end, following in zip(ends, payloads[1:], strict=False):
        if end:
            assert end[-1] == int.from_bytes(following[:2], "little", signed=True)
    assert [len(end) for end in ends] == [len(piece) for piece in pieces]


def test_adpcm_keeps_a_tone() -> None:
    pcm = tone(440, 0.2)
    heard = np.frombuffer(AdpcmDecoder().decode(AdpcmEncoder().encode(pcm)), np.int16).astype(float)
    said = np.frombuffer(pcm, np.int16).astype(float)
    error = (heard - said)[200:]
    assert 10 * math.log10((said[200:] ** 2).mean() / (error**2).mean()) > 25


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_adpcm_refuses_an_odd_number_of_samples(size: int) -> None:
    with pytest.raises(CodecError):
        AdpcmEncoder().encode(bytes(size))


@pytest.mark.parametrize("milliseconds", [10, 20, 60])
def test_an_opus_packet_is_its_milliseconds_exactly(milliseconds: int) -> None:
    decoder = decoder_for(Codec.OPUS)
    packets = opus_packets(tone(440, 0.6), milliseconds)
    assert packets
    for packet in packets:
        assert len(decoder.decode(packet)) == 2 * RATE * milliseconds // 1000


def test_opus_keeps_a_tone() -> None:
    pcm = tone(440, 1.2)
    decoder = decoder_for(Codec.OPUS)
    heard = np.frombuffer(b"".join(map(decoder.decode, opus_packets(pcm, 60))), np.int16).astype(float)
    steady = heard[4000:16000]
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
    assert abs(np.argmax(spectrum) * RATE / len(steady) - 440) < 3
    assert 0.8 < steady.std() / np.frombuffer(pcm, np.int16).std() < 1.2


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\xff" * 10, b"\x03\x3f" + b"x" * 30])
def test_what_is_no_opus_is_refused_and_the_next_packet_is_fine(payload: bytes) -> None:
    decoder = decoder_for(Codec.OPUS)
    packets = opus_packets(tone(440, 0.3), 20)
    decoder.decode(packets[0])
    with pytest.raises(CodecError):
        decoder.decode(payload)
    assert len(decoder.decode(packets[1])) == 640


@given(st.binary(max_size=300))
def test_any_bytes_as_opus_are_sound_or_a_codec_error(payload: bytes) -> None:
    decoder = decoder_for(Codec.OPUS)
    try:
        assert len(decoder.decode(payload)) % 2 == 0
    except CodecError as error:
        assert "Opus" in str(error)  # noqa: PT017


def test_pyav_is_loaded_by_the_first_opus_stream_only() -> None:
    code = (
        "import sys; from firmware_bridge.link.codecs import decoder_for;"
        "from firmware_bridge.link.frames import Codec;"
        "decoder_for(Codec.PCM16); decoder_for(Codec.IMA_ADPCM); assert 'av' not in sys.modules;"
        "decoder_for(Codec.OPUS); assert 'av' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_pyav_opus_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(CodecError, match="PyAV"):
        decoder_for(Codec.OPUS)
