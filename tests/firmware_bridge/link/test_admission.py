"""Who may come in, as the fleet asks it: refused at HELLO, cut off while speaking, and however many try."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from firmware_bridge.link.admission import TurnedAway
from firmware_bridge.link.events import DeviceConnected, DeviceDisconnected, HelloRefused, StreamStarted
from firmware_bridge.link.fleet import REFUSAL_BURST, REFUSALS_PER_SECOND, Fleet
from firmware_bridge.link.frames import AudioStart, Fault, FaultCode, Header, Hello, Welcome
from firmware_bridge.link.wires import WEB, Line
from tests.firmware_bridge.link.test_fleet import SETTINGS, House, hello, topic

LINES = {
    "serial": Line("/dev/ttyUSB0"),
    "mqtt": topic("kitchen"),
    "web": Line(WEB, "kitchen", 7),
}


@dataclasses.dataclass
class Gate:
    """Lets nobody in who is in ``closed``."""

    closed: dict[str, TurnedAway] = dataclasses.field(default_factory=dict)
    keys: dict[str, bytes] = dataclasses.field(default_factory=dict)
    turned: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)

    def objection(self, device_id: str) -> TurnedAway | None:
        return self.closed.get(device_id)

    def key(self, device_id: str) -> bytes | None:
        return self.keys.get(device_id)

    def turned_away(self, hello: Hello, carrier: str) -> None:
        self.turned[hello.device_id, carrier] += 1


class GuardedHouse(House):
    """A fleet that asks a gate."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate = gate
        self.fleet = Fleet(SETTINGS, self.events.append, admission=gate)

    def readmit(self) -> tuple[list[str], list[object]]:
        cut_off = self.fleet.readmit(self.now)
        return cut_off, [frame for _, frame in self.fleet.outgoing(self.now)]


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def house(gate: Gate) -> GuardedHouse:
    return GuardedHouse(gate)


AWAITS = TurnedAway("kitchen awaits approval", "approve it")


@pytest.mark.parametrize("carrier", LINES)
def test_who_is_not_let_in_is_told_why_on_every_carrier(house: GuardedHouse, carrier: str) -> None:
    line = LINES[carrier]
    house.gate.closed["kitchen"] = AWAITS
    ((where, fault),) = house.arrive(line, hello())
    assert isinstance(fault, Fault)
    assert (where, fault.code, fault.message) == (line, FaultCode.REFUSED, "kitchen awaits approval")
    assert house.events == [
        HelloRefused("kitchen", line.carrier, FaultCode.REFUSED, "kitchen awaits approval", "approve it")
    ]
    assert house.gate.turned == {("kitchen", line.carrier): 1}
    assert (house.fleet.devices(), house.fleet.counters.refused) == ((), 1)
    house.gate.closed.clear()
    house.now += 10
    ((_, welcome),) = house.arrive(line, hello())
    assert isinstance(welcome, Welcome)


def test_who_speaks_and_is_not_let_in_any_more_is_cut_off_now(house: GuardedHouse) -> None:
    kitchen, attic = topic("kitchen"), topic("attic")
    house.arrive(attic, hello("attic"))
    house.arrive(kitchen, hello())
    ((_, welcome),) = house.arrive(kitchen, hello())
    link = welcome.header.link
    house.arrive(kitchen, AudioStart(Header(link=link, stream=1, sequence=0)))
    house.gate.closed["kitchen"] = TurnedAway("kitchen was revoked", "")
    house.events.clear()
    cut_off, told = house.readmit()
    assert cut_off == ["kitchen"]
    assert told == [Fault(Header(link=link), FaultCode.REFUSED, "kitchen was revoked")]
    assert house.events == [DeviceDisconnected("kitchen", 1, "kitchen was revoked")]
    house.now += 1
    house.arrive(kitchen, AudioStart(Header(link=link, stream=2, sequence=1)))
    assert not [event for event in house.events if isinstance(event, StreamStarted)]
    ((_, fault),) = house.arrive(kitchen, hello())
    assert isinstance(fault, Fault)
    assert [device.id for device in house.fleet.devices()] == ["attic"]


def test_who_is_held_for_a_resume_does_not_come_back_either(house: GuardedHouse) -> None:
    house.arrive(topic("kitchen"), hello())
    house.fleet.line_lost(topic("kitchen"), "out of reach", house.now)
    house.gate.closed["kitchen"] = AWAITS
    assert house.readmit() == (["kitchen"], [])
    assert house.fleet.devices() == ()


def test_nothing_happens_to_those_who_may_stay(house: GuardedHouse) -> None:
    house.arrive(topic("kitchen"), hello())
    house.events.clear()
    assert house.readmit() == ([], [])
    assert house.events == []


def test_a_flood_of_ids_is_answered_and_reported_no_faster_than_people_can_read(house: GuardedHouse) -> None:
    """On one serial line, whose bytes anybody may write who holds the cable."""
    line = LINES["serial"]
    names = [f"flood-{i}" for i in range(5_000)]
    house.gate.closed = dict.fromkeys(names, AWAITS)
    answers = 0
    for name in names:
        house.now += 0.001
        answers += len(house.arrive(line, hello(name)))
    assert answers <= 26, "one in 0.2 s"
    reported = [event for event in house.events if isinstance(event, HelloRefused)]
    assert len(reported) <= REFUSAL_BURST + 5 * REFUSALS_PER_SECOND + 1
    assert house.fleet.devices() == ()
    house.now += 1
    ((_, welcome),) = house.arrive(line, hello())
    assert isinstance(welcome, Welcome)
    assert isinstance(house.events[-1], DeviceConnected)
