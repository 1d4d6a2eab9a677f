"""Proofs at HELLO: who has the key comes in, and nothing that was ever on the wire lets anybody else in."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from firmware_bridge.link.admission import TurnedAway
from firmware_bridge.link.challenges import (
    CHALLENGED_LINES,
    CHALLENGES,
    NONCE_SECONDS,
    QUIET_SECONDS,
    Challenges,
    Judgement,
)
from firmware_bridge.link.device_end import REFUSED_PAUSE, DeviceState
from firmware_bridge.link.events import DeviceConnected, HelloRefused
from firmware_bridge.link.frames import (
    Challenge,
    DeviceFrame,
    Fault,
    FaultCode,
    Header,
    Hello,
    Welcome,
    proof_of,
)
from firmware_bridge.link.wires import WEB, Line
from tests.firmware_bridge.link.test_admission import LINES, Gate, GuardedHouse, gate, house
from tests.firmware_bridge.link.test_fleet import hello, topic
from tests.firmware_bridge.link.test_link_hostile import DEVICES

__all__ = ["gate", "house"]

KEY = bytes(range(32))
OTHER_KEY = bytes(32)
LINE = topic("kitchen")


@pytest.fixture(autouse=True)
def keyed(gate: Gate) -> None:
    gate.keys["kitchen"] = KEY


def only(house: GuardedHouse, line: Line, said: Hello) -> DeviceFrame | None:
    """What goes out on that line for it."""
    out = [frame for where, frame in house.arrive(line, said) if where == line]
    assert len(out) <= 1
    return out[0] if out else None


def challenge(house: GuardedHouse, line: Line = LINE, said: Hello | None = None) -> Challenge:
    frame = only(house, line, said or hello())
    assert isinstance(frame, Challenge)
    return frame


def proven(asked: Challenge, key: bytes = KEY, said: Hello | None = None) -> Hello:
    said = said or hello()
    return replace(said, proof=proof_of(key, asked, said.device_id))


def refused(frame: DeviceFrame | None) -> str:
    assert isinstance(frame, Fault)
    assert frame.code is FaultCode.REFUSED
    return frame.message


@pytest.mark.parametrize("carrier", LINES)
def test_who_has_the_key_comes_in_over_every_carrier(house: GuardedHouse, carrier: str) -> None:
    line = LINES[carrier]
    said = replace(hello(boot=77), header=Header(credit=16, timestamp=4321))
    asked = challenge(house, line, said)
    assert (asked.boot, asked.header.timestamp, asked.header.link, len(asked.nonce)) == (77, 4321, 0, 16)
    assert house.events == []
    assert house.fleet.devices() == ()
    assert isinstance(only(house, line, proven(asked, said=said)), Welcome)
    assert [type(event) for event in house.events] == [DeviceConnected]


@pytest.mark.parametrize("carrier", LINES)
def test_a_wrong_proof_is_refused_with_what_to_do(house: GuardedHouse, carrier: str) -> None:
    line = LINES[carrier]
    said = proven(challenge(house, line), OTHER_KEY)
    assert "its proof is wrong" in refused(only(house, line, said))
    (event,) = house.events
    assert isinstance(event, HelloRefused)
    assert "earshot devices key kitchen" in event.remedy
    assert house.gate.turned == {("kitchen", line.carrier): 1}
    assert house.fleet.devices() == ()


def test_a_proof_is_good_once(house: GuardedHouse) -> None:
    """Whoever has recorded it and says it again is asked for another, and has changed nothing."""
    said = proven(challenge(house))
    ((_, welcome),) = house.arrive(LINE, said)
    assert isinstance(welcome, Welcome)
    house.events.clear()
    for line in (LINE, Line("/dev/ttyUSB0"), Line(WEB, "kitchen", 3)):
        house.now += 1
        again = only(house, line, said)
        assert isinstance(again, Challenge | Fault)
        assert {type(event) for event in house.events} <= {HelloRefused}
    assert [device.connected for device in house.fleet.devices()] == [True]


def test_a_frame_that_comes_twice_costs_the_device_nothing(house: GuardedHouse) -> None:
    """Carriers double frames: the second one is no attack, and no refusal that would stop the device."""
    said = proven(challenge(house))
    assert isinstance(only(house, LINE, said), Welcome)
    assert isinstance(only(house, LINE, said), Challenge)
    assert [device.connected for device in house.fleet.devices()] == [True]


@pytest.mark.parametrize(
    "forged",
    [
        lambda said: replace(said, boot=2),
        lambda said: replace(said, device_id="attic"),
        lambda said: replace(said, proof=said.proof[:-1] + ("0" if said.proof[-1] != "0" else "1")),
        lambda said: replace(said, proof="0" * 64),
    ],
    ids=["another boot", "another id", "a flipped digit", "zeros"],
)
def test_a_proof_is_of_one_nonce_boot_and_id(house: GuardedHouse, forged: object) -> None:
    house.gate.keys["attic"] = KEY
    line = Line("/dev/ttyUSB0")
    said = proven(challenge(house, line))
    assert "its proof is wrong" in refused(only(house, line, forged(said)))  # type: ignore[operator]
    assert house.fleet.devices() == ()


def test_a_proof_of_another_line_is_worth_nothing(house: GuardedHouse) -> None:
    """A nonce that somebody had answered elsewhere: the line that asked is the line that is answered."""
    asked = challenge(house, Line("/dev/ttyUSB0"))
    challenge(house, Line("/dev/ttyUSB1"))
    assert "its proof is wrong" in refused(only(house, Line("/dev/ttyUSB1"), proven(asked)))


def test_a_nonce_ends(house: GuardedHouse) -> None:
    asked = challenge(house)
    house.now += NONCE_SECONDS
    assert isinstance(only(house, LINE, proven(asked)), Challenge)
    house.now += 3 * NONCE_SECONDS
    assert "its proof is wrong" in refused(only(house, LINE, proven(asked)))


def test_every_hello_is_asked_with_a_nonce_of_its_own(house: GuardedHouse) -> None:
    asked = [challenge(house) for _ in range(CHALLENGES)]
    assert len({one.nonce for one in asked}) == CHALLENGES
    assert isinstance(only(house, LINE, proven(asked[0])), Welcome), (
        "slow wires cross: any of them may be answered"
    )


def test_who_goes_on_without_a_proof_is_told_what_is_missing(house: GuardedHouse) -> None:
    """An old device, or one into which nobody has written the key."""
    for _ in range(CHALLENGES):
        challenge(house)
    assert "has to prove who it is" in refused(only(house, LINE, hello()))
    assert only(house, LINE, hello()) is None
    house.now += QUIET_SECONDS
    challenge(house)


def test_without_a_key_nobody_is_asked(house: GuardedHouse) -> None:
    house.gate.keys.clear()
    assert isinstance(only(house, LINE, replace(hello(), proof="0" * 64)), Welcome)


def test_who_may_not_come_in_is_not_even_asked(house: GuardedHouse) -> None:
    house.gate.closed["kitchen"] = TurnedAway("kitchen was revoked", "")
    assert refused(only(house, LINE, hello())) == "kitchen was revoked"


def test_an_impostor_disturbs_nobody_and_learns_nothing(house: GuardedHouse) -> None:
    """Another board with the id of one that is here: it does not even hear whether that one is."""
    assert isinstance(only(house, LINE, proven(challenge(house))), Welcome)
    house.events.clear()
    impostor = Line("/dev/ttyUSB9")
    for boot in range(50):
        house.now += 0.3
        frame = only(house, impostor, hello(boot=1000 + boot))
        assert frame is None or isinstance(frame, Challenge) or "has to prove" in refused(frame)
    assert [(one.id, one.boot, one.connected) for one in house.fleet.devices()] == [("kitchen", 1, True)]
    assert {type(event) for event in house.events} <= {HelloRefused}


@pytest.mark.parametrize("proof", ["", "0" * 64], ids=["without a proof", "with a wrong one"])
def test_what_another_boot_says_on_its_line_is_not_laid_at_its_door(house: GuardedHouse, proof: str) -> None:
    """On a broker whoever may publish may do so on the device's topic, too."""
    asked = challenge(house)
    for boot in range(1000, 1100):
        house.now += 0.001
        house.arrive(LINE, replace(hello(boot=boot), proof=proof))
    assert isinstance(only(house, LINE, proven(asked)), Welcome)


@pytest.mark.parametrize("kind", DEVICES)
def test_a_device_comes_in_while_other_boots_flood_its_line(house: GuardedHouse, kind: str) -> None:
    """Each of its frames is overtaken by another's HELLO."""
    device = DEVICES[kind]("kitchen", boot=1, ring_frames=8, key=KEY)
    device.hello(house.now)
    for boot in range(1000, 1000 + 1200):
        house.now += 0.05
        device.tick(house.now)
        answers = house.arrive(LINE, hello(boot=boot)) if boot % 5 == 0 else []
        for frame in device.outgoing():
            answers += house.arrive(LINE, hello(boot=boot + 5000)) + house.arrive(LINE, frame)
        for _, answer in answers:
            device.receive(answer, house.now)
    assert device.state is DeviceState.LINKED
    assert [(one.boot, one.connected) for one in house.fleet.devices()] == [(1, True)]


def test_another_key_has_who_is_here_prove_itself_again(house: GuardedHouse) -> None:
    ((_, welcome),) = house.arrive(LINE, proven(challenge(house)))
    house.gate.keys["kitchen"] = OTHER_KEY
    cut_off, told = house.readmit()
    assert cut_off == []
    assert told == [
        Fault(Header(link=welcome.header.link), FaultCode.SAY_HELLO, "kitchen has to prove who it is")
    ]
    assert house.fleet.devices() == ()
    assert "its proof is wrong" in refused(only(house, LINE, proven(challenge(house))))
    house.now += 10
    assert isinstance(only(house, LINE, proven(challenge(house), OTHER_KEY)), Welcome)
    assert house.readmit() == ([], [])


def test_a_key_that_is_taken_back_disturbs_nobody(house: GuardedHouse) -> None:
    house.arrive(LINE, proven(challenge(house)))
    house.gate.keys.clear()
    assert house.readmit() == ([], [])


def test_nonces_take_no_more_than_their_room(house: GuardedHouse) -> None:
    names = [f"d{i}" for i in range(3 * CHALLENGED_LINES)]
    house.gate.keys = dict.fromkeys(names, KEY)
    for name in names:
        assert isinstance(only(house, topic(name), hello(name)), Challenge)
    assert len(house.fleet._challenges) == CHALLENGED_LINES
    asked = challenge(house, topic(names[-1]), hello(names[-1]))
    assert isinstance(only(house, topic(names[-1]), proven(asked, said=hello(names[-1]))), Welcome)


def test_a_flood_on_one_line_takes_one_place_and_gets_no_more_than_it_sends() -> None:
    challenges, verdicts = Challenges(), []
    for i in range(10_000):
        said = hello(f"d{i % 7}", boot=i)
        verdicts.append(challenges.judge(LINE, said, KEY, i / 1000)[0])
    assert len(challenges) == 1
    assert verdicts.count(Judgement.ASKED) <= 3 * CHALLENGES * 10 / QUIET_SECONDS / 2
    assert verdicts.count(Judgement.SILENT) > 9_900
    assert Judgement.PROVEN not in verdicts


def test_guesses_are_answered_no_faster_than_one_in_a_while(house: GuardedHouse) -> None:
    chance = random.Random(1)
    answers = 0
    challenge(house)
    for _ in range(1000):
        house.now += 0.001
        answers += len(house.arrive(LINE, replace(hello(), proof=chance.randbytes(32).hex())))
    assert answers <= 6
    assert house.fleet.devices() == ()


@pytest.mark.parametrize("kind", DEVICES)
def test_a_device_comes_in_through_a_wire_that_loses_and_doubles(house: GuardedHouse, kind: str) -> None:
    """The reference, and the C library."""
    for seed in range(30):
        chance, device = random.Random(seed), DEVICES[kind]("kitchen", boot=seed, ring_frames=8, key=KEY)
        line = Line(f"/dev/lossy{seed}")
        device.hello(house.now)
        began = house.now
        while device.state is not DeviceState.LINKED:
            house.now += 0.05
            device.tick(house.now)
            for frame in device.outgoing():
                for _ in range(chance.choice((0, 1, 1, 1, 1, 2, 3))):
                    for where, answer in house.arrive(line, frame):
                        if where == line and chance.random() < 0.85:
                            device.receive(answer, house.now)
            assert house.now - began < 6 * REFUSED_PAUSE, "three challenges in a row may be lost now and then"
        assert [(one.boot, one.connected) for one in house.fleet.devices()] == [(seed, True)]
        house.now += 300
