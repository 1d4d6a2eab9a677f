"""Boards that are set up wrongly are recognized by what they send, and boards that are not, are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.link.clock_drift import ClockDrift
from firmware_bridge.link.codecs import AdpcmEncoder
from firmware_bridge.link.events import AudioReceived, LinkEvent, RecordingFaulty
from firmware_bridge.link.frames import Audio, AudioStart, AudioStop, Codec, Header
from firmware_bridge.link.recording_faults import (
    RATES,
    SAME_CHANNELS,
    SILENT_CHANNEL,
    WIDE_SLOTS,
    RecordingFault,
    RecordingFaults,
    layout,
    wrong_rate,
)
from firmware_bridge.link.streams import AudioStreams
from firmware_bridge.link.voice_pitch import pitch
from tests.firmware_bridge.link.boards import (
    RECORDINGS,
    Samples,
    both_channels,
    captured_at,
    opus_with_gaps,
    speech,
    wide_slots,
)

FRAME = 320
LONG = ("u00", "u01", "u02", "u03", "u05", "u06")


class Link:
    """The audio of one device, as it arrives."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sequence = 0
        self.streams = AudioStreams("kitchen", 7, first=0, ring_frames=128, on_bad_audio=self.faults_said)
        self.bad: list[str] = []
        self.number = 0

    def faults_said(self, why: str) -> None:
        self.bad.append(why)

    def header(self, position: int) -> Header:
        self.sequence += 1
        return Header(stream=self.number, sequence=self.sequence - 1, timestamp=position)

    def stream(
        self, samples: Samples, rate: float = 16_000.0, *, quiet: float = 1.0, codec: Codec = Codec.PCM16
    ) -> list[RecordingFaulty]:
        """One stream of these, after so much quiet, at that many samples a second."""
        self.number += 1
        self.now += quiet
        encoder = AdpcmEncoder()
        events: list[LinkEvent] = self.streams.start(
            AudioStart(self.header(0), end_on_silence=False), self.now
        )
        for start in range(0, len(samples) - FRAME + 1, FRAME):
            piece = samples[start : start + FRAME].tobytes()
            payload = encoder.encode(piece) if codec is Codec.IMA_ADPCM else piece
            arrives = self.now + (start + FRAME) / rate
            events += self.streams.audio(Audio(self.header(start), codec, payload), arrives)
        self.now += len(samples) / rate
        events += self.streams.stop(AudioStop(self.header(len(samples) // FRAME * FRAME)), self.now)
        return [event for event in events if isinstance(event, RecordingFaulty)]


def told(fault: RecordingFault | None) -> RecordingFaulty:
    return RecordingFaulty("kitchen", 7, fault.reason if fault else "", fault.remedy if fault else "")


# -- the rate


@pytest.mark.parametrize(
    ("rate", "codec"),
    [(8_000, Codec.IMA_ADPCM), *((rate, Codec.PCM16) for rate in (8_000, 22_050, 32_000, 44_100, 48_000))],
)
def test_a_rate_that_is_called_16000_is_named(rate: int, codec: Codec) -> None:
    samples = captured_at(rate, speech(*LONG))
    assert Link().stream(samples, rate, codec=codec) == [told(wrong_rate(rate))]
    assert wrong_rate(48_000).reason == "sends 48000 samples in a second and calls them 16000"


def test_it_is_told_once_and_so_is_its_end() -> None:
    link = Link()
    wrong = captured_at(48_000, speech(*LONG))
    assert link.stream(wrong, 48_000) == [told(wrong_rate(48_000))]
    assert link.stream(wrong, 48_000) == []
    assert link.stream(speech(*LONG)[: 16_000 * 2]) == []  # too short to tell
    assert link.stream(speech(*LONG)) == [told(None)]
    assert link.stream(speech(*LONG)) == []


@pytest.mark.parametrize("rate", [15_900.0, 16_000.0, 16_100.0, 15_500.0, 16_500.0])
def test_a_clock_that_is_a_little_off_is_none(rate: float) -> None:
    assert Link().stream(speech(*LONG), rate) == []


@pytest.mark.slow
@pytest.mark.parametrize("rate", [21_800.0, 46_000.0, 47_900.0, 250_000.0])
def test_a_device_that_catches_up_sounds_like_a_person(rate: float) -> None:
    """What it had kept comes at the line's speed, which may be that of a wrong clock."""
    link = Link()
    link.streams.greeted(link.now + 1.0)
    assert link.stream(np.tile(speech(*LONG), 3), rate) == []
    link.streams.given_credit()
    assert link.stream(np.tile(speech(*LONG), 3), rate) == []
    assert link.stream(np.tile(speech(*LONG), 3), rate, quiet=0.0) == []


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_where_it_may_be_catching_up_the_pitch_of_the_voice_tells(rate: int) -> None:
    link = Link()
    link.streams.greeted(link.now + 1.0)
    name = "u03" if rate == 8_000 else "u02"  # a high voice, and a low one
    assert link.stream(captured_at(rate, speech(*12 * [name])), rate) == [told(wrong_rate(rate))]


def test_a_line_that_stands_still_for_a_while_is_no_slow_clock() -> None:
    link = Link()
    link.number, samples, found = 1, speech(*LONG), []
    link.streams.start(AudioStart(link.header(0), end_on_silence=False), link.now)
    for start in range(0, len(samples) - FRAME, FRAME):
        spoken = start / 16_000
        arrives = max(spoken, 3.0 if spoken > 1.0 else 0.0)  # two seconds late, then in time again
        frame = Audio(link.header(start), Codec.PCM16, samples[start : start + FRAME].tobytes())
        events = link.streams.audio(frame, link.now + arrives)
        found += [event for event in events if isinstance(event, RecordingFaulty)]
    assert found == []


@pytest.mark.parametrize("share", [0.5, 0.69, 0.75])
def test_a_device_that_sends_only_what_is_loud_has_no_slow_clock(share: float) -> None:
    """Its positions stand still while it does: in all, as few samples come as from a clock at 8, 11 or 12 kHz."""
    link = Link()
    link.number, samples, found, pauses = 1, np.tile(speech(*LONG), 2), list[LinkEvent](), 0.0
    link.streams.start(AudioStart(link.header(0), end_on_silence=False), link.now)
    for start in range(0, len(samples) - FRAME, FRAME):
        if start % (64 * FRAME) == 0:
            pauses += 64 * FRAME / 16_000 * (1 / share - 1)
        frame = Audio(link.header(start), Codec.PCM16, samples[start : start + FRAME].tobytes())
        found += link.streams.audio(frame, link.now + start / 16_000 + pauses)
    assert [event for event in found if isinstance(event, RecordingFaulty)] == []


@pytest.mark.parametrize("name", ["u00", "u01", "u02", "u03", "u05", "u06"])
def test_the_pitch_of_a_voice_goes_with_the_rate(name: str) -> None:
    heard = pitch(speech(name)[:32_000].tobytes())
    assert heard is not None
    assert 90 < heard < 250
    for rate in (8_000, 22_050, 32_000):
        there = pitch(captured_at(rate, speech(name, name))[:32_000].tobytes())
        assert there is not None
        assert there * rate / 16_000 == pytest.approx(heard, rel=0.2)


@pytest.mark.parametrize(
    "samples",
    [np.zeros(0), np.zeros(32_000), np.ones(32_000), np.random.default_rng(1).normal(0, 3000, 32_000)],
)
def test_what_is_no_voice_has_no_pitch(samples: Samples) -> None:
    assert pitch(samples.astype(np.int16).tobytes()) is None


# -- how samples are put together


def right_is_silent(samples: Samples) -> Samples:
    return both_channels(samples, np.zeros_like(samples))


def left_is_silent(samples: Samples) -> Samples:
    return both_channels(np.zeros_like(samples), samples)


def wide_stereo(samples: Samples) -> Samples:
    slots = wide_slots(samples).reshape(-1, 2)
    return np.concatenate([slots, np.zeros_like(slots)], axis=1).reshape(-1)


@pytest.mark.parametrize(
    ("board", "fault"),
    [
        (right_is_silent, SILENT_CHANNEL),
        (left_is_silent, SILENT_CHANNEL),
        (lambda samples: both_channels(samples, samples), SAME_CHANNELS),
        (wide_slots, WIDE_SLOTS),
        (lambda samples: wide_slots(samples)[1:], WIDE_SLOTS),
        (wide_stereo, WIDE_SLOTS),
    ],
    ids=[
        "right is silent",
        "left is silent",
        "the same twice",
        "24 bits in 32",
        "and shifted",
        "and in stereo",
    ],
)
@pytest.mark.parametrize("rate", [16_000, 32_000, 64_000])
def test_how_a_board_puts_its_samples_together(
    board: Callable[[Samples], Samples], fault: RecordingFault, rate: int
) -> None:
    assert Link().stream(board(speech("u00", "u01")), rate) == [told(fault)]


@pytest.mark.parametrize("name", sorted(RECORDINGS))
def test_a_recording_as_it_should_be_shows_nothing(name: str) -> None:
    samples = speech(name)
    assert {layout(samples[at : at + FRAME].tobytes()) for at in range(0, len(samples), FRAME)} == {None}


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(20_000),
        np.ones(20_000),
        np.tile([0, 1], 10_000),
        np.random.default_rng(1).integers(-1, 2, 20_000),
        np.random.default_rng(2).integers(-128, 128, 20_000) * 256,
        np.random.default_rng(3).integers(-32768, 32768, 20_000),
    ],
    ids=["nothing", "an offset", "a bit", "the last bit", "8 bits of 16", "noise"],
)
def test_neither_does_what_is_no_speech(samples: Samples) -> None:
    assert Link().stream(samples.astype(np.int16)) == []


@given(st.lists(st.binary(max_size=700), max_size=60), st.sampled_from(Codec))
def test_whatever_comes_it_is_looked_at(pieces: list[bytes], codec: Codec) -> None:
    faults, drift = RecordingFaults(is_live=True), ClockDrift()
    for at, piece in enumerate(pieces):
        pcm = piece[: len(piece) // 2 * 2]
        drift.heard(at * 4_000, at * 0.3)
        faults.look(pcm, codec, drift)
    assert faults.fault is None or faults.fault in {
        SILENT_CHANNEL,
        SAME_CHANNELS,
        WIDE_SLOTS,
        *map(wrong_rate, RATES),
    }


# -- Opus


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", [20, 40, 60])
def test_silence_that_opus_leaves_out_is_silence_and_no_loss(milliseconds: int) -> None:
    """The packets of one or two bytes that an encoder makes of it are audio like any other."""
    pause = np.random.default_rng(1).normal(0, 2, 48_000).astype(np.int16)
    samples = np.concatenate([speech("u00"), pause, speech("u00")])
    packets = list(opus_with_gaps(samples, milliseconds))
    assert sum(len(packet) <= 2 for packet in packets) > len(packets) // 6
    heard = list(_received(packets, milliseconds))
    assert [event.lost_samples for event in heard] == [0] * len(packets)
    assert {len(event.pcm) for event in heard} == {32 * milliseconds}
    quiet = np.frombuffer(b"".join(event.pcm for event in heard), np.int16)[len(speech("u00")) + 16_000 :][
        :16_000
    ]
    assert np.abs(quiet.astype(np.int32)).max() < 200


def _received(packets: list[bytes], milliseconds: int) -> Iterator[AudioReceived]:
    link = Link()
    link.number = 1
    for number, packet in enumerate(packets):
        frame = Audio(link.header(16 * milliseconds * number), Codec.OPUS, packet)
        for event in link.streams.audio(frame, link.now + number * milliseconds / 1000):
            if isinstance(event, AudioReceived):
                yield event
    assert link.bad == []


@pytest.mark.parametrize(
    "packet",
    [b"", b"\x0b", b"\xff", b"\x58" + bytes(1400), bytes(range(256))],
    ids=["nothing", "half", "no head", "zeros", "all bytes"],
)
def test_a_packet_that_is_none_is_a_hole(packet: bytes) -> None:
    good = list(opus_with_gaps(speech("u00")[:3200], 20))
    link = Link()
    link.number = 1
    events: list[LinkEvent] = []
    for number, payload in enumerate((good[0], packet, good[1])):
        events += link.streams.audio(Audio(link.header(320 * number), Codec.OPUS, payload), link.now)
    holes = [event.lost_samples for event in events if isinstance(event, AudioReceived)]
    assert sum(holes) + sum(len(e.pcm) for e in events if isinstance(e, AudioReceived)) // 2 == 960
