"""Positions, holes, streams seen in the middle, and what may be forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.link.events import AudioReceived, LinkEvent, StreamStarted, StreamStopped
from firmware_bridge.link.frames import Audio, AudioStart, AudioStop, Codec, Header
from firmware_bridge.link.streams import MAX_OPEN_STREAMS, MAX_STREAMS, STOP_LOST, AudioStreams

PCM = bytes(range(20))  # ten samples


class Device:
    """Numbers frames and feeds them to streams of its own."""

    def __init__(self, first: int = 0, ring: int = 1000) -> None:
        self.complaints: list[str] = []
        self.streams = AudioStreams(
            "kitchen", 7, first=first, ring_frames=ring, on_bad_audio=self.complaints.append
        )
        self.sequence = first
        self.now = 0.0

    def header(self, stream: int, timestamp: int) -> Header:
        header = Header(stream=stream, sequence=self.sequence, timestamp=timestamp & 0xFFFFFFFF)
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return header

    def start(self, stream: int = 1, at: int = 0, *, end_on_silence: bool = True) -> list[LinkEvent]:
        return self.streams.start(AudioStart(self.header(stream, at), end_on_silence), self.now)

    def audio(
        self, at: int, stream: int = 1, pcm: bytes = PCM, codec: Codec = Codec.PCM16
    ) -> list[LinkEvent]:
        return self.streams.audio(Audio(self.header(stream, at), codec, pcm, True), self.now)

    def stop(self, total: int, stream: int = 1) -> list[LinkEvent]:
        return self.streams.stop(AudioStop(self.header(stream, total)), self.now)


def received(position: int, lost: int = 0, stream: int = 1) -> AudioReceived:
    return AudioReceived("kitchen", 7, stream, position, PCM, lost)


def started(stream: int = 1, *, end_on_silence: bool = True, begun: int | None = None) -> StreamStarted:
    return StreamStarted("kitchen", 7, stream, end_on_silence, begun)


def stopped(stream: int = 1, lost: int = 0) -> StreamStopped:
    return StreamStopped("kitchen", 7, stream, lost)


def test_a_stream_from_start_to_stop() -> None:
    device = Device()
    assert device.start(end_on_silence=False) == [started(end_on_silence=False, begun=0)]
    assert device.audio(0) == [received(0)]
    assert device.audio(10) == [received(10)]
    assert device.stop(20) == [stopped()]


def test_holes_are_where_positions_jump() -> None:
    device = Device()
    device.start()
    assert device.audio(30) == [received(30, lost=30)]
    assert device.audio(45) == [received(45, lost=5)]
    assert device.stop(60) == [stopped(lost=5)]


def test_a_stop_before_the_end_has_no_hole() -> None:
    device = Device()
    device.start()
    device.audio(0)
    assert device.stop(5) == [stopped()]


def test_positions_go_on_where_the_wire_wraps() -> None:
    device = Device()
    device.start(at=0xFFFFFFF6)
    assert device.audio(0xFFFFFFF6) == [received(0xFFFFFFF6)]
    assert device.audio(0) == [received(1 << 32)]
    assert device.audio(15) == [received((1 << 32) + 15, lost=5)]


def test_audio_that_was_there_already_is_bad() -> None:
    device = Device()
    device.start()
    device.audio(0)
    assert device.audio(9) == []
    assert device.complaints == ["position 9 of stream 1 was had already"]
    assert device.audio(10) == [received(10)]


def test_audio_that_cannot_be_decoded_becomes_a_hole() -> None:
    device = Device()
    device.start()
    assert device.audio(0, pcm=b"odd") == []
    assert device.audio(10, pcm=b"\0", codec=Codec.IMA_ADPCM) == []
    assert len(device.complaints) == 2
    assert device.audio(20) == [received(20, lost=20)]


def test_a_stream_may_change_its_codec() -> None:
    device = Device()
    device.start()
    device.audio(0)
    (event,) = device.audio(10, pcm=bytes(4 + 5), codec=Codec.IMA_ADPCM)
    assert isinstance(event, AudioReceived)
    assert (event.position, len(event.pcm)) == (10, 20)
    assert device.audio(20) == [received(20)]


def test_first_heard_in_the_middle_is_no_loss() -> None:
    device = Device(first=500)
    assert device.audio(8000) == [started(), received(8000)]
    assert device.stop(8010) == [stopped()]


def test_after_a_loss_a_stream_without_a_start_began_at_zero() -> None:
    device = Device()
    device.start(stream=1)
    device.stop(0, stream=1)
    device.streams.lost()
    assert device.audio(30, stream=2) == [started(2), received(30, lost=30, stream=2)]


def test_a_ring_less_device_joined_after_a_loss_is_still_in_the_middle() -> None:
    device = Device()
    device.streams.lost()
    assert device.audio(30) == [started(), received(30)]


def test_a_stop_alone_is_a_stream_of_nothing_but_a_hole() -> None:
    device = Device()
    device.start(stream=9)
    device.streams.lost()
    assert device.stop(70, stream=1) == [started(1, end_on_silence=False), stopped(1, lost=70)]


def test_a_number_started_again_ends_its_stream() -> None:
    device = Device()
    device.start()
    device.audio(0)
    assert device.start() == [stopped(), started(begun=2)]
    assert device.audio(0) == [received(0)]


def test_audio_after_the_stop_goes_on_where_it_was() -> None:
    device = Device()
    device.start()
    device.audio(0)
    device.stop(10)
    assert device.audio(25) == [started(), received(25, lost=15)]


def test_after_a_loss_a_stream_without_audio_is_ended() -> None:
    device = Device()
    device.start()
    device.audio(0)
    assert device.streams.next_deadline() is None
    device.streams.lost()
    assert device.streams.next_deadline() == STOP_LOST
    assert device.streams.tick(STOP_LOST - 0.1) == []
    assert device.streams.tick(STOP_LOST) == [stopped()]
    assert device.streams.tick(STOP_LOST) == []


def test_after_a_loss_audio_shows_that_the_stream_goes_on() -> None:
    device = Device()
    device.start()
    device.streams.lost()
    device.audio(0)
    assert device.streams.tick(100.0) == []


def test_one_stream_too_many_ends_the_oldest() -> None:
    device = Device()
    for stream in range(1, MAX_OPEN_STREAMS + 1):
        assert device.start(stream) == [started(stream, begun=stream - 1)]
    assert device.start(99) == [stopped(1), started(99, begun=MAX_OPEN_STREAMS)]
    assert device.start(100) == [stopped(2), started(100, begun=MAX_OPEN_STREAMS + 1)]


def test_what_is_settled_is_durable_in_the_order_of_frames() -> None:
    device = Device(first=0xFFFFFFFE)
    device.start()  # number -2
    assert device.streams.durable == 0xFFFFFFFF
    device.audio(0)
    device.audio(10)
    device.stop(20)
    assert device.streams.durable == 0xFFFFFFFF
    assert device.streams.settle(1, 10)
    assert device.streams.durable == 0
    assert not device.streams.settle(1, 15)
    assert not device.streams.settle(1, 10)
    assert device.streams.settle(1, 20)
    assert device.streams.durable == 2


def test_a_stream_that_is_not_settled_holds_back_what_came_after() -> None:
    device = Device()
    device.start(1)
    device.start(2)
    device.audio(0, stream=1)
    device.audio(0, stream=2)
    device.streams.passed(device.header(0, 0).sequence)
    assert not device.streams.settle(2, 10)
    assert device.streams.durable == 2
    assert device.streams.settle(1, 10)
    assert device.streams.durable == 5


def test_a_stop_after_everything_was_settled_is_durable_at_once() -> None:
    device = Device()
    device.start()
    device.audio(0)
    device.streams.settle(1, 10)
    device.stop(10)
    assert device.streams.durable == 3
    assert not device.streams._streams


def test_settling_what_is_not_known_does_nothing() -> None:
    assert not Device().streams.settle(5, 100)


@given(st.integers(1, 40), st.integers(0, 500))
def test_memory_is_bounded_by_the_ring_though_nothing_is_settled(ring: int, frames: int) -> None:
    device = Device(ring=ring)
    device.start()
    for index in range(frames):
        device.audio(index * 10)
    assert len(device.streams._unsettled) <= ring


def test_memory_is_bounded_though_streams_are_never_settled() -> None:
    device = Device()
    for stream in range(1, 1000):
        device.start(stream)
        device.audio(0, stream)
        device.stop(10, stream)
    assert len(device.streams._streams) <= MAX_STREAMS


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=40))
def test_positions_join_whatever_is_lost_or_bad(pieces: list[tuple[int, bool]]) -> None:
    device = Device()
    device.start()
    at, end = 0, 0
    for gap, sound in pieces:
        at += gap
        for event in device.audio(at, pcm=PCM if sound else b"odd"):
            assert isinstance(event, AudioReceived)
            assert (event.position, event.position - event.lost_samples) == (at, end)
            end = at + 10
        at += 10
    (event,) = device.stop(at)
    assert isinstance(event, StreamStopped)
    assert event.lost_samples == at - end


def test_the_clock_of_a_device_is_known_by_its_last_long_stream() -> None:
    """Also after it has ended; a short one takes nothing back."""
    device = Device()
    assert device.streams.drift_ppm is None
    for stream, seconds, ppm in ((1, 20, 500), (2, 20, -200), (3, 2, 90_000)):
        device.start(stream)
        pcm = bytes(3200)
        for i in range(seconds * 10):
            device.now += 0.1 / (1 + ppm / 1e6)
            device.audio(i * 1600, stream, pcm)
        device.stop(seconds * 16_000, stream)
        device.streams.settle(stream, seconds * 16_000)
        assert device.streams.drift_ppm == pytest.approx(500 if stream == 1 else -200, abs=1)
