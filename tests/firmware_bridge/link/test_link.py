"""The gateway's end: who is answered what, what is held for a resume, and its state table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.link.events import (
    AudioReceived,
    DeviceConnected,
    DeviceDisconnected,
    DeviceLog,
    DeviceNotice,
    DeviceStatus,
    LinkEvent,
    NoticeKind,
    StreamStarted,
)
from firmware_bridge.link.frames import (
    Ack,
    Audio,
    AudioStart,
    Codec,
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
    TranscriptText,
    Welcome,
)
from firmware_bridge.link.framing import FrameRejected
from firmware_bridge.link.link import (
    FAULT_PAUSE,
    MAX_URGENT,
    GatewayEnd,
    LinkSettings,
    answer,
    refuse,
    say_hello,
)
from firmware_bridge.link.states import GATEWAY_TABLE, GatewayEndEvent, GatewayState, LinkStateError
from firmware_bridge.link.window import ACK_DELAY, ASK_AGAIN_MAX, ASK_LIMIT, RESEND

LINK = 0xA7
SETTINGS = LinkSettings(credit_frames=64, outbox_frames=8, silence_seconds=15)
PCM = bytes(640)
F = TypeVar("F")


def hello(**changes: Any) -> Hello:
    said: dict[str, Any] = {
        "header": Header(credit=32, timestamp=1000),
        "device_id": "kitchen",
        "boot": 77,
        "firmware": "test",
        "ring_frames": 100,
        "next_sequence": 0,
        "oldest": 0,
        "durable": 0,
    }
    return Hello(**{**said, **changes})


class Gateway:
    """An end, a clock, and frames as the device would send them."""

    def __init__(self, said: Hello | None = None) -> None:
        self.now = 100.0
        self.end = GatewayEnd(said or hello(), carrier="tty", settings=SETTINGS, now=self.now, link=LINK)
        (self.welcome,) = self.end.outgoing()
        assert isinstance(self.welcome, Welcome)
        self.down = self.welcome.down_next

    def header(self, sequence: int = 0, **fields: Any) -> Header:
        said = {"link": LINK, "credit": 32, "acknowledge": self.down, "sequence": sequence & 0xFFFFFFFF}
        return Header(**{**said, **fields})

    def hears(self, frame: DeviceFrame | FrameRejected) -> list[LinkEvent]:
        return self.end.receive(frame, self.now)

    def audio(self, sequence: int, position: int, **fields: Any) -> list[LinkEvent]:
        header = self.header(sequence, stream=1, timestamp=position, **fields)
        return self.hears(Audio(header, Codec.PCM16, PCM, end_on_silence=True))

    def after(self, seconds: float) -> list[LinkEvent]:
        self.now += seconds
        return self.end.tick(self.now)

    def says(self, kind: type[F]) -> list[F]:
        return [frame for frame in self.end.outgoing() if isinstance(frame, kind)]


def test_a_hello_is_welcomed_where_its_ring_begins() -> None:
    gateway = Gateway(hello(next_sequence=300, oldest=172, durable=160))
    assert gateway.welcome == Welcome(
        Header(link=LINK, credit=64, acknowledge=172, timestamp=1000), 77, 172, gateway.down, 2048
    )
    assert gateway.end.connected == DeviceConnected(
        "kitchen", 77, "tty", "test", 100, wants_partials=False, resumed=False, lost_frames=12
    )
    assert gateway.end.counters.lost_frames == 12


def test_nonces_are_drawn_from_1_to_255() -> None:
    ends = [GatewayEnd(hello(), carrier="tty", settings=SETTINGS, now=0.0) for _ in range(500)]
    assert min(end.link for end in ends) >= 1
    assert max(end.link for end in ends) <= 255
    assert len({end.link for end in ends}) > 50


def test_audio_comes_out_in_order_and_is_acknowledged_with_its_durable_mark() -> None:
    gateway = Gateway()
    assert gateway.hears(AudioStart(gateway.header(0, stream=1), end_on_silence=True)) == [
        StreamStarted("kitchen", 77, 1, end_on_silence=True, begun=0)
    ]
    assert gateway.audio(2, 320) == []
    assert gateway.audio(1, 0) == [
        AudioReceived("kitchen", 77, 1, 0, PCM),
        AudioReceived("kitchen", 77, 1, 320, PCM),
    ]
    gateway.says(Ack)
    gateway.after(ACK_DELAY)
    (ack,) = gateway.says(Ack)
    assert (ack.header.acknowledge, ack.header.credit, ack.durable, ack.missing) == (3, 64, 1, ())
    gateway.end.settle(1, 320)
    assert gateway.says(Ack) == []
    gateway.after(ACK_DELAY)
    (ack,) = gateway.says(Ack)
    assert ack.durable == 2


def test_what_is_missing_is_asked_for_at_once() -> None:
    gateway = Gateway()
    gateway.audio(3, 960)
    (ack,) = gateway.says(Ack)
    assert ack.missing == ((0, 2),)
    assert gateway.says(Ack) == []


def test_what_a_device_no_longer_holds_is_lost_and_counted() -> None:
    gateway = Gateway()
    gateway.hears(AudioStart(gateway.header(0, stream=1), end_on_silence=True))
    gateway.audio(3, 640)
    assert gateway.hears(Ack(gateway.header(), 3)) == [AudioReceived("kitchen", 77, 1, 640, PCM, 640)]
    assert gateway.end.counters.lost_frames == 2
    assert gateway.hears(Ack(gateway.header(), 1)) == []


def test_what_never_comes_is_given_up_in_the_end() -> None:
    gateway = Gateway()
    gateway.audio(1, 320)
    asked = 0
    events: list[LinkEvent] = []
    while not events:
        asked += len(gateway.says(Ack)) > 0
        gateway.hears(Ping(gateway.header()))
        events = gateway.after(ASK_AGAIN_MAX)
    assert asked == ASK_LIMIT
    assert events[-1] == AudioReceived("kitchen", 77, 1, 320, PCM)
    assert gateway.end.counters.lost_frames == 1


def test_duplicates_are_dropped_and_counted() -> None:
    gateway = Gateway()
    assert len(gateway.audio(0, 0)) == 2
    assert gateway.audio(0, 0) == []
    gateway.audio(5, 1600)
    assert gateway.audio(5, 1600) == []
    assert gateway.end.counters.duplicates == 2
    assert gateway.end.counters.out_of_order == 1


def test_beyond_the_credit_frames_are_dropped_with_a_fault() -> None:
    gateway = Gateway()
    assert gateway.audio(64, 0) == []
    (fault,) = gateway.says(Fault)
    assert fault.code is FaultCode.OUT_OF_CREDIT
    assert gateway.end.counters.out_of_credit == 1


def test_lowered_credit_is_told_at_once_but_what_is_under_way_is_taken() -> None:
    gateway = Gateway()
    gateway.end.credit = 0
    (ack,) = gateway.says(Ack)
    assert ack.header.credit == 0
    assert len(gateway.audio(0, 0)) == 2
    gateway.end.credit = 1000
    assert gateway.end.credit == 64


@pytest.mark.parametrize(
    "frame", [Ping(Header(link=9)), Audio(Header(link=0), Codec.PCM16, PCM), Log(Header(), 1, "x")]
)
def test_another_link_is_told_to_say_hello_and_not_heard(frame: DeviceFrame) -> None:
    gateway = Gateway()
    assert gateway.hears(frame) == []
    assert gateway.says(Fault) == [say_hello(frame)]
    assert gateway.end.counters.stale == 1
    assert gateway.end.state is GatewayState.WELCOMED
    gateway.hears(frame)
    assert gateway.says(Fault) == []
    gateway.now += FAULT_PAUSE
    gateway.hears(frame)
    assert len(gateway.says(Fault)) == 1


def test_a_fault_is_never_answered_with_a_fault() -> None:
    fault = Fault(Header(link=9), FaultCode.MALFORMED, "you")
    gateway = Gateway()
    assert gateway.hears(fault) == []
    assert gateway.end.outgoing() == []
    assert say_hello(fault) is None
    assert answer(FrameRejected(FaultCode.MALFORMED, "", Header(link=9), FrameType.FAULT)) is None


def test_a_rejected_number_is_answered_and_not_waited_for() -> None:
    gateway = Gateway()
    assert gateway.hears(FrameRejected(FaultCode.UNKNOWN_TYPE, "type 0x1e", gateway.header(0), 0x1E)) == []
    assert gateway.says(Fault) == [Fault(Header(link=LINK), FaultCode.UNKNOWN_TYPE, "type 0x1e")]
    assert len(gateway.audio(1, 0)) == 2
    assert gateway.end.counters.rejected == 1


def test_a_rejected_frame_without_a_number_takes_none() -> None:
    gateway = Gateway()
    gateway.hears(FrameRejected(FaultCode.MALFORMED, "LOG", gateway.header(0), FrameType.LOG))
    gateway.hears(FrameRejected(FaultCode.UNSUPPORTED_VERSION, "version 2"))
    gateway.hears(FrameRejected(None, "CRC-32"))
    assert [fault.code for fault in gateway.says(Fault)] == [
        FaultCode.MALFORMED,
        FaultCode.UNSUPPORTED_VERSION,
    ]
    assert len(gateway.audio(0, 0)) == 2
    assert gateway.end.counters.rejected == 3


def test_bad_audio_is_answered_counted_and_a_hole() -> None:
    gateway = Gateway()
    gateway.hears(AudioStart(gateway.header(0, stream=1), end_on_silence=True))
    bad = Audio(gateway.header(1, stream=1), Codec.PCM16, b"odd")
    assert gateway.hears(bad) == []
    (fault,) = gateway.says(Fault)
    assert fault.code is FaultCode.BAD_AUDIO
    assert gateway.audio(2, 320) == [AudioReceived("kitchen", 77, 1, 320, PCM, 320)]
    assert gateway.end.counters.bad_audio == 1


@pytest.mark.parametrize(
    "wrong",
    [
        Status(Header(link=LINK), DeviceStatus.IDLE),
        Partial(Header(link=LINK), "text"),
        Welcome(Header(link=LINK), 77, 0, 0),
        Reply(Header(link=LINK), "c", "text"),
    ],
)
def test_frames_that_are_not_a_devices_are_refused(wrong: DeviceFrame) -> None:
    gateway = Gateway()
    assert gateway.hears(wrong) == []
    (fault,) = gateway.says(Fault)
    assert fault.code is FaultCode.UNKNOWN_TYPE


def test_a_ping_is_answered_with_its_time_and_logs_and_notices_are_reported() -> None:
    gateway = Gateway()
    assert gateway.hears(Ping(gateway.header(timestamp=4711))) == []
    (pong,) = gateway.says(Pong)
    assert (pong.header.timestamp, pong.header.link) == (4711, LINK)
    assert gateway.hears(Pong(gateway.header())) == []
    assert gateway.hears(Log(gateway.header(), 4, "hot")) == [DeviceLog("kitchen", "tty", "hot", level=4)]
    assert gateway.hears(Fault(gateway.header(), FaultCode.MALFORMED, "what?")) == [
        DeviceLog("kitchen", "tty", "FAULT MALFORMED: what?", level=4)
    ]
    assert gateway.hears(Notice(gateway.header(0), NoticeKind.BUTTON, 1, "top")) == [
        DeviceNotice("kitchen", 77, NoticeKind.BUTTON, 1, "top")
    ]


def test_replies_are_kept_until_taken_and_then_reported() -> None:
    gateway = Gateway()
    assert gateway.end.send_status(1, DeviceStatus.TRANSCRIBING)
    assert gateway.end.send_transcript(1, "c1", "turn on")
    assert gateway.end.send_reply(1, "c1", "done", fallback=True)
    status, transcript, reply = gateway.end.outgoing()
    assert isinstance(status, Status)
    assert isinstance(transcript, TranscriptText)
    assert isinstance(reply, Reply)
    assert [frame.header.sequence - gateway.down for frame in (status, transcript, reply)] == [0, 1, 2]
    assert reply.header.stream == 1
    gateway.after(RESEND)
    (again,) = gateway.says(Status)
    assert again.header.resent
    gateway.hears(
        Ack(gateway.header(acknowledge=gateway.down + 2), 0, ((gateway.down + 2, gateway.down + 2),))
    )
    assert len(gateway.says(Reply)) == 1
    assert gateway.end.delivered() == []
    gateway.hears(Ping(gateway.header(acknowledge=gateway.down + 3)))
    assert gateway.end.delivered() == ["c1"]
    gateway.after(10)
    assert gateway.says(Reply) == []
    assert (gateway.end.counters.sent_down, gateway.end.counters.resent_down) == (5, 2)


def test_the_outbox_is_bounded_and_counts_what_it_refuses() -> None:
    gateway = Gateway()
    assert [gateway.end.send_status(1, DeviceStatus.IDLE) for _ in range(9)] == [True] * 8 + [False]
    assert gateway.end.counters.outbox_full == 1


def test_nothing_goes_down_beyond_the_devices_credit() -> None:
    gateway = Gateway(hello(header=Header(credit=2)))
    for _ in range(4):
        gateway.end.send_status(1, DeviceStatus.IDLE)
    assert len(gateway.says(Status)) == 2
    gateway.hears(Ping(gateway.header(credit=1, acknowledge=gateway.down + 2)))
    assert len(gateway.says(Status)) == 1


def test_partials_go_only_to_a_connected_device_that_wants_them() -> None:
    assert not Gateway().end.send_partial(1, "text")
    assert not Gateway().end.wants_partials
    gateway = Gateway(hello(wants_partials=True))
    assert gateway.end.wants_partials
    assert gateway.end.send_partial(1, "text", "te")
    (partial,) = gateway.says(Partial)
    assert (partial.text, partial.header.stream, partial.header.link) == ("text", 1, LINK)
    assert partial.stable_text == "te"
    gateway.end.carrier_lost(gateway.now)
    assert not gateway.end.wants_partials
    assert not gateway.end.send_partial(1, "text")


def test_only_who_wants_pieces_hears_of_them() -> None:
    """To others, replies are what they were: no bit of them has changed."""
    gateway = Gateway()
    assert not gateway.end.wants_pieces
    assert not gateway.end.send_piece(1, "c1", "It is ", anew=True)
    assert not gateway.end.send_reply(1, "c1", " noon.", whole=False)
    assert gateway.end.send_reply(1, "c1", "One moment.", final=False)
    assert gateway.end.send_reply(1, "c1", "It is noon.")
    assert [frame.to_bytes()[2] for frame in gateway.says(Reply)] == [0, 2]


def test_a_reply_grows_for_who_wants_it_and_its_first_frame_is_whole() -> None:
    gateway = Gateway(hello(wants_pieces=True, header=Header(credit=1)))
    assert gateway.end.wants_pieces
    assert gateway.end.send_piece(1, "c1", "It ", anew=True)
    assert [(frame.text, frame.whole, frame.final) for frame in gateway.says(Reply)] == [("It ", True, False)]
    assert gateway.end.send_piece(1, "c1", "is ", anew=False)
    assert gateway.end.send_piece(1, "c1", "noo", anew=False)
    assert gateway.says(Reply) == []
    gateway.hears(Ping(gateway.header(credit=1, acknowledge=gateway.down + 1)))
    (reply,) = gateway.says(Reply)
    assert (reply.text, reply.whole, reply.header.sequence) == (
        "is noo",
        False,
        gateway.down + 1 & 0xFFFFFFFF,
    )
    assert gateway.end.send_reply(1, "c1", "n.", whole=False)
    assert gateway.end.send_reply(1, "c2", "Good night.")
    gateway.hears(Ping(gateway.header(credit=9, acknowledge=gateway.down + 2)))
    assert [frame.to_bytes()[2] for frame in gateway.says(Reply)] == [2, 2 + 32]


def test_pieces_go_on_on_a_link_that_is_resumed() -> None:
    """What was not acknowledged goes again as it was; what came while the device was away waits for it, in one."""
    gateway = Gateway(hello(wants_pieces=True))
    gateway.end.send_piece(1, "c1", "It ", anew=True)
    (first,) = gateway.says(Reply)
    gateway.end.carrier_lost(gateway.now)
    assert gateway.end.wants_pieces, "it may come back"
    assert gateway.end.send_piece(1, "c1", "is ", anew=False)
    assert gateway.end.send_piece(1, "c1", "noo", anew=False)
    gateway.end.resumed(hello(wants_pieces=True, header=Header(credit=2)), "tty", gateway.now)
    again, rest = gateway.says(Reply)
    assert again == replace(first, header=first.header._replace(resent=True))
    assert (rest.text, rest.whole, rest.header.sequence) == ("is noo", False, first.header.sequence + 1)
    gateway.end.close(gateway.now, "rebooted")
    assert not gateway.end.wants_pieces
    assert not gateway.end.send_piece(1, "c1", "n", anew=False)


def test_a_silent_device_is_held() -> None:
    gateway = Gateway()
    gateway.after(14.9)
    gateway.hears(Ping(gateway.header()))
    assert gateway.after(14.9) == []
    assert gateway.end.next_deadline(gateway.now) == gateway.end.heard_at + 15
    assert gateway.after(0.1) == [DeviceDisconnected("kitchen", 77, "silent for 15 s")]
    assert gateway.end.held_since == gateway.now
    assert gateway.end.next_deadline(gateway.now) is None
    assert gateway.after(100) == []
    gateway.hears(Ping(gateway.header()))
    (fault,) = gateway.says(Fault)
    assert fault.code is FaultCode.SAY_HELLO


def test_a_lost_carrier_holds_everything_and_a_hello_goes_on() -> None:
    gateway = Gateway()
    gateway.audio(0, 0)
    gateway.end.send_reply(1, "c1", "done")
    gateway.end.outgoing()
    assert gateway.end.carrier_lost(gateway.now) == [DeviceDisconnected("kitchen", 77, "carrier lost")]
    assert gateway.end.carrier_lost(gateway.now) == []
    assert gateway.end.send_status(1, DeviceStatus.IDLE)
    assert gateway.end.outgoing() == []
    events = gateway.end.resumed(hello(next_sequence=9, oldest=0), "mqtt", gateway.now + 5)
    assert events == [
        DeviceConnected("kitchen", 77, "mqtt", "test", 100, wants_partials=False, resumed=True, lost_frames=0)
    ]
    welcome, reply, status, _ack = gateway.end.outgoing()
    assert isinstance(welcome, Welcome)
    assert (welcome.header.link, welcome.resume_from, welcome.down_next) == (LINK, 1, gateway.down)
    assert isinstance(reply, Reply)
    assert reply.header.resent
    assert isinstance(status, Status)
    assert gateway.end.held_since is None
    assert gateway.audio(1, 320) == [AudioReceived("kitchen", 77, 1, 320, PCM)]


def test_a_second_hello_is_welcomed_again_and_changes_nothing() -> None:
    gateway = Gateway()
    gateway.audio(0, 0)
    gateway.end.outgoing()
    assert gateway.end.resumed(hello(next_sequence=1), "tty", gateway.now) == []
    (welcome,) = gateway.says(Welcome)
    assert welcome.resume_from == 1


def test_a_hello_overtaken_by_frames_only_gets_its_welcome() -> None:
    gateway = Gateway()
    gateway.audio(0, 0)
    gateway.end.outgoing()
    assert gateway.end.resumed(hello(), "mqtt", gateway.now) == []
    assert gateway.end.carrier == "tty"
    (welcome,) = gateway.says(Welcome)
    assert welcome.resume_from == 1


def test_what_was_overwritten_meanwhile_is_lost_and_counted() -> None:
    gateway = Gateway()
    gateway.audio(0, 0)
    gateway.audio(6, 1920)
    (connected, audio) = gateway.end.resumed(hello(next_sequence=9, oldest=6), "tty", gateway.now)
    assert isinstance(connected, DeviceConnected)
    assert (connected.resumed, connected.lost_frames) == (True, 5)
    assert audio == AudioReceived("kitchen", 77, 1, 1920, PCM, 1600)
    assert gateway.end.counters.lost_frames == 5


def test_another_boots_hello_does_not_resume() -> None:
    gateway = Gateway()
    for stranger in (hello(boot=78), hello(device_id="attic")):
        with pytest.raises(LinkStateError):
            gateway.end.resumed(stranger, "tty", gateway.now)
    assert gateway.end.state is GatewayState.WELCOMED


def test_closing_says_why_to_the_device_and_to_the_owner() -> None:
    gateway = Gateway()
    assert gateway.end.close(gateway.now, "the gateway stops", FaultCode.SHUTTING_DOWN) == [
        DeviceDisconnected("kitchen", 77, "the gateway stops")
    ]
    assert gateway.end.outgoing() == [Fault(Header(link=LINK), FaultCode.SHUTTING_DOWN, "the gateway stops")]
    assert gateway.after(100) == []
    assert not gateway.end.send_status(1, DeviceStatus.IDLE)
    with pytest.raises(LinkStateError):
        gateway.hears(Ping(gateway.header()))


def test_closing_what_is_held_is_quiet() -> None:
    gateway = Gateway()
    gateway.end.carrier_lost(gateway.now)
    assert gateway.end.close(gateway.now, "gone too long") == []


def test_a_flood_of_pings_is_bounded() -> None:
    gateway = Gateway()
    for _ in range(1000):
        gateway.hears(Ping(gateway.header()))
    assert len(gateway.end.outgoing()) == MAX_URGENT


def test_refusals_name_the_boot_they_are_meant_for() -> None:
    assert refuse(hello(), FaultCode.REFUSED, "full") == Fault(
        Header(timestamp=77), FaultCode.REFUSED, "full"
    )
    assert answer(FrameRejected(None, "noise")) is None
    assert answer(FrameRejected(FaultCode.BAD_ID, "id")) == Fault(Header(), FaultCode.BAD_ID, "id")
    assert say_hello(FrameRejected(FaultCode.MALFORMED, "")) is None


TAKEN = {
    GatewayEndEvent.HELLO: lambda end: end.resumed(hello(), "tty", 100.0),
    GatewayEndEvent.FRAME: lambda end: end.receive(Ping(Header(link=LINK)), 100.0),
    GatewayEndEvent.CARRIER_LOST: lambda end: end.carrier_lost(100.0),
    GatewayEndEvent.SILENCE: lambda end: end.tick(200.0),
    GatewayEndEvent.CLOSE: lambda end: end.close(100.0, "test"),
}
# What a peer or a clock can cause at any time does not raise; it is answered or ignored.
HARMLESS = {(GatewayState.HELD, GatewayEndEvent.FRAME), (GatewayState.HELD, GatewayEndEvent.SILENCE)} | {
    (GatewayState.CLOSED, GatewayEndEvent.SILENCE)
}


def in_state(state: GatewayState) -> GatewayEnd:
    end = Gateway().end
    if state is GatewayState.OPEN:
        TAKEN[GatewayEndEvent.FRAME](end)
    elif state is GatewayState.HELD:
        TAKEN[GatewayEndEvent.CARRIER_LOST](end)
    elif state is GatewayState.CLOSED:
        TAKEN[GatewayEndEvent.CLOSE](end)
    assert end.state is state
    return end


@pytest.mark.parametrize("state", GatewayState)
@pytest.mark.parametrize("event", GatewayEndEvent)
def test_every_event_in_every_state_moves_as_the_table_says(
    state: GatewayState, event: GatewayEndEvent
) -> None:
    end = in_state(state)
    after = GATEWAY_TABLE.get((state, event))
    if after is None and (state, event) not in HARMLESS:
        with pytest.raises(LinkStateError):
            TAKEN[event](end)
    else:
        TAKEN[event](end)
    assert end.state is (after or state)


def test_every_state_is_reached_and_left_but_the_last() -> None:
    assert set(GATEWAY_TABLE.values()) == set(GatewayState)
    assert {state for state, _ in GATEWAY_TABLE} == set(GatewayState) - {GatewayState.CLOSED}


FRAMES = st.one_of(
    st.builds(Audio, st.none(), st.just(Codec.PCM16), st.binary(max_size=8)),
    st.builds(
        Ack,
        st.none(),
        st.integers(0, 40),
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9))).map(tuple),
    ),
    st.builds(AudioStart, st.none()),
    st.builds(Ping, st.none()),
)


@given(
    st.lists(st.tuples(FRAMES, st.integers(0, 200), st.integers(0, 0xFFFFFFFF), st.floats(0, 3)), max_size=60)
)
def test_no_device_however_hostile_makes_it_raise_or_grow(steps: list[tuple[Any, int, int, float]]) -> None:
    gateway = Gateway()
    for frame, sequence, number, wait in steps:
        header = gateway.header(sequence, stream=number & 0xF, timestamp=number, acknowledge=number)
        gateway.hears(type(frame)(header, *[getattr(frame, name) for name in frame.__slots__]))
        gateway.after(wait)
        gateway.end.outgoing()
        assert len(gateway.end._inbox._early) < 64
        assert len(gateway.end._streams._streams) <= 64
        assert len(gateway.end._outbox.window._frames) <= 8
