"""Both ends over a seeded hostile channel: what is held comes through, what is not is counted.

The device's end is the reference, the same without memory for what comes early, and the library in C on both
kinds of carrier.
"""

from __future__ import annotations

import random
import shutil
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from firmware_bridge.link.codecs import AdpcmDecoder, AdpcmEncoder
from firmware_bridge.link.device_end import DOWN_CREDIT, DeviceEnd
from firmware_bridge.link.events import (
    AudioReceived,
    DeviceConnected,
    DeviceDisconnected,
    DeviceNotice,
    DeviceStatus,
    LinkEvent,
    NoticeKind,
    StreamStarted,
    StreamStopped,
)
from firmware_bridge.link.frames import Codec, DeviceFrame, Hello, Reply, Status, numbered_up
from firmware_bridge.link.framing import FrameRejected, Noise, SerialDecoder, encode_serial
from firmware_bridge.link.link import GatewayEnd, LinkSettings, say_hello
from firmware_bridge.link.reply_texts import ReplyTexts
from firmware_bridge.link.states import DeviceState
from firmware_bridge.link.window import distance
from tests.firmware_bridge.esp32 import jig

SAMPLES = 32  # of one AUDIO frame: small, so that many fit into a test
STEP = 0.005

AnyDevice: TypeAlias = DeviceEnd | jig.Device
REFERENCES = {"reference": DeviceEnd, "without early frames": partial(DeviceEnd, keeps_early=False)}
IN_C = {
    "C, serial": jig.Device,
    "C, messages": partial(jig.Device, carrier=jig.MESSAGES),
    "C, on a carrier that is often busy": jig.Hesitant,
}
DEVICES: dict[str, Callable[..., AnyDevice]] = REFERENCES | IN_C


@dataclass
class Wire:
    """One direction of a serial line that does everything wrong that a line can."""

    rng: random.Random
    fault: float = 0.0
    decoder: SerialDecoder = field(default_factory=SerialDecoder)
    in_flight: list[tuple[float, int, bytes]] = field(default_factory=list)
    sent: int = 0

    def put(self, frames: Iterable[DeviceFrame], now: float) -> None:
        for frame in frames:
            data = bytearray(encode_serial(frame))
            delay = 0.002
            if self.rng.random() < self.fault:
                what = self.rng.choice(("corrupt", "drop", "duplicate", "reorder", "delay"))
                if what == "corrupt":
                    data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
                elif what == "drop":
                    continue
                elif what == "duplicate":
                    self._launch(now + self.rng.random() * 0.1, data)
                else:
                    delay = self.rng.random() * (0.02 if what == "reorder" else 1.5)
            self._launch(now + delay, data)

    def _launch(self, when: float, data: bytes | bytearray) -> None:
        self.sent += 1
        self.in_flight.append((when, self.sent, bytes(data)))

    def arrived(self, now: float) -> list[DeviceFrame]:
        due = sorted(entry for entry in self.in_flight if entry[0] <= now)
        self.in_flight = [entry for entry in self.in_flight if entry[0] > now]
        items = [item for _, _, data in due for item in self.decoder.feed(data)]
        return [item for item in items if not isinstance(item, Noise | FrameRejected)]

    def cut(self) -> None:
        self.in_flight.clear()
        self.decoder = SerialDecoder()


@dataclass
class House:
    """A device, a wire each way, and whatever gateway is up, with what each of them has heard."""

    seed: int
    fault: float = 0.2
    ring: int = 4096
    credit: int = 64
    first_sequence: int = 0
    settle: bool = True
    pieces: bool = False
    down_credit: int = DOWN_CREDIT
    make: Callable[..., AnyDevice] = DeviceEnd
    now: float = 10.0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.device = self.make(
            "kitchen",
            boot=self.rng.getrandbits(32),
            ring_frames=self.ring,
            first_sequence=self.first_sequence,
            wants_pieces=self.pieces,
            credit=self.down_credit,
        )
        self.up = Wire(self.rng, self.fault)
        self.down = Wire(self.rng, self.fault)
        self.gateway: GatewayEnd | None = None
        self.events: list[LinkEvent] = []
        self.heard: list[DeviceFrame] = []
        self.delivered: list[str] = []
        self.edge: int | None = None
        self.plugged = True

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += STEP
            if self.plugged:
                self._device_turn()
                self._gateway_turn()

    def _device_turn(self) -> None:
        for frame in self.down.arrived(self.now):
            self.heard += self.device.receive(frame, self.now)
        deadline = self.device.next_deadline(self.now)
        if deadline is not None and deadline <= self.now:
            self.device.tick(self.now)
        out = self.device.outgoing()
        self._check_credit(out)
        self.up.put(out, self.now)

    def _check_credit(self, out: list[DeviceFrame]) -> None:
        """No new number may leave beyond what any gateway ever allowed."""
        for frame in out:
            if numbered_up(frame.TYPE) and not frame.header.resent and self.gateway is not None:
                assert distance(frame.header.sequence, self._allowed()) > 0

    def _allowed(self) -> int:
        assert self.gateway is not None
        return (self.gateway._inbox.expected + self.credit) & 0xFFFFFFFF

    def _gateway_turn(self) -> None:
        for frame in self.up.arrived(self.now):
            self._gateway_hears(frame)
        if self.gateway is None:
            return
        self.take(self.gateway.tick(self.now))
        assert len(self.gateway._inbox._early) <= self.credit
        self.delivered += self.gateway.delivered()
        self.down.put(self.gateway.outgoing(), self.now)

    def _gateway_hears(self, frame: DeviceFrame) -> None:
        if isinstance(frame, Hello):
            if self.gateway is None:
                self.gateway = GatewayEnd(
                    frame, carrier="wire", settings=LinkSettings(credit_frames=self.credit), now=self.now
                )
                self.take([self.gateway.connected])
            else:
                self.take(self.gateway.resumed(frame, "wire", self.now))
        elif self.gateway is not None:
            self.take(self.gateway.receive(frame, self.now))
        else:
            fault = say_hello(frame)
            self.down.put([fault] if fault else [], self.now)

    def take(self, events: list[LinkEvent]) -> None:
        self.events += events
        for event in events:
            if isinstance(event, AudioReceived) and self.settle and self.gateway is not None:
                self.gateway.settle(event.stream, event.position + len(event.pcm) // 2)

    def unplug(self, steps: int) -> None:
        self.plugged = False
        self.up.cut()
        self.down.cut()
        self.device.carrier_lost()
        if self.gateway is not None:
            self.take(self.gateway.carrier_lost(self.now))
        self.step(steps)
        self.plugged = True
        self.device.hello(self.now)

    def replace_gateway(self) -> None:
        """The gateway's process dies; a fresh one knows nothing of the device."""
        self.gateway = None

    def run_dry(self, limit: float = 120.0) -> None:
        """Until the device has nothing left to say and everything said to it has arrived."""
        end = self.now + limit
        while self.now < end:
            self.step()
            quiet = self.device.state is DeviceState.LINKED and not self.device.unacknowledged
            if (
                quiet
                and self.gateway is not None
                and self.gateway._outbox.window.next == self.gateway._outbox.window.acknowledged
            ):
                return
        raise AssertionError("the link did not come to rest")


HouseMaker: TypeAlias = Callable[..., House]


@pytest.fixture(params=DEVICES)
def a_house(request: pytest.FixtureRequest) -> HouseMaker:
    """A house with each kind of device."""
    return partial(House, make=DEVICES[request.param])


def sound(stream: int, index: int) -> bytes:
    return struct.pack(
        f"<{SAMPLES}h", *((stream * 7919 + index * SAMPLES + k) % 60000 - 30000 for k in range(SAMPLES))
    )


def heard_audio(events: list[LinkEvent], stream: int) -> bytes:
    """What a listener puts together, holes as zeros; checks that positions join."""
    out = bytearray()
    for event in events:
        if isinstance(event, AudioReceived) and event.stream == stream:
            out += bytes(2 * event.lost_samples)
            assert event.position == len(out) // 2
            out += event.pcm
        elif isinstance(event, StreamStopped) and event.stream == stream:
            out += bytes(2 * event.lost_samples)
    return bytes(out)


def speak(house: House, frames: int, *, mishaps: bool = False) -> tuple[int, bytes, list[bool]]:
    """One stream through the house; returns its number, its sound, and what was not overrun."""
    stream = house.device.start_stream()
    kept = []
    for index in range(frames):
        kept.append(house.device.audio(stream, sound(stream, index), SAMPLES))
        house.step(house.rng.randrange(4))
        if mishaps and house.rng.random() < 0.02:
            house.unplug(house.rng.randrange(100))
    house.device.stop_stream(stream)
    return stream, b"".join(sound(stream, index) for index in range(frames)), kept


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("fault", [0.0, 0.05, 0.4])
def test_audio_is_bit_exact_and_replies_come_once_in_order(
    a_house: HouseMaker, seed: int, fault: float
) -> None:
    house = a_house(seed, fault, first_sequence=(0xFFFFFFFF - 40) * (seed % 2))
    house.device.hello(house.now)
    spoken = {}
    replies = []
    for turn in range(3):
        stream, pcm, kept = speak(house, 60, mishaps=True)
        assert all(kept)
        spoken[stream] = pcm
        house.device.notice(NoticeKind.BUTTON, turn, "pressed")
        if house.gateway is not None:
            for number in range(5):
                text = f"{turn}.{number} "
                assert house.gateway.send_reply(stream, f"c{turn}{number}", text)
                replies.append(text)
    house.run_dry()
    for stream, pcm in spoken.items():
        assert heard_audio(house.events, stream) == pcm
    assert [e.stream for e in house.events if isinstance(e, StreamStarted)] == list(spoken)
    assert [e.stream for e in house.events if isinstance(e, StreamStopped)] == list(spoken)
    assert [e.value for e in house.events if isinstance(e, DeviceNotice)] == [0, 1, 2]
    assert [f.text for f in house.heard if isinstance(f, Reply)] == replies
    assert len(house.delivered) == len(replies)
    assert house.gateway is not None
    assert house.gateway.counters.lost_frames == 0


def patched(whole: bytes, kept: list[bool]) -> bytes:
    """The sound with zeros where the device had no room."""
    size = 2 * SAMPLES
    return b"".join(whole[k * size : (k + 1) * size] if kept[k] else bytes(size) for k in range(len(kept)))


@pytest.mark.parametrize("seed", range(6))
def test_with_a_small_ring_the_hole_is_counted_and_positions_stay_right(
    a_house: HouseMaker, seed: int
) -> None:
    house = a_house(seed, fault=0.1, ring=16)
    house.device.hello(house.now)
    house.step(20)
    stream = house.device.start_stream()
    kept = []
    for index in range(80):
        if index == 20:
            house.plugged = False
        if index == 60:
            house.plugged = True
        kept.append(house.device.audio(stream, sound(stream, index), SAMPLES))
        house.step(4)
    house.device.stop_stream(stream)
    house.run_dry()
    assert not all(kept)
    whole = b"".join(sound(stream, index) for index in range(80))
    assert heard_audio(house.events, stream) == patched(whole, kept)
    assert house.device.counters.overrun_frames == kept.count(False)
    assert house.device.counters.overrun_samples == kept.count(False) * SAMPLES
    assert house.gateway is not None
    assert house.gateway.counters.lost_frames == 0


def test_a_stream_overrun_from_its_first_sample_to_its_last_is_a_hole(a_house: HouseMaker) -> None:
    house = a_house(1, fault=0.0, ring=4)
    for number in range(4):
        house.device.notice(NoticeKind.LEVEL, number)
    stream = house.device.start_stream()
    for index in range(10):
        assert not house.device.audio(stream, sound(stream, index), SAMPLES)
    house.device.stop_stream(stream)
    house.device.hello(house.now)
    house.run_dry()
    assert house.events[-1] == StreamStopped("kitchen", house.device.boot, stream, 10 * SAMPLES)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("device", REFERENCES)
def test_a_device_without_a_ring_loses_only_what_is_counted(device: str, seed: int) -> None:
    house = House(seed, fault=0.2, ring=0, make=DEVICES[device])
    house.device.hello(house.now)
    house.step(800)
    total = 0
    for _ in range(3):
        stream, whole, _ = speak(house, 50)
        house.step(1000)  # long enough for a lost stop to be noticed
        heard = heard_audio(house.events, stream)
        size = 2 * SAMPLES
        for at in range(0, len(heard), size):
            assert heard[at : at + size] in (whole[at : at + size], bytes(size))
        total += len(heard) == len(whole)
    house.run_dry()
    assert house.gateway is not None
    assert house.gateway.counters.lost_frames > 0
    assert total
    assert {e.stream for e in house.events if isinstance(e, StreamStopped)} == {
        e.stream for e in house.events if isinstance(e, StreamStarted)
    }


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("settle", [True, False])
def test_a_gateway_that_died_hears_all_that_was_not_durable_again(
    a_house: HouseMaker, seed: int, *, settle: bool
) -> None:
    house = a_house(seed, fault=0.1, settle=settle)
    house.device.hello(house.now)
    stream = house.device.start_stream()
    for index in range(120):
        house.device.audio(stream, sound(stream, index), SAMPLES)
        house.step(3)
        if index in (40, 80):
            house.replace_gateway()
    house.device.stop_stream(stream)
    house.run_dry()
    samples: dict[int, bytes] = {}
    for event in house.events:
        if isinstance(event, AudioReceived):
            assert event.lost_samples == 0
            assert samples.setdefault(event.position, event.pcm) == event.pcm
    assert samples == {index * SAMPLES: sound(stream, index) for index in range(120)}
    greetings = [at for at, event in enumerate(house.events) if isinstance(event, DeviceConnected)]
    assert len(greetings) == 3
    again = [event for event in house.events[greetings[-1] :] if isinstance(event, AudioReceived)]
    assert (again[0].position == 0) is not settle
    assert house.gateway is not None
    assert house.gateway.counters.lost_frames == 0


class Teller:
    """Somebody who tells an answer as it comes into being, over whatever link there is."""

    def __init__(self, house: House, label: str) -> None:
        self.house, self.label = house, label
        self.text = self.sent = ""
        self.on: GatewayEnd | None = None

    def grow(self, text: str) -> None:
        self.text += text
        gateway = self.house.gateway
        if gateway is None:
            return
        anew = gateway is not self.on or not self.sent
        rest = self.text if anew else self.text[len(self.sent) :]
        took = gateway.send_piece(1, self.label, rest, anew=anew)
        self.on, self.sent = gateway, self.text if took else ""

    def end(self) -> None:
        gateway = self.house.gateway
        assert gateway is not None
        goes_on = gateway is self.on and bool(self.sent)
        rest = self.text[len(self.sent) :] if goes_on else self.text
        assert gateway.send_reply(1, self.label, rest, whole=not goes_on)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("fault", "credit"), [(0.0, 2), (0.2, 2), (0.4, 32)])
def test_a_reply_that_grows_is_shown_as_it_is_on_any_wire(
    a_house: HouseMaker, seed: int, fault: float, credit: int
) -> None:
    """Lost carriers and a gateway that dies included: no piece is shown twice, and none is missing."""
    house = a_house(seed, fault, pieces=True, down_credit=credit)
    house.device.hello(house.now)
    tellers = [Teller(house, label) for label in ("c_1", "c_2")]
    mishaps = {20: house.replace_gateway, 40: lambda: house.unplug(50), 41: house.replace_gateway}
    for number in range(80):
        for teller in tellers:
            teller.grow(f"{number}, ")
        mishaps.get(number, lambda: None)()
        house.step(house.rng.randrange(12))
    while house.gateway is None or not house.gateway.wants_pieces:
        house.step()
    for teller in tellers:
        teller.end()
    house.run_dry()
    texts = ReplyTexts(pieces=True)
    last = {}
    for frame in house.heard:
        if isinstance(frame, Reply) and (reply := texts.take(frame)) is not None:
            whole = next(teller.text for teller in tellers if teller.label == reply.correlation_id)
            assert whole.startswith(reply.text)
            last[reply.correlation_id] = (reply.text, reply.final)
    assert last == {teller.label: (teller.text, True) for teller in tellers}


def test_adpcm_comes_through_as_its_decoder_alone_would_say(a_house: HouseMaker) -> None:
    house = a_house(5, fault=0.3)
    house.device.hello(house.now)
    encoder, decoder = AdpcmEncoder(), AdpcmDecoder()
    stream = house.device.start_stream(end_on_silence=False)
    expected = b""
    for index in range(60):
        payload = encoder.encode(sound(stream, index))
        expected += decoder.decode(payload)
        assert house.device.audio(stream, payload, SAMPLES, Codec.IMA_ADPCM)
        house.step()
    house.device.stop_stream(stream)
    house.run_dry()
    assert heard_audio(house.events, stream) == expected


def test_without_credit_the_ring_fills_and_nothing_new_is_sent(a_house: HouseMaker) -> None:
    house = a_house(3, fault=0.0, ring=64)
    house.device.hello(house.now)
    house.step(10)
    assert house.gateway is not None
    house.gateway.credit = 0
    house.step(10)
    stream = house.device.start_stream()
    for index in range(20):
        assert house.device.audio(stream, sound(stream, index), SAMPLES)
    house.step(1000)
    assert not any(isinstance(event, StreamStarted) for event in house.events)
    assert not any(isinstance(event, DeviceDisconnected) for event in house.events)
    house.gateway.credit = 64
    house.device.stop_stream(stream)
    house.run_dry()
    assert heard_audio(house.events, stream) == b"".join(sound(stream, index) for index in range(20))


class WhateverHappens(RuleBasedStateMachine):
    """Any mishaps in any order: all that is held arrives, once, in order."""

    @initialize(
        device=st.sampled_from(list(DEVICES if shutil.which("cc") else REFERENCES)),
        seed=st.integers(0, 2**32),
        fault=st.sampled_from([0.0, 0.1, 0.5]),
        first=st.sampled_from([0, 0x7FFFFFF0, 0xFFFFFFF0]),
    )
    def begin(self, device: str, seed: int, fault: float, first: int) -> None:
        self.house = House(seed, fault, credit=16, first_sequence=first, make=DEVICES[device])
        self.house.device.hello(self.house.now)
        self.spoken: dict[int, bytes] = {}
        self.open: list[int] = []
        self.said: list[str] = []

    @precondition(lambda self: len(self.open) < 4)
    @rule()
    def start(self) -> None:
        self.open.append(self.house.device.start_stream())
        self.spoken[self.open[-1]] = b""

    @precondition(lambda self: self.open)
    @rule(frames=st.integers(1, 12))
    def speak(self, frames: int) -> None:
        for stream in self.open:
            for _ in range(frames):
                pcm = sound(stream, len(self.spoken[stream]) // (2 * SAMPLES))
                assert self.house.device.audio(stream, pcm, SAMPLES)
                self.spoken[stream] += pcm

    @precondition(lambda self: self.open)
    @rule()
    def stop(self) -> None:
        self.house.device.stop_stream(self.open.pop(0))

    @rule(steps=st.integers(1, 300))
    def wait(self, steps: int) -> None:
        self.house.step(steps)

    @rule(steps=st.integers(0, 300))
    def unplug(self, steps: int) -> None:
        self.house.unplug(steps)

    @precondition(lambda self: self.house.gateway)
    @rule(credit=st.integers(0, 16))
    def lower_or_raise_credit(self, credit: int) -> None:
        assert self.house.gateway is not None
        self.house.gateway.credit = credit

    @precondition(lambda self: self.house.gateway)
    @rule(status=st.sampled_from(DeviceStatus))
    def say_status(self, status: DeviceStatus) -> None:
        assert self.house.gateway is not None
        assert self.house.gateway.send_status(1, status)
        self.said.append(status.name)

    @precondition(lambda self: self.house.gateway)
    @rule(length=st.integers(1, 5000))
    def reply(self, length: int) -> None:
        assert self.house.gateway is not None
        text = f"{len(self.said)} " * length
        assert self.house.gateway.send_reply(1, f"c{len(self.said)}", text[:length])
        self.said.append(text[:length])

    def teardown(self) -> None:
        if not hasattr(self, "house"):
            return
        house = self.house
        for stream in self.open:
            house.device.stop_stream(stream)
        while house.gateway is None:
            house.step()
        house.gateway.credit = 16
        house.run_dry()
        for stream, pcm in self.spoken.items():
            assert heard_audio(house.events, stream) == pcm
        stopped = [event.stream for event in house.events if isinstance(event, StreamStopped)]
        assert sorted(stopped) == sorted(self.spoken)
        assert heard_texts(house.heard) == self.said
        assert house.gateway.counters.lost_frames == 0


def heard_texts(frames: list[DeviceFrame]) -> list[str]:
    """Statuses by name and replies whole."""
    texts = []
    parts = ""
    for frame in frames:
        if isinstance(frame, Status):
            texts.append(frame.status.name)
        elif isinstance(frame, Reply):
            parts += frame.text
            if frame.final:
                texts.append(parts)
                parts = ""
    return texts


TestWhateverHappens = WhateverHappens.TestCase
TestWhateverHappens.settings = settings(
    max_examples=min(40, settings().max_examples), stateful_step_count=25, deadline=None
)
