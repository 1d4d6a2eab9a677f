"""Where the library in C has limits and the reference none: busy carriers, little memory, what wraps or is refused."""

from __future__ import annotations

import random

import pytest

from firmware_bridge.link.device_end import DeviceState, LinkStateError
from firmware_bridge.link.events import AudioReceived, DeviceNotice, DeviceStatus, NoticeKind, StreamStarted
from firmware_bridge.link.frames import (
    Ack,
    AudioStart,
    AudioStop,
    Codec,
    DeviceFrame,
    Header,
    Hello,
    Log,
    Notice,
    Ping,
    Pong,
    Reply,
    Status,
    TranscriptText,
    Welcome,
)
from firmware_bridge.link.framing import SerialDecoder, encode_serial
from tests.firmware_bridge.esp32 import jig
from tests.firmware_bridge.link.test_link_hostile import SAMPLES, House, heard_audio, patched, sound, speak

BOOT, LINK = 7, 0xA7


def linked(*, now: float = 1.0, **wants: int) -> jig.Device:
    one = jig.Device("kitchen", boot=BOOT, **{"ring_frames": 16, "frame_size": 64, **wants})
    one.hello(now)
    one.outgoing()
    first = wants.get("first_sequence", 0)
    one.receive(Welcome(Header(LINK, credit=64, timestamp=int(1000 * now)), BOOT, first, 0), now)
    return one


def status(number: int) -> Status:
    return Status(Header(LINK, credit=64, sequence=number), DeviceStatus.LISTENING)


def talk(one: jig.Device) -> None:
    """Something of everything, at one time."""
    stream = one.start_stream()
    for index in range(5):
        one.audio(stream, sound(stream, index), SAMPLES)
    one.notice(NoticeKind.BUTTON, 1, "top", stream)
    one.stop_stream(stream)
    one.log(4, "Wi-Fi: RSSI -81")
    one.receive(status(0), 1.0)
    one.receive(status(2), 1.0)


# -- carriers


@pytest.mark.parametrize("seed", range(8))
def test_a_busy_carrier_gets_the_same_bytes(seed: int) -> None:
    rng, calm, busy = random.Random(seed), linked(), linked()
    talk(calm)
    talk(busy)
    whole, got = calm.poll(1.0), b""
    while len(got) < len(whole):
        busy.let(rng.choice((1, 7, jig.ALL)), rng.choice((0, 1, 7, 40)))
        got += busy.poll(1.0)
        assert busy.wait == 0 or len(got) == len(whole)
    assert got == whole
    assert busy.wait == calm.wait


def test_a_busy_carrier_of_messages_gets_each_once_and_whole() -> None:
    calm, busy = linked(carrier=jig.MESSAGES), linked(carrier=jig.MESSAGES)
    talk(calm)
    talk(busy)
    whole, got = jig.messages(calm.poll(1.0)), []
    for room in (0, 10, 100, 0, 200, jig.ALL):
        busy.let(left=room)
        got += jig.messages(busy.poll(1.0))
    assert got == whole


@pytest.mark.parametrize("cut", [1, 30, 80, 91])
def test_a_carrier_that_comes_back_in_mid_frame_begins_a_line_anew(cut: int) -> None:
    one = linked()
    stream = one.start_stream()
    one.audio(stream, sound(stream, 0), SAMPLES)
    one.let(left=cut)
    before = one.poll(1.0)
    assert len(before) == cut
    one.carrier_lost()
    one.let()
    one.hello(2.0)
    decoder = SerialDecoder()
    assert any(isinstance(frame, Hello) for frame in decoder.feed(before + one.poll(2.0)))
    one.receive(Welcome(Header(LINK, credit=64, timestamp=2000), BOOT, 0, 0), 2.0)
    frames = one.outgoing()
    assert [type(frame).__name__ for frame in frames] == ["AudioStart", "Audio"]


def test_what_is_half_written_is_not_written_over() -> None:
    """A frame that goes again while all are acknowledged, on a carrier that stops in its middle: its slot stays."""
    one = linked(ring_frames=4)
    stream = one.start_stream()
    for index in range(3):
        assert one.audio(stream, sound(stream, index), SAMPLES)
    first = one.poll(1.0)
    one.let(left=10)
    again = one.poll(1.3)
    one.receive(Ack(Header(LINK, credit=64, acknowledge=4), 0), 1.3)
    assert not one.audio(stream, sound(stream, 3), SAMPLES)
    one.let()
    again += one.poll(1.3)
    assert one.audio(stream, sound(stream, 4), SAMPLES)
    frames = list(SerialDecoder().feed(first + again + one.poll(1.3)))
    assert all(isinstance(frame, DeviceFrame) for frame in frames)
    assert frames[4].header.resent


# -- out of `hear`


def test_whoever_hears_may_speak_at_once() -> None:
    house = House(3, fault=0.2, make=jig.Device)
    assert isinstance(house.device, jig.Device)
    device, spoken = house.device, []

    def act() -> None:
        if len(spoken) < 12:
            stream = device.start_stream()
            spoken.append(stream)
            device.audio(stream, sound(stream, 0), SAMPLES)
            device.notice(NoticeKind.WAKE_WORD, len(spoken), "okay")
            device.log(6, "heard")
            device.stop_stream(stream)

    device.inside(act)
    device.hello(house.now)
    while len(spoken) < 12:
        house.step(5)
        if house.gateway is not None and house.rng.random() < 0.3:
            house.gateway.send_status(0, DeviceStatus.IDLE)
    house.run_dry()
    assert [event.stream for event in house.events if isinstance(event, StreamStarted)] == spoken
    assert [event.value for event in house.events if isinstance(event, DeviceNotice)] == list(range(1, 13))
    assert all(heard_audio(house.events, stream) == sound(stream, 0) for stream in spoken)


# -- little memory, and what wraps


@pytest.mark.parametrize("ring", [4, 5, 7])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("begins_at", [10.0, 0xFFFFFF00 / 1000, 0x7FFFFF00 / 1000])
def test_the_smallest_rings_over_everything_that_wraps(ring: int, seed: int, begins_at: float) -> None:
    """Numbers, slots and the clock; what did not fit is a hole of just that size."""
    house = House(seed, fault=0.1, ring=ring, first_sequence=0xFFFFFFF0, now=begins_at, make=jig.Hesitant)
    house.device.hello(house.now)
    stream, whole, kept = speak(house, 120, mishaps=True)
    house.run_dry()
    assert heard_audio(house.events, stream) == patched(whole, kept)
    assert house.device.counters.overrun_frames == kept.count(False)
    assert any(isinstance(event, AudioReceived) for event in house.events)


def test_a_pause_of_almost_half_the_clock_is_noticed() -> None:
    one = linked(now=0xFFFFFF00 / 1000)
    one.poll(0xFFFFFF00 / 1000)
    one.poll((0xFFFFFF00 + 0x7FFFFFFF) / 1000)
    assert one.state is DeviceState.GREETING


def test_a_gateway_that_was_away_for_weeks_is_still_welcome() -> None:
    one, now = jig.Device("kitchen", boot=BOOT, ring_frames=16), 1.0
    one.hello(now)
    for _ in range(5):
        now += 10 * 86_400
        one.tick(now)
        assert any(isinstance(frame, Hello) for frame in one.outgoing())
    timestamp = int(1000 * now) & 0xFFFFFFFF
    assert one.receive(Welcome(Header(LINK, timestamp=timestamp - 61_000), BOOT, 0, 0), now) == []
    assert one.receive(Welcome(Header(LINK, timestamp=timestamp), BOOT, 0, 0), now)


@pytest.mark.slow
def test_streams_are_numbered_from_one_again_after_the_last() -> None:
    one, numbers = linked(ring_frames=8), []
    for turn in range(1, 0x10001):
        numbers.append(one.start_stream())
        one.stop_stream(numbers[-1])
        one.poll(1.0)
        one.receive_bytes(encode_serial(Ack(Header(LINK, credit=64, acknowledge=2 * turn), 2 * turn)), 1.0)
    assert numbers == [*range(1, 0x10000), 1]


def test_starts_and_stops_wait_for_room_and_are_bounded() -> None:
    one = linked(ring_frames=4)
    for number in range(4):
        assert one.notice(NoticeKind.LEVEL, number)
    streams = [one.start_stream() for _ in range(4)]
    assert one.room == 0
    with pytest.raises(LinkStateError):
        one.start_stream()
    for stream in streams:
        one.stop_stream(stream)
    with pytest.raises(LinkStateError):
        one.start_stream()
    assert one.unacknowledged == 12
    one.outgoing()
    said: list[DeviceFrame] = []
    for acknowledged in (4, 8, 12):
        one.receive(Ack(Header(LINK, credit=64, acknowledge=acknowledged), acknowledged), 1.0)
        said += one.outgoing()
    assert [type(frame) for frame in said] == [AudioStart] * 4 + [AudioStop] * 4
    assert (one.room, one.unacknowledged) == (4, 0)


# -- what is refused, cut and counted


@pytest.mark.parametrize(
    "wrong",
    [
        {"device_id": ""},
        {"device_id": "a b"},
        {"device_id": "a" * 65},
        *({"device_id": f"a{one}"} for one in "@[`{/:.,"),
        *({"firmware": f"a{one}"} for one in '\x1f\x7f"\\'),
        {"device_id": "."},
        {"device_id": "a..b"},
        {"device_id": "a."},
        {"device_id": ".a"},
        {"device_id": "a." * 32 + "a"},
        {"firmware": 'demo "1"'},
        {"firmware": "d\u00e9mo"},
        {"firmware": "x" * 65},
        {"kind": "a\\b"},
        {"ring_frames": 3},
        {"frame_size": 15},
        {"frame_size": 2049},
    ],
    ids=repr,
)
def test_a_configuration_that_cannot_be_is_refused(wrong: dict[str, str | int]) -> None:
    wants = {"device_id": "kitchen", "boot": BOOT, "ring_frames": 4, "frame_size": 640, **wrong}
    with pytest.raises(ValueError, match="refuses"):
        jig.Device(**wants)  # type: ignore[arg-type]


def test_an_id_may_have_dots_between_its_parts() -> None:
    for name in ("esp32.001", "a.b.c", "a" * 64, "a." * 31 + "ab"):
        jig.Device(device_id=name, boot=BOOT, ring_frames=4, frame_size=640)


def test_the_longest_of_everything_goes_into_a_hello() -> None:
    one = jig.Device(
        *("k" * 64,),
        boot=0xFFFFFFFF,
        ring_frames=64,
        frame_size=16,
        firmware="f" * 64,
        kind="b" * 64,
        key=bytes(32),
        first_sequence=0xFFFFFFFF,
    )
    one.hello(1.0)
    (hello,) = one.outgoing()
    assert isinstance(hello, Hello)
    assert (hello.device_id, hello.firmware, hello.kind) == ("k" * 64, "f" * 64, "b" * 64)


def test_nothing_that_is_needed_may_be_left_out() -> None:
    assert [jig.core().jig_init_without(what) for what in range(5)] == [1, 1, 1, 1, 0]


@pytest.mark.parametrize(("device_id", "firmware"), [("AZaz09_-", " ~!#[]"), ("0", "")])
def test_whatever_a_name_may_have_it_has(device_id: str, firmware: str) -> None:
    one = jig.Device(device_id, boot=BOOT, ring_frames=4, firmware=firmware)
    one.hello(1.0)
    (hello,) = one.outgoing()
    assert isinstance(hello, Hello)
    assert (hello.device_id, hello.firmware) == (device_id, firmware)


def test_audio_that_cannot_be_is_refused_and_changes_nothing() -> None:
    one = linked()
    stream = one.start_stream()
    for payload, codec in ((bytes(66), Codec.PCM16), (bytes(3), Codec.PCM16), (bytes(3), Codec.IMA_ADPCM)):
        assert one._c.earshot_audio(one._jig, stream, codec, payload, len(payload), 1) == jig.BAD_ARGUMENT
    assert one._c.earshot_audio(one._jig, stream, 3, bytes(4), 4, 1) == jig.BAD_ARGUMENT
    assert one._c.earshot_audio(one._jig, stream, 0, None, 4, 1) == jig.BAD_ARGUMENT
    one.audio(stream, bytes(64), 32)
    assert [frame.header.timestamp for frame in one.outgoing()] == [0, 0]
    assert one.counters.overrun_frames == 0


def test_texts_are_cut_at_a_character() -> None:
    one = linked()
    one.notice(NoticeKind.WAKE_WORD, 0, "\u00fc" * 40)
    one.notice(NoticeKind.WAKE_WORD, 0, "x" + "\u2600" * 40)
    one.log(3, "\u00fc" * 200)
    one.log(3, "x" * 300)
    said = one.outgoing()
    assert [frame.text for frame in said if isinstance(frame, Notice)] == ["\u00fc" * 30, "x" + "\u2600" * 19]
    assert [frame.text for frame in said if isinstance(frame, Log)] == ["\u00fc" * 96, "x" * 192]


@pytest.mark.parametrize(
    ("capacity", "shown"), [(1, ""), (2, "D"), (9, "Der Flur"), (10, "Der Flur"), (11, "Der Flur\u00fc")]
)
def test_what_has_no_room_on_a_board_is_cut_at_a_character(capacity: int, shown: str) -> None:
    board = jig.Board(pieces=True, capacity=capacity)
    assert board.take(0, b"c-1", "Der Flur\u00fc".encode()) == shown.encode()
    more = board.take(0, b"c-1", b"!")
    assert more is not None
    assert more.decode() == shown + ("!" if capacity > 11 else "")


def test_what_is_said_once_is_bounded_and_what_finds_no_room_is_counted() -> None:
    one = linked()
    for _ in range(20):
        one.ping()
    assert one.counters.dropped == 4
    assert len(one.outgoing()) == 16
    while not one.counters.dropped - 4:
        one.log(3, "x" * 100)
    assert all(isinstance(frame, Log) for frame in one.outgoing())
    assert one.say(0x07, bytes(1000)) == jig.FULL
    assert one.say(0x07, bytes(2048)) == jig.FULL
    assert one.say(0x07, bytes(2049)) == jig.BAD_ARGUMENT
    assert one.say(0x11, b"") == jig.BAD_ARGUMENT


def test_more_than_it_has_room_for_without_a_delimiter_is_counted_once_and_the_next_frame_is_found() -> None:
    one = linked()
    one.receive_bytes(b"\1" * 5000, 1.0)
    one.receive_bytes(b"\0", 1.0)
    assert one.counters.broken == 1
    assert one.receive(status(0), 1.0)


@pytest.mark.parametrize("carrier", [jig.SERIAL, jig.MESSAGES])
def test_the_largest_frame_comes_through(carrier: int) -> None:
    one = linked(carrier=carrier)
    text = "x" * (1024 - 4)
    (told,) = one.receive(TranscriptText(Header(LINK, credit=64), "c-1", text), 1.0)
    assert isinstance(told, TranscriptText)
    assert told.text == text


def test_a_frame_larger_than_it_takes_is_not_asked_for_for_ever() -> None:
    """Of a gateway that has not read HELLO: the number counts, nobody is told."""
    one = linked(carrier=jig.MESSAGES)
    assert one.receive(Reply(Header(LINK, credit=64), "c-1", "x" * 1500), 1.0) == []
    assert one.counters.received == 1
    assert one.receive(status(1), 1.0)


def test_a_device_that_is_offline_hears_nothing() -> None:
    one = linked()
    one.carrier_lost()
    assert one.receive(status(0), 1.0) == []
    assert one.poll(1.0) == b""
    assert one.wait == jig.FOREVER
    assert one.next_deadline(1.0) is None


def test_a_ping_is_answered() -> None:
    one = linked()
    one.receive(Ping(Header(LINK, credit=64, timestamp=8100)), 1.0)
    (pong,) = one.outgoing()
    assert isinstance(pong, Pong)
    assert pong.header.timestamp == 8100


def test_the_device_is_under_four_kilobytes() -> None:
    """Also on a machine whose pointers are twice as long as a board's."""
    assert jig.core().jig_device_size() < 4096
