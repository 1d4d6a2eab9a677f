"""The device's end: greeting, whom it listens to, its ring, and its state table."""

from __future__ import annotations

import itertools
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.link.device_end import (
    DOWN_CREDIT,
    MAX_BEST_EFFORT,
    MAX_STREAMS,
    PING_BLOCKED,
    PING_IDLE,
    REFUSED_PAUSE,
    STOPPED_PAUSE,
    UNHEARD,
    DeviceEnd,
)
from firmware_bridge.link.events import DeviceStatus, NoticeKind
from firmware_bridge.link.frames import (
    Ack,
    Audio,
    AudioStart,
    AudioStop,
    DeviceFrame,
    Fault,
    FaultCode,
    FrameType,
    Header,
    Hello,
    Log,
    Notice,
    Partial,
    Ping,
    Pong,
    Reply,
    Status,
    Welcome,
    numbered_up,
)
from firmware_bridge.link.framing import FrameRejected
from firmware_bridge.link.states import DEVICE_TABLE, DeviceEndEvent, DeviceState, LinkStateError
from firmware_bridge.link.window import ACK_DELAY, RESEND

LINK = 0xA7
BOOT = 77
F = TypeVar("F")


class Device:
    """An end, a clock, and frames as the gateway would send them."""

    def __init__(
        self,
        ring: int = 100,
        *,
        linked: bool = True,
        credit: int = 64,
        first: int = 0,
        wants_pieces: bool = False,
        down_credit: int = DOWN_CREDIT,
    ) -> None:
        self.now = 100.0
        self.end = DeviceEnd(
            "kitchen",
            boot=BOOT,
            ring_frames=ring,
            firmware="test",
            first_sequence=first,
            wants_pieces=wants_pieces,
            credit=down_credit,
        )
        if linked:
            self.end.hello(self.now)
            (self.hello,) = self.says(Hello)
            self.hears(self.welcome(credit=credit, resume_from=first))
            assert self.end.state is DeviceState.LINKED

    def welcome(
        self, *, resume_from: int = 0, down_next: int = 1000, boot: int = BOOT, **fields: Any
    ) -> Welcome:
        said = {"link": LINK, "credit": 64, "acknowledge": resume_from, "timestamp": int(self.now * 1000)}
        return Welcome(Header(**{**said, **fields}), boot, resume_from, down_next)

    def header(self, sequence: int = 0, **fields: Any) -> Header:
        said = {"link": LINK, "credit": 64, "acknowledge": self.end._ring.acknowledged, "sequence": sequence}
        return Header(**{**said, **fields})

    def hears(self, frame: DeviceFrame | FrameRejected) -> list[Any]:
        return list(self.end.receive(frame, self.now))

    def says(self, kind: type[F]) -> list[F]:
        return [frame for frame in self.end.outgoing() if isinstance(frame, kind)]

    def numbers(self) -> list[int]:
        return [frame.header.sequence for frame in self.end.outgoing() if numbered_up(frame.TYPE)]

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.end.tick(self.now)


def test_hello_says_what_the_device_still_holds() -> None:
    device = Device(linked=False, first=0xFFFFFFFF)
    assert device.end.next_deadline(device.now) is None
    stream = device.end.start_stream()
    device.end.audio(stream, bytes(64), 32)
    assert device.end.outgoing() == []
    device.end.hello(device.now)
    assert device.says(Hello) == [
        Hello(
            Header(credit=DOWN_CREDIT, timestamp=100_000),
            "kitchen",
            BOOT,
            "test",
            100,
            1,
            0xFFFFFFFF,
            0xFFFFFFFF,
        )
    ]


def test_hello_is_repeated_ever_more_patiently_until_welcomed() -> None:
    device = Device(linked=False)
    device.end.hello(device.now)
    times = []
    for _ in range(7):
        times.append(device.now)
        assert len(device.says(Hello)) == 1
        assert device.says(Hello) == []
        deadline = device.end.next_deadline(device.now)
        assert deadline is not None
        device.after(deadline - device.now)
    assert [after - before for before, after in itertools.pairwise(times)] == [0.25, 0.5, 1, 2, 4, 8]
    welcome = device.welcome()
    assert device.hears(welcome) == [welcome]
    assert device.says(Hello) == []


def test_only_its_own_timely_welcome_counts() -> None:
    device = Device(linked=False)
    assert device.hears(device.welcome()) == []
    device.end.hello(device.now)
    assert device.hears(device.welcome(boot=78)) == []
    assert device.hears(device.welcome(timestamp=99_999)) == []
    assert device.end.state is DeviceState.GREETING
    assert len(device.hears(device.welcome())) == 1
    assert device.hears(device.welcome(link=9)) == []
    assert device.end.link == LINK
    assert device.end.counters.ignored == 4


def test_a_gateway_that_was_away_for_weeks_is_still_welcome() -> None:
    """Milliseconds turn round after fifty days: what was first said in this greeting is then not before, but after."""
    device = Device(linked=False)
    device.end.hello(device.now)
    for _ in range(5):
        device.after(10 * 86_400)
        assert len(device.says(Hello)) == 1
    timestamp = int(device.now * 1000) & 0xFFFFFFFF
    assert device.hears(device.welcome(timestamp=timestamp - 61_000)) == []
    assert len(device.hears(device.welcome(timestamp=timestamp))) == 1


def test_after_welcome_it_sends_from_where_the_gateway_is() -> None:
    device = Device(linked=False)
    stream = device.end.start_stream()
    for _ in range(4):
        device.end.audio(stream, bytes(64), 32)
    device.end.hello(device.now)
    device.says(Hello)
    device.hears(device.welcome(resume_from=2, credit=2))
    frames = device.says(Audio)
    assert [frame.header.sequence for frame in frames] == [2, 3]
    assert frames[0].header == Header(LINK, stream, DOWN_CREDIT, 2, 1000, 32)


def test_a_gateway_that_had_more_than_there_is_makes_it_draw_another_boot() -> None:
    device = Device(linked=False)
    device.end.hello(device.now)
    device.says(Hello)
    assert device.hears(device.welcome(resume_from=5)) == []
    assert device.end.boot != BOOT
    (hello,) = device.says(Hello)
    assert hello.boot == device.end.boot


def test_streams_count_every_sample() -> None:
    device = Device()
    first = device.end.start_stream(end_on_silence=False)
    second = device.end.start_stream()
    device.end.audio(first, bytes(64), 32)
    device.end.audio(second, bytes(2), 1)
    device.end.audio(first, bytes(64), 32)
    device.end.stop_stream(first)
    frames = device.end.outgoing()
    assert [frame.TYPE for frame in frames] == [
        *(FrameType.AUDIO_START, FrameType.AUDIO_START, FrameType.AUDIO),
        *(FrameType.AUDIO, FrameType.AUDIO, FrameType.AUDIO_STOP),
    ]
    assert [frame.header.timestamp for frame in frames] == [0, 0, 0, 0, 32, 64]
    assert [frame.header.stream for frame in frames] == [first, second, first, second, first, first]
    assert isinstance(frames[2], Audio)
    assert not frames[2].end_on_silence
    with pytest.raises(LinkStateError):
        device.end.audio(first, b"", 0)
    with pytest.raises(LinkStateError):
        device.end.stop_stream(first)


def test_stream_numbers_never_are_zero() -> None:
    device = Device()
    device.end._last_stream = 0xFFFF
    assert device.end.start_stream() == 1


def test_only_so_many_streams_are_open_or_waiting() -> None:
    device = Device(ring=1, linked=False)
    assert device.end.notice(NoticeKind.BUTTON)
    for _ in range(MAX_STREAMS):
        device.end.stop_stream(device.end.start_stream())
    with pytest.raises(LinkStateError):
        device.end.start_stream()
    device = Device()
    for _ in range(MAX_STREAMS):
        device.end.start_stream()
    with pytest.raises(LinkStateError):
        device.end.start_stream()


def test_full_of_unreceived_frames_the_newest_audio_is_overrun() -> None:
    device = Device(ring=3, linked=False)
    stream = device.end.start_stream()
    assert [device.end.audio(stream, bytes(64), 32) for _ in range(4)] == [True, True, False, False]
    assert not device.end.notice(NoticeKind.LEVEL)
    device.end.stop_stream(stream)
    assert device.end.unacknowledged == 4
    counters = device.end.counters
    assert (counters.overrun_frames, counters.overrun_samples) == (3, 64)
    device.end.hello(device.now)
    device.says(Hello)
    device.hears(device.welcome())
    assert device.numbers() == [0, 1, 2]
    device.hears(Ack(device.header(acknowledge=3), 0))
    (stop,) = device.says(AudioStop)
    assert stop.header.timestamp == 128


def test_what_is_received_is_overwritten_only_when_there_is_no_room() -> None:
    device = Device(ring=3)
    for value in range(3):
        device.end.notice(NoticeKind.LEVEL, value)
    device.end.outgoing()
    device.hears(Ack(device.header(acknowledge=2), 1))
    assert device.end._ring.oldest == 1
    device.end.notice(NoticeKind.LEVEL, 3)
    assert device.end._ring.oldest == 1
    device.end.notice(NoticeKind.LEVEL, 4)
    assert device.end._ring.oldest == 2
    assert not device.end.notice(NoticeKind.LEVEL, 5)


def test_what_is_missing_goes_again_and_what_is_gone_is_told() -> None:
    device = Device(ring=3)
    for value in range(5):
        device.end.notice(NoticeKind.LEVEL, value)
        device.end.outgoing()
        device.hears(Ack(device.header(acknowledge=max(0, value - 1)), 0))
    device.hears(Ack(device.header(), 0, ((3, 3),)))
    (again,) = device.says(Notice)
    assert (again.header.sequence, again.header.resent, again.value) == (3, True, 3)
    device.hears(Ack(device.header(), 0, ((0, 1), (4, 4))))
    *_, ack = device.end.outgoing()
    assert isinstance(ack, Ack)
    assert ack.durable == device.end._ring.oldest == 2


def test_without_a_ring_a_lost_frame_is_told_instead_of_sent_again() -> None:
    device = Device(ring=0)
    assert device.end.notice(NoticeKind.BUTTON)
    assert device.numbers() == [0]
    device.after(RESEND)
    (ack,) = device.says(Ack)
    assert ack.durable == 1
    device.end.carrier_lost()
    assert not device.end.notice(NoticeKind.BUTTON)


def test_the_gateways_frames_come_once_and_in_order_and_are_acknowledged() -> None:
    device = Device()
    one = Status(device.header(1000), DeviceStatus.THINKING)
    two = Reply(device.header(1001), "c1", "done")
    assert device.hears(two) == []
    (ack,) = device.says(Ack)
    assert ack.missing == ((1000, 1000),)
    assert device.hears(one) == [one, two]
    assert device.hears(two) == []
    device.after(ACK_DELAY)
    (ack,) = device.says(Ack)
    assert ack.header.acknowledge == 1002
    assert (device.end.counters.received, device.end.counters.duplicates) == (2, 1)


def test_any_frame_of_its_own_acknowledges() -> None:
    device = Device()
    device.hears(Status(device.header(1000), DeviceStatus.IDLE))
    device.end.notice(NoticeKind.BUTTON)
    (notice,) = device.end.outgoing()
    assert notice.header.acknowledge == 1001
    device.after(ACK_DELAY)
    assert device.end.outgoing() == []


def test_a_frame_it_cannot_read_is_not_waited_for() -> None:
    device = Device()
    rejected = FrameRejected(FaultCode.MALFORMED, "status 99", device.header(1000), FrameType.STATUS)
    assert device.hears(rejected) == []
    assert device.hears(FrameRejected(FaultCode.MALFORMED, "?", device.header(), FrameType.PARTIAL)) == []
    assert device.hears(FrameRejected(None, "noise")) == []
    one = Status(device.header(1001), DeviceStatus.IDLE)
    assert device.hears(one) == [one]


@pytest.mark.parametrize(
    ("down_next", "expected"),
    [(1000, 1002), (1002, 1002), (1003, 1003), (0xFFFFFFF0, 0xFFFFFFF0), (500, 500)],
)
def test_the_same_gateway_is_known_by_its_numbers(down_next: int, expected: int) -> None:
    device = Device()
    for number in (1000, 1001):
        device.hears(Status(device.header(number), DeviceStatus.IDLE))
    device.end.hello(device.now)
    device.says(Hello)
    device.hears(device.welcome(down_next=down_next))
    assert device.end._inbox.expected == expected


def growing(device: Device, sequence: int, text: str, **fields: Any) -> list[str]:
    """What is shown of a piece."""
    header = device.header(sequence, link=device.end.link, stream=1)
    told = device.hears(Reply(header, "c1", text, **{"final": False, **fields}))
    return [reply.text for one in told if (reply := device.end.replies.take(one)) is not None]


def test_what_it_shows_of_a_reply_grows() -> None:
    device = Device(linked=False, wants_pieces=True, down_credit=2)
    device.end.hello(device.now)
    (said,) = device.says(Hello)
    assert (said.wants_pieces, said.header.credit) == (True, 2)
    device.hears(device.welcome())
    assert growing(device, 1000, "It ", whole=True) == ["It "]
    assert growing(device, 1001, "is ") == ["It is "]
    assert growing(device, 1001, "is ") == [], "it came twice"
    assert growing(device, 1002, "noon.", final=True) == ["It is noon."]
    assert growing(device, 1003, "It is noon.", final=True, whole=True) == [], "it was had"


@pytest.mark.parametrize(
    ("link", "down_next"),
    [(LINK + 1, 1001), (LINK, 70_000)],
    ids=["another nonce", "the same one, by chance"],
)
def test_half_a_reply_is_void_when_another_link_begins(link: int, down_next: int) -> None:
    device = Device()
    assert growing(device, 1000, "It is ", continued=True) == []
    device.end.carrier_lost()
    device.end.hello(device.now)
    device.hears(device.welcome(down_next=down_next, link=link))
    assert growing(device, down_next, "It is ", continued=True) == []
    assert growing(device, down_next + 1, "noon.", final=True) == ["It is noon."]


def test_half_a_reply_goes_on_on_a_link_that_is_resumed() -> None:
    device = Device()
    assert growing(device, 1000, "It is ", continued=True) == []
    device.end.carrier_lost()
    device.end.hello(device.now)
    device.hears(device.welcome(down_next=1000))
    assert growing(device, 1000, "It is ", continued=True) == [], "it had it"
    assert growing(device, 1001, "noon.", final=True) == ["It is noon."]


def test_other_links_frames_are_ignored() -> None:
    device = Device()
    assert device.hears(Status(device.header(1000, link=9), DeviceStatus.IDLE)) == []
    assert device.hears(Partial(device.header(link=9), "text")) == []
    assert device.hears(Fault(device.header(link=9), FaultCode.SAY_HELLO)) == []
    assert device.end.state is DeviceState.LINKED
    assert device.end.counters.ignored == 3
    partial = Partial(device.header(), "text")
    assert device.hears(partial) == [partial]


def test_say_hello_makes_it_greet_and_keep_its_numbers() -> None:
    device = Device()
    device.end.notice(NoticeKind.BUTTON)
    fault = Fault(device.header(), FaultCode.SAY_HELLO)
    assert device.hears(fault) == [fault]
    (hello,) = device.says(Hello)
    assert (hello.boot, hello.next_sequence, hello.oldest) == (BOOT, 1, 0)
    assert device.hears(fault) == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Header(timestamp=BOOT), FaultCode.DUPLICATE_ID),
        Fault(Header(timestamp=BOOT), FaultCode.REFUSED),
        Fault(Header(), FaultCode.UNSUPPORTED_VERSION),
        Fault(Header(), FaultCode.BAD_ID),
    ],
)
def test_refused_while_greeting_it_waits(fault: Fault) -> None:
    device = Device(linked=False)
    device.end.hello(device.now)
    device.says(Hello)
    assert device.hears(fault) == [fault]
    assert device.end.state is DeviceState.REFUSED
    assert device.hears(device.welcome()) == []
    device.after(REFUSED_PAUSE - 0.1)
    assert device.says(Hello) == []
    device.after(0.1)
    assert len(device.says(Hello)) == 1


def test_a_refusal_of_another_boot_does_not_concern_it() -> None:
    device = Device(linked=False)
    device.end.hello(device.now)
    assert device.hears(Fault(Header(timestamp=78), FaultCode.DUPLICATE_ID)) == []
    assert device.end.state is DeviceState.GREETING
    linked = Device()
    assert linked.hears(Fault(Header(timestamp=BOOT), FaultCode.DUPLICATE_ID)) == []
    assert linked.end.state is DeviceState.LINKED


def test_a_gateway_that_stops_is_greeted_later() -> None:
    device = Device()
    device.hears(Fault(device.header(), FaultCode.SHUTTING_DOWN))
    assert device.end.state is DeviceState.REFUSED
    assert device.end.next_deadline(device.now) == device.now + STOPPED_PAUSE


def test_other_faults_are_shown_and_change_nothing() -> None:
    device = Device()
    fault = Fault(device.header(), FaultCode.BAD_AUDIO, "odd")
    assert device.hears(fault) == [fault]
    assert device.end.state is DeviceState.LINKED


def test_it_pings_when_idle_and_greets_when_unheard() -> None:
    device = Device()
    device.after(PING_IDLE - 0.1)
    assert device.says(Ping) == []
    device.after(0.1)
    (ping,) = device.says(Ping)
    assert ping.header.link == LINK
    device.hears(Pong(device.header()))
    device.after(UNHEARD - 0.1)
    assert device.end.state is DeviceState.LINKED
    device.after(0.1)
    assert device.end.state is DeviceState.GREETING


def test_without_credit_it_pings_sooner() -> None:
    device = Device(credit=0)
    device.end.notice(NoticeKind.BUTTON)
    assert device.numbers() == []
    device.after(PING_BLOCKED)
    assert len(device.says(Ping)) == 1
    device.hears(Pong(device.header(credit=1)))
    assert device.numbers() == [0]


def test_a_ping_is_answered_and_logs_are_best_effort_and_bounded() -> None:
    device = Device()
    device.hears(Ping(device.header(timestamp=5)))
    (pong,) = device.says(Pong)
    assert pong.header.timestamp == 5
    for number in range(100):
        device.end.log(6, str(number))
    assert [log.text for log in device.says(Log)] == [str(number) for number in range(MAX_BEST_EFFORT)]
    assert device.end.counters.dropped == 100 - MAX_BEST_EFFORT


def greeting(device: Device) -> None:
    device.end.hello(device.now)
    device.end.outgoing()


REACH = {
    DeviceState.OFFLINE: lambda device: None,
    DeviceState.GREETING: greeting,
    DeviceState.LINKED: lambda device: (greeting(device), device.hears(device.welcome())),
    DeviceState.REFUSED: lambda device: (greeting(device), device.hears(Fault(Header(), FaultCode.REFUSED))),
}
CAUSE = {
    DeviceEndEvent.CARRIER: lambda device: device.end.hello(device.now),
    DeviceEndEvent.WELCOME: lambda device: device.hears(device.welcome()),
    DeviceEndEvent.SAY_HELLO: lambda device: device.hears(Fault(Header(link=LINK), FaultCode.SAY_HELLO)),
    DeviceEndEvent.REFUSAL: lambda device: [
        device.hears(Fault(Header(link=link), FaultCode.REFUSED)) for link in (0, LINK)
    ],
    DeviceEndEvent.WAITED: lambda device: device.after(REFUSED_PAUSE),
    DeviceEndEvent.UNHEARD: lambda device: device.after(UNHEARD),
    DeviceEndEvent.CARRIER_LOST: lambda device: device.end.carrier_lost(),
}


@pytest.mark.parametrize("state", DeviceState)
@pytest.mark.parametrize("event", DeviceEndEvent)
def test_every_event_in_every_state_moves_as_the_table_says(
    state: DeviceState, event: DeviceEndEvent
) -> None:
    device = Device(linked=False)
    REACH[state](device)
    assert device.end.state is state
    CAUSE[event](device)
    caused_by_time = (state, event) == (DeviceState.REFUSED, DeviceEndEvent.UNHEARD)
    assert device.end.state is DEVICE_TABLE.get(
        (state, DeviceEndEvent.WAITED if caused_by_time else event), state
    )


@pytest.mark.parametrize("state", DeviceState)
@pytest.mark.parametrize("event", DeviceEndEvent)
def test_a_move_the_table_does_not_have_raises_and_changes_nothing(
    state: DeviceState, event: DeviceEndEvent
) -> None:
    end = Device(linked=False).end
    end.state = state
    if (state, event) in DEVICE_TABLE:
        end._move(event)
        assert end.state is DEVICE_TABLE[state, event]
    else:
        with pytest.raises(LinkStateError):
            end._move(event)
        assert end.state is state


FRAMES = st.one_of(
    st.builds(
        Ack,
        st.none(),
        st.integers(0, 20),
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9))).map(tuple),
    ),
    st.builds(Status, st.none(), st.sampled_from(DeviceStatus)),
    st.builds(Fault, st.none(), st.sampled_from(FaultCode)),
    st.builds(Welcome, st.none(), st.just(BOOT), st.integers(0, 20), st.integers(0, 0xFFFFFFFF)),
    st.builds(AudioStart, st.none()),
)


@given(st.integers(0, 8), st.lists(st.tuples(FRAMES, st.integers(0, 40), st.floats(0, 5)), max_size=60))
def test_no_gateway_however_odd_makes_it_raise_or_grow(
    ring: int, steps: list[tuple[Any, int, float]]
) -> None:
    device = Device(ring)
    for frame, number, wait in steps:
        header = device.header(
            1000 + number, acknowledge=number, credit=number, timestamp=int(device.now * 1000)
        )
        device.hears(type(frame)(header, *[getattr(frame, name) for name in frame.__slots__]))
        device.end.notice(NoticeKind.LEVEL)
        device.after(wait)
        device.end.outgoing()
        assert len(device.end._ring._frames) <= max(ring, 64)
        assert len(device.end._inbox._early) < DOWN_CREDIT
