"""Who is on which line: the fleet on its own, with a clock of numbers."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.link.events import (
    DeviceConnected,
    DeviceDisconnected,
    DeviceLog,
    DeviceStatus,
    HelloRefused,
    LinkChanged,
    LinkEvent,
    NoticeKind,
    StreamStarted,
)
from firmware_bridge.link.fleet import (
    NOISE_BURST,
    REBOOT_SECONDS,
    REFUSAL_SECONDS,
    RESUME_SECONDS,
    Fleet,
    FleetCounters,
)
from firmware_bridge.link.frames import (
    Ack,
    AudioStart,
    DeviceFrame,
    Fault,
    FaultCode,
    FrameType,
    Header,
    Hello,
    Notice,
    Ping,
    Reply,
    Welcome,
)
from firmware_bridge.link.framing import Decoded, FrameRejected, Noise
from firmware_bridge.link.link import LinkCounters
from firmware_bridge.link.wires import WEB, Line
from firmware_bridge.settings import DeviceSettings, MicrophoneSettings

PORT_A, PORT_B = Line("/dev/a"), Line("/dev/b")
SETTINGS = DeviceSettings()


def topic(device_id: str) -> Line:
    return Line("mqtt", device_id)


def hello(device_id: str = "kitchen", boot: int = 1, sequence: int = 0) -> Hello:
    return Hello(Header(credit=16), device_id, boot, "1.0", 100, sequence, sequence, sequence)


class House:
    """A fleet with its events and a clock that the test moves."""

    def __init__(self, settings: DeviceSettings = SETTINGS) -> None:
        self.events: list[LinkEvent] = []
        self.delivered: list[tuple[str, int, str]] = []
        self.fleet = Fleet(settings, self.events.append, lambda *reply: self.delivered.append(reply))
        self.now = 1000.0

    def arrive(self, line: Line, *arrivals: Decoded) -> list[tuple[Line, DeviceFrame]]:
        """What goes out after these arrived."""
        self.fleet.receive(line, arrivals, self.now)
        return self.fleet.outgoing(self.now)

    def pass_time(self, seconds: float) -> list[tuple[Line, DeviceFrame]]:
        """Let time pass, doing all that is due; what went out."""
        end, out = self.now + seconds, []
        while self.fleet.next_deadline <= end:
            self.now = max(self.now + 0.001, self.fleet.next_deadline)
            self.fleet.tick(self.now)
            out += self.fleet.outgoing(self.now)
        self.now = end
        return out

    def take_events(self) -> list[LinkEvent]:
        events = self.events.copy()
        self.events.clear()
        return events

    def linked(self, line: Line, *, device_id: str = "kitchen", boot: int = 1) -> Welcome:
        """A device that said HELLO; its WELCOME."""
        (_, welcome), *_ = self.arrive(line, hello(device_id, boot))
        assert isinstance(welcome, Welcome)
        self.take_events()
        return welcome


@pytest.fixture
def house() -> House:
    return House()


def faults(frames: list[tuple[Line, DeviceFrame]]) -> list[tuple[Line, FaultCode]]:
    return [(line, frame.code) for line, frame in frames if isinstance(frame, Fault)]


def names(events: list[LinkEvent]) -> list[tuple[str, str, int]]:
    return [
        (type(event).__name__, event.device_id, event.boot)
        for event in events
        if isinstance(event, DeviceConnected | DeviceDisconnected)
    ]


def test_a_hello_is_welcomed_on_its_line_and_reported(house: House) -> None:
    ((line, welcome), *_) = house.arrive(PORT_A, hello())
    assert line == PORT_A
    assert isinstance(welcome, Welcome)
    assert welcome.boot == 1
    assert welcome.header.credit == SETTINGS.credit_frames
    (connected,) = house.events
    assert isinstance(connected, DeviceConnected)
    assert (connected.device_id, connected.boot, connected.link, connected.resumed) == (
        "kitchen",
        1,
        "/dev/a",
        False,
    )
    (info,) = house.fleet.devices()
    assert (info.id, info.boot, info.link, info.connected, info.firmware) == (
        "kitchen",
        1,
        "/dev/a",
        True,
        "1.0",
    )


def test_a_hello_said_twice_is_welcomed_twice_and_reported_once(house: House) -> None:
    first = house.linked(PORT_A)
    ((_, second), *_) = house.arrive(PORT_A, hello())
    assert isinstance(second, Welcome)
    assert second.resume_from == first.resume_from
    assert house.take_events() == []


def test_a_stranger_is_asked_to_say_hello_but_not_for_every_frame(house: House) -> None:
    ping = Ping(Header(link=9))
    assert faults(house.arrive(PORT_A, ping, ping, ping)) == [(PORT_A, FaultCode.SAY_HELLO)]
    assert faults(house.arrive(PORT_B, ping)) == [(PORT_B, FaultCode.SAY_HELLO)]
    house.now += 0.1
    assert faults(house.arrive(PORT_A, ping)) == []
    house.now += 0.2
    assert faults(house.arrive(PORT_A, ping)) == [(PORT_A, FaultCode.SAY_HELLO)]
    assert house.events == []
    assert house.fleet.counters.strangers == 6


def test_bytes_that_are_no_frame_are_answered_where_somebody_listens(house: House) -> None:
    rejected = FrameRejected(FaultCode.UNSUPPORTED_VERSION, "version 9")
    assert faults(house.arrive(topic("kitchen"), rejected)) == [
        (topic("kitchen"), FaultCode.UNSUPPORTED_VERSION)
    ]
    assert faults(house.arrive(PORT_A, FrameRejected(None, "CRC-32 does not match"))) == []


def test_a_topic_takes_only_the_device_it_is_named_after(house: House) -> None:
    assert faults(house.arrive(topic("kitchen"), hello("cellar"))) == [(topic("kitchen"), FaultCode.BAD_ID)]
    assert [type(event) for event in house.events] == [HelloRefused]
    assert house.fleet.counters.bad_ids == 1


@pytest.mark.parametrize("line", [PORT_A, topic("web-ann-7")])
def test_a_pages_name_is_for_no_board(house: House, line: Line) -> None:
    page = Line(WEB, "web-ann-7", 1)
    house.linked(page, device_id="web-ann-7")
    house.now += SETTINGS.silence_seconds - 1
    for boot in (1, 2):  # its own, had it been overheard, and another
        assert not house.fleet.admits(line, hello("web-ann-7", boot), house.now)
        house.arrive(line, hello("web-ann-7", boot))
    assert house.fleet.counters.refused == 2
    assert house.fleet.devices()[0].link == WEB
    assert not faults(house.arrive(page, Ping(Header(link=house.fleet.end("web-ann-7", 1).link))))  # type: ignore[union-attr]


@pytest.mark.parametrize("line", [PORT_A, topic("desk"), Line(WEB, "desk", 1)])
def test_a_microphones_name_is_for_no_board_whether_it_is_there_or_not(line: Line) -> None:
    house = House(DeviceSettings(microphones={"desk": MicrophoneSettings()}))
    assert faults(house.arrive(line, hello("desk"))) == [(line, FaultCode.REFUSED)]
    microphone = Line("microphone desk", "desk")
    house.linked(microphone, device_id="desk", boot=2)
    assert faults(house.arrive(line, hello("desk", boot=2))) == [(line, FaultCode.REFUSED)]
    assert house.fleet.devices()[0].link == "microphone desk"


def test_asking_whether_somebody_would_be_welcome_changes_nothing(house: House) -> None:
    house = House(DeviceSettings(max_devices=1))
    house.linked(PORT_A)
    assert not house.fleet.admits(PORT_B, hello("hall"), house.now)
    assert not house.fleet.admits(PORT_B, hello(boot=2), house.now)
    house.fleet.line_lost(PORT_A, "unplugged", house.now)
    house.take_events()
    assert house.fleet.admits(PORT_B, hello("hall"), house.now)
    assert house.fleet.admits(PORT_B, hello(boot=2), house.now)
    assert not house.take_events()
    assert [device.id for device in house.fleet.devices()] == ["kitchen"]
    assert house.fleet.counters == FleetCounters()


def test_a_reboot_ends_the_old_boot_before_the_new_one_begins(house: House) -> None:
    old = house.linked(PORT_A)
    ((_, new), *_) = house.arrive(PORT_A, hello(boot=2))
    assert isinstance(new, Welcome)
    assert new.header.link != old.header.link
    assert names(house.take_events()) == [
        ("DeviceDisconnected", "kitchen", 1),
        ("DeviceConnected", "kitchen", 2),
    ]
    assert house.fleet.end("kitchen", 1) is None
    assert house.fleet.end("kitchen", 2) is not None


def test_another_boot_on_another_line_at_the_same_time_is_a_second_device(house: House) -> None:
    house.linked(PORT_A)
    house.now += REBOOT_SECONDS - 0.1
    (line, fault), *_ = house.arrive(PORT_B, hello(boot=2))
    assert line == PORT_B
    assert isinstance(fault, Fault)
    assert fault.code is FaultCode.DUPLICATE_ID
    (refused,) = house.take_events()
    assert isinstance(refused, HelloRefused)
    assert refused.reason == "kitchen is connected already over /dev/a (boot 1)"
    assert house.fleet.counters.duplicate_ids == 1
    assert house.fleet.devices()[0].link == "/dev/a"


def test_another_boot_on_another_line_later_is_the_device_moved_and_rebooted(house: House) -> None:
    house.linked(PORT_A)
    house.now += REBOOT_SECONDS
    house.arrive(PORT_B, hello(boot=2))
    assert names(house.take_events()) == [
        ("DeviceDisconnected", "kitchen", 1),
        ("DeviceConnected", "kitchen", 2),
    ]
    assert faults(house.arrive(PORT_A, Ping(Header(link=9)))) == [(PORT_A, FaultCode.SAY_HELLO)]


def test_a_boot_that_was_superseded_and_comes_back_is_a_second_device(house: House) -> None:
    house.linked(topic("kitchen"), boot=1)
    house.linked(topic("kitchen"), boot=2)
    house.now += SETTINGS.silence_seconds - 1
    assert faults(house.arrive(topic("kitchen"), hello(boot=1))) == [
        (topic("kitchen"), FaultCode.DUPLICATE_ID)
    ]
    assert house.fleet.devices()[0].boot == 2


def test_a_superseded_boot_takes_over_when_the_other_has_fallen_silent(house: House) -> None:
    house.linked(topic("kitchen"), boot=1)
    house.linked(topic("kitchen"), boot=2)
    house.pass_time(SETTINGS.silence_seconds + 1)
    assert faults(house.arrive(topic("kitchen"), hello(boot=1))) == []
    assert house.fleet.devices()[0].boot == 1


def test_the_same_boot_on_another_carrier_has_moved(house: House) -> None:
    house.linked(PORT_A)
    (line, welcome), *_ = house.arrive(topic("kitchen"), hello())
    assert line == topic("kitchen")
    assert isinstance(welcome, Welcome)
    connected = house.take_events()[-1]
    assert isinstance(connected, DeviceConnected)
    assert (connected.link, connected.resumed) == ("mqtt", True)
    assert faults(house.arrive(PORT_A, Ping(Header(link=9)))) == [(PORT_A, FaultCode.SAY_HELLO)]
    house.fleet.carrier_down("/dev/a", "unplugged", "", house.now)
    assert house.fleet.devices()[0].connected


def test_another_device_on_a_line_takes_it(house: House) -> None:
    house.linked(PORT_A)
    house.arrive(PORT_A, hello("cellar", boot=5))
    assert names(house.take_events()) == [
        ("DeviceDisconnected", "kitchen", 1),
        ("DeviceConnected", "cellar", 5),
    ]
    assert [(info.id, info.connected) for info in house.fleet.devices()] == [
        ("kitchen", False),
        ("cellar", True),
    ]


def test_a_carrier_that_goes_takes_its_devices_along_and_is_reported_once(house: House) -> None:
    house.fleet.carrier_up("mqtt")
    house.fleet.carrier_up("mqtt")
    house.linked(topic("kitchen"))
    house.linked(topic("cellar"), device_id="cellar")
    house.linked(PORT_A, device_id="attic")
    for _ in range(2):
        house.fleet.carrier_down("mqtt", "connection lost", "wait", house.now)
    events = house.take_events()
    assert sorted(names(events)) == [
        ("DeviceDisconnected", "cellar", 1),
        ("DeviceDisconnected", "kitchen", 1),
    ]
    assert [event for event in events if isinstance(event, LinkChanged)] == [
        LinkChanged("mqtt", up=False, reason="connection lost", remedy="wait")
    ]
    house.fleet.carrier_up("mqtt")
    assert house.take_events() == [LinkChanged("mqtt", up=True)]
    ((_, welcome), *_) = house.arrive(topic("kitchen"), hello())
    assert isinstance(welcome, Welcome)
    (back,) = house.take_events()
    assert isinstance(back, DeviceConnected)
    assert back.resumed


def test_another_reason_for_being_down_is_a_change(house: House) -> None:
    for reason in ("no such port", "permission denied", "permission denied"):
        house.fleet.carrier_down("/dev/a", reason, "", house.now)
    assert [event.reason for event in house.events if isinstance(event, LinkChanged)] == [
        "no such port",
        "permission denied",
    ]


def test_a_last_will_takes_one_device_only_and_only_from_that_line(house: House) -> None:
    house.linked(topic("kitchen"))
    house.linked(topic("cellar"), device_id="cellar")
    house.linked(PORT_A, device_id="attic")
    for device_id in ("kitchen", "attic", "nobody"):
        house.fleet.line_lost(topic(device_id), "offline", house.now)
    assert names(house.take_events()) == [("DeviceDisconnected", "kitchen", 1)]


def test_a_silent_device_is_disconnected_and_asked_to_say_hello_when_it_is_heard_again(house: House) -> None:
    welcome = house.linked(PORT_A)
    house.pass_time(SETTINGS.silence_seconds + 1)
    assert names(house.take_events()) == [("DeviceDisconnected", "kitchen", 1)]
    assert faults(house.arrive(PORT_A, Ping(Header(link=welcome.header.link)))) == [
        (PORT_A, FaultCode.SAY_HELLO)
    ]


def test_a_device_that_does_not_come_back_is_forgotten(house: House) -> None:
    house.linked(PORT_A)
    house.fleet.carrier_down("/dev/a", "unplugged", "", house.now)
    house.fleet.outgoing(house.now)
    house.pass_time(RESUME_SECONDS - 1)
    assert len(house.fleet.devices()) == 1
    house.pass_time(2)
    assert house.fleet.devices() == ()
    assert house.fleet.end("kitchen", 1) is None


def test_a_full_fleet_refuses_until_somebody_is_gone() -> None:
    house = House(DeviceSettings(max_devices=2))
    house.linked(topic("a"), device_id="a")
    house.linked(topic("b"), device_id="b")
    assert faults(house.arrive(topic("c"), hello("c"))) == [(topic("c"), FaultCode.REFUSED)]
    assert house.fleet.counters.refused == 1
    house.fleet.line_lost(topic("b"), "offline", house.now)
    house.now += 1
    house.fleet.line_lost(topic("a"), "offline", house.now)
    house.linked(topic("c"), device_id="c")
    assert [info.id for info in house.fleet.devices()] == ["a", "c"], "b was gone longer"


def test_each_refused_hello_is_reported_though_not_as_often_as_it_is_said(house: House) -> None:
    bad = FrameRejected(FaultCode.MALFORMED, "HELLO: boot is missing", Header(), FrameType.HELLO)
    old = FrameRejected(FaultCode.UNSUPPORTED_VERSION, "version 9; this end speaks 1")
    for _ in range(3):
        house.arrive(topic("cellar"), hello("kitchen"))
        house.arrive(PORT_A, bad)
        house.arrive(PORT_B, old)
        house.arrive(PORT_B, FrameRejected(None, "CRC-32 does not match"))
    told = [(e.device_id, e.link, e.code) for e in house.take_events() if isinstance(e, HelloRefused)]
    assert told == [
        ("kitchen", "mqtt", FaultCode.BAD_ID),
        ("", "/dev/a", FaultCode.MALFORMED),
        ("", "/dev/b", FaultCode.UNSUPPORTED_VERSION),
    ]
    house.pass_time(REFUSAL_SECONDS)
    house.arrive(PORT_A, bad)
    assert house.take_events() == [HelloRefused("", "/dev/a", FaultCode.MALFORMED, "HELLO: boot is missing")]


def test_only_a_device_that_is_away_is_forgotten(house: House) -> None:
    house.linked(PORT_A)
    assert not house.fleet.forget("kitchen", house.now)
    house.fleet.line_lost(PORT_A, "gone", house.now)
    assert house.fleet.forget("kitchen", house.now)
    assert house.fleet.forget("kitchen", house.now), "as it was before"
    assert house.fleet.devices() == ()
    (_, welcome), *_ = house.arrive(PORT_A, hello())
    assert isinstance(welcome, Welcome), "it may come again"


def test_a_carrier_may_be_up_and_weak_and_one_that_passes_is_not_kept(house: House) -> None:
    house.fleet.carrier_up("/dev/a")
    for _ in range(2):
        house.fleet.carrier_weak("/dev/a", "noise", "a shorter cable")
    house.fleet.carrier_weak("/dev/a", "", "")
    house.fleet.carrier_up("/dev/b")
    house.fleet.carrier_down("/dev/b", "unplugged", "plug it in", house.now, passing=True)
    weak = LinkChanged("/dev/a", up=True, reason="noise", remedy="a shorter cable")
    up = LinkChanged("/dev/a", up=True)
    gone = LinkChanged("/dev/b", up=False, reason="unplugged", remedy="plug it in", passing=True)
    assert house.take_events() == [up, weak, up, LinkChanged("/dev/b", up=True), gone]
    assert house.fleet.carriers() == (up,)


def test_a_busy_gateway_gives_nobody_credit(house: House) -> None:
    house.linked(topic("kitchen"))
    house.fleet.set_busy(lambda _device_id: True)
    assert {frame.header.credit for _, frame in house.fleet.outgoing(house.now)} == {0}
    (_, last) = house.arrive(topic("cellar"), hello("cellar"))[-1]
    assert last.header.credit == 0
    assert with_credit(house, lambda device_id: device_id == "cellar") == {"kitchen"}
    assert with_credit(house, lambda _device_id: False) == {"cellar"}


def with_credit(house: House, is_busy: Callable[[str], bool]) -> set[str]:
    """Who is given credit anew, when for these there is no time."""
    house.fleet.set_busy(is_busy)
    frames = house.fleet.outgoing(house.now) + house.pass_time(0.1)
    return {line.device_id for line, frame in frames if frame.header.credit == SETTINGS.credit_frames}


def test_a_reply_goes_down_and_its_delivery_is_reported(house: House) -> None:
    welcome = house.linked(PORT_A)
    end = house.fleet.end("kitchen", 1)
    assert end
    assert end.send_reply(3, "c_1", "done", final=True)
    ((line, reply),) = [sent for sent in house.fleet.outgoing(house.now) if isinstance(sent[1], Reply)]
    assert (line, reply.header.stream, reply.header.link) == (PORT_A, 3, welcome.header.link)
    received = (reply.header.sequence + 1) & 0xFFFFFFFF
    house.arrive(PORT_A, Ack(Header(link=welcome.header.link, acknowledge=received, credit=99), durable=0))
    assert house.delivered == [("kitchen", 1, "c_1")]


def test_only_the_device_that_has_something_due_is_looked_at(house: House) -> None:
    """Of hundreds, one speaks: each of its acknowledgements would cost a look at all of them."""
    for number in range(200):
        house.linked(topic(f"d{number}"), device_id=f"d{number}")
    house.pass_time(1.0)
    looked_at: list[str] = []
    for device_id, device in house.fleet._devices.items():

        def look(now: float, who: str = device_id, tick: Any = device.end.tick) -> Any:
            looked_at.append(who)
            return tick(now)

        device.end.tick = look  # type: ignore[method-assign]
    link = house.fleet._devices["d7"].end.link
    for sequence in range(20):
        frame = Notice(Header(link=link, sequence=sequence, credit=16), NoticeKind.BUTTON, 1, "")
        house.arrive(topic("d7"), frame)
        house.pass_time(0.5)
    assert looked_at
    assert set(looked_at) == {"d7"}


def test_what_goes_to_a_device_after_a_long_silence_is_not_sent_twice_at_once(house: House) -> None:
    house.linked(PORT_A)
    house.pass_time(10.0)
    end = house.fleet.end("kitchen", 1)
    assert end
    assert end.send_reply(3, "c_1", "done", final=True)
    first = [frame for _, frame in house.fleet.outgoing(house.now) if isinstance(frame, Reply)]
    again = [frame for _, frame in house.pass_time(0.05) if isinstance(frame, Reply)]
    assert (len(first), len(again)) == (1, 0)
    assert [frame for _, frame in house.pass_time(3.0) if isinstance(frame, Reply)], (
        "it is sent again when it is due"
    )


def test_each_device_that_stays_away_is_forgotten_at_its_own_time(house: House) -> None:
    for number in range(3):
        house.linked(topic(f"d{number}"), device_id=f"d{number}")
        house.now += 10.0
    house.pass_time(20.0)
    house.take_events()
    began = house.now
    house.pass_time(280.0)
    assert len(house.fleet.devices()) == 3
    for left in (2, 1, 0):
        while len(house.fleet.devices()) > left:
            assert house.fleet.next_deadline < began + 400
            house.pass_time(1.0)
    assert house.fleet.next_deadline == float("inf")


def test_a_fault_is_sent_to_a_device_that_is_there(house: House) -> None:
    house.linked(PORT_A)
    house.fleet.send_fault("kitchen", FaultCode.BAD_AUDIO, "too loud")
    house.fleet.send_fault("nobody", FaultCode.BAD_AUDIO, "too loud")
    assert faults(house.fleet.outgoing(house.now)) == [(PORT_A, FaultCode.BAD_AUDIO)]


def test_text_outside_frames_is_reported_under_the_device_and_bounded(house: House) -> None:
    house.arrive(PORT_A, Noise(b"rst:0x1\r\n"))
    house.linked(PORT_A)
    house.arrive(PORT_A, Noise(b"caf\xff "), Noise(b" \n"))
    assert house.take_events() == [DeviceLog("kitchen", "/dev/a", "caf\ufffd")]
    house.arrive(PORT_A, *[Noise(b"again")] * 1000)
    assert len(house.take_events()) == NOISE_BURST - 3
    assert house.fleet.counters.noise_dropped == 1000 - NOISE_BURST + 3


def test_the_line_before_hello_has_no_name_in_the_log(house: House) -> None:
    house.arrive(PORT_A, Noise(b"rst:0x1\r\n"))
    assert house.events == [DeviceLog(None, "/dev/a", "rst:0x1")]


def test_a_consumer_that_fails_does_not_stop_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[Any] = []

    def consume(event: LinkEvent) -> None:
        seen.append(event)
        raise RuntimeError("the pipeline has a bug")

    fleet = Fleet(SETTINGS, consume)
    fleet.receive(topic("a"), (hello("a"),), 0.0)
    fleet.receive(topic("b"), (hello("b"),), 0.0)
    assert names(seen) == [("DeviceConnected", "a", 1), ("DeviceConnected", "b", 1)]
    assert "a link event (DeviceConnected)" in capfd.readouterr().out
    assert fleet.counters.failures == 2


@pytest.mark.parametrize("step", ["receive", "tick", "outgoing"])
def test_a_link_that_fails_is_over_and_begins_anew_beside_the_others(step: str) -> None:
    house, failed = House(), []
    house.fleet._on_failure = lambda work, error: failed.append((work, type(error)))
    house.linked(PORT_A)
    house.now += 1.0
    house.linked(topic("hall"), device_id="hall")

    def stumble(*_arguments: object) -> None:
        raise ZeroDivisionError

    setattr(house.fleet._devices["kitchen"].end, step, stumble)
    house.arrive(PORT_A, Ping(Header()))
    house.fleet.tick(house.fleet.next_deadline)
    house.fleet.outgoing(house.now)
    assert failed == [("the link of a device", ZeroDivisionError)]
    assert names(house.take_events()) == [("DeviceDisconnected", "kitchen", 1)]
    assert [info.id for info in house.fleet.devices()] == ["hall"]
    house.linked(PORT_A)
    assert [info.id for info in house.fleet.devices() if info.connected] == ["hall", "kitchen"]


def test_a_delivery_that_fails_holds_up_no_frame(house: House) -> None:
    def stumble(*_arguments: object) -> None:
        raise ZeroDivisionError

    house.fleet._on_delivered = stumble
    house.linked(PORT_A)
    end = house.fleet.end("kitchen", 1)
    assert end is not None
    end.delivered = lambda: ["c_1"]  # type: ignore[method-assign]
    end.send_status(1, DeviceStatus.LISTENING)
    assert house.fleet.outgoing(house.now)
    assert house.fleet.counters.failures == 1


def test_at_the_end_everybody_is_told_and_nothing_is_heard_any_more(house: House) -> None:
    house.linked(PORT_A)
    house.fleet.shut_down(house.now)
    assert faults(house.fleet.outgoing(house.now)) == [(PORT_A, FaultCode.SHUTTING_DOWN)]
    assert names(house.take_events()) == [("DeviceDisconnected", "kitchen", 1)]
    assert house.arrive(PORT_A, hello()) == []
    assert house.take_events() == []


def test_a_line_that_is_lost_after_the_end_is_no_news(house: House) -> None:
    house.linked(PORT_A)
    house.fleet.shut_down(house.now)
    house.take_events()
    house.fleet.line_lost(PORT_A, "the broker says it is offline", house.now)
    house.fleet.carrier_down(PORT_A.carrier, "unplugged", "", house.now)
    assert names(house.take_events()) == []


def test_streams_of_many_devices_do_not_mix(house: House) -> None:
    links = {name: house.linked(topic(name), device_id=name).header.link for name in "abcdefgh"}
    for name, link in links.items():
        house.arrive(topic(name), AudioStart(Header(link=link, stream=ord(name), sequence=0)))
    assert [(e.device_id, e.stream) for e in house.events if isinstance(e, StreamStarted)] == [
        (name, ord(name)) for name in links
    ]


IDS = st.sampled_from(["a", "b", "c"])
LINES = st.sampled_from([PORT_A, PORT_B, topic("a"), topic("b")])
ACTIONS = st.one_of(
    st.tuples(st.just("hello"), LINES, IDS, st.integers(1, 3)),
    st.tuples(st.just("ping"), LINES, st.integers(0, 255)),
    st.tuples(st.just("noise"), LINES),
    st.tuples(st.just("lost"), LINES),
    st.tuples(st.just("down"), st.sampled_from(["mqtt", "/dev/a", "/dev/b"])),
    st.tuples(st.just("time"), st.sampled_from([0.01, 1.0, 3.0, 20.0, 400.0])),
)


@given(st.lists(ACTIONS, max_size=40))
def test_whatever_happens_each_device_is_on_one_line_and_comes_and_goes_in_turn(actions: list[Any]) -> None:
    house = House(DeviceSettings(max_devices=2))
    for what, *details in actions:
        match what, details:
            case "hello", [line, device_id, boot]:
                house.arrive(line, hello(device_id, boot))
            case "ping", [line, link]:
                house.arrive(line, Ping(Header(link=link)))
            case "noise", [line]:
                house.arrive(line, Noise(b"text"))
            case "lost", [line]:
                house.fleet.line_lost(line, "offline", house.now)
            case "down", [carrier]:
                house.fleet.carrier_down(carrier, "gone", "", house.now)
            case "time", [seconds]:
                house.pass_time(seconds)
        connected = [info.id for info in house.fleet.devices() if info.connected]
        assert len(house.fleet.devices()) <= 2
        assert len(set(connected)) == len(connected)
        assert sorted(connected) == sorted(present_according_to(house.events))


def present_according_to(events: list[LinkEvent]) -> list[str]:
    """The devices that came and did not go, checking that nobody goes twice or unannounced."""
    boots: dict[str, int] = {}
    for event in events:
        if isinstance(event, DeviceConnected):
            assert boots.get(event.device_id, event.boot) == event.boot
            boots[event.device_id] = event.boot
        elif isinstance(event, DeviceDisconnected):
            assert boots.pop(event.device_id) == event.boot
    assert max(Counter(boots).values(), default=1)
    return list(boots)


@given(st.lists(st.sampled_from(["frame", "reboot", "forget", "away", "another"]), max_size=30))
def test_what_links_have_seen_never_falls(steps: list[str]) -> None:
    """Whatever becomes of a device: what is counted of it stays counted."""
    house, boot, number, before = House(), 1, 0, dataclasses.asdict(LinkCounters())
    house.arrive(PORT_A, hello(boot=boot))
    for step in steps:
        match step:
            case "frame":
                end = house.fleet.end("kitchen", boot)
                link = 9 if end is None else end.link
                house.arrive(PORT_A, AudioStart(Header(link=link, stream=1 + number, sequence=number)))
                number += 1
            case "reboot":
                boot, number = boot + 1, 0
                house.arrive(PORT_A, hello(boot=boot))
            case "forget":
                house.fleet.line_lost(PORT_A, "unplugged", house.now)
                house.fleet.forget("kitchen", house.now)
            case "away":
                house.fleet.line_lost(PORT_A, "unplugged", house.now)
                house.pass_time(RESUME_SECONDS + 1)
            case _:
                house.arrive(PORT_B, hello("hall"), Ping(Header(sequence=1)))
        house.fleet.outgoing(house.now)
        seen = dataclasses.asdict(house.fleet.link_counters())
        assert all(seen[name] >= before[name] for name in seen), step
        before = seen


def test_frames_of_a_device_that_is_forgotten_stay_counted(house: House) -> None:
    house.arrive(PORT_A, hello())
    end = house.fleet.end("kitchen", 1)
    assert end is not None
    house.arrive(PORT_A, AudioStart(Header(link=end.link, stream=1, sequence=0)))
    before = house.fleet.link_counters()
    assert before.received
    house.fleet.line_lost(PORT_A, "unplugged", house.now)
    assert house.fleet.forget("kitchen", house.now)
    assert house.fleet.devices() == ()
    assert house.fleet.link_counters().received == before.received
    house.arrive(PORT_A, hello())
    assert house.fleet.link_counters().received >= before.received
