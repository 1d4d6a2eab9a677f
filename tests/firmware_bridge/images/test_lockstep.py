"""The reference and the C library side by side: whatever comes, in whatever order, they do and say the same."""

from __future__ import annotations

import random

import pytest

from firmware_bridge.images.image_file import read_manifest
from firmware_bridge.images.signing import public_of
from firmware_bridge.images.taker import TakerState
from firmware_bridge.link.frames import (
    DeviceFrame,
    Fault,
    FaultCode,
    Fetch,
    Header,
    Image,
    Offer,
    Update,
    UpdateReason,
    Welcome,
)
from tests.firmware_bridge.images.boards import BOARDS, AnyBoard, Flash
from tests.firmware_bridge.images.house import KIND, an_image, file_of, private

LINK = 7
SIZES = (1, 700, 5_000, 20_000)
FILES = [file_of(an_image(size, seed), f"{seed}.0", number=20 + seed) for seed, size in enumerate(SIZES)]
FILES += [
    file_of(an_image(900, 9), "9.0", key="another", number=90),
    file_of(an_image(900, 8), "8.0", number=3),
    file_of(an_image(900, 7), "1.0", number=70),
    file_of(an_image(900, 1), "1.0", number=21),
    file_of(an_image(60_001, 6), "6.0", number=60),
]
OFFERS = [(read_manifest(one)[0].offer, one[read_manifest(one)[1] :]) for one in FILES]


STEPS = (0.0, 0.02, 0.1, 0.7, 2.1, 31.0, 181.0)


TROUBLE = (
    *(
        ("willing", True),
        ("willing", False),
        ("bad_blocks", False),
        ("bad_blocks", False),
        ("bad_blocks", True),
    ),
    *(("finds", UpdateReason.NONE), ("finds", UpdateReason.NONE), ("finds", UpdateReason.BAD_IMAGE)),
)


class Twin:
    """One of both, and what it has said of images."""

    def __init__(self, name: str) -> None:
        self.make = BOARDS[name]
        self.flash = Flash(public_of(private("ours")), size=60_000)
        self.boot = 1
        self.said: list[tuple[object, ...]] = []
        self.restart(10.0)

    def restart(self, now: float) -> None:
        self.flash.boot()
        self.boot += 1
        self.board: AnyBoard = self.make(
            self.flash, now, boot=self.boot, firmware="1.0", kind=KIND, number=10
        )
        self.board.end.hello(now)

    def hear(self, frame: DeviceFrame, now: float) -> None:
        self.board.receive(frame, now)

    def turn(self, now: float) -> None:
        for frame in self.board.turn(now):
            if isinstance(frame, Fetch):
                self.said.append(("FETCH", frame.image, frame.offset, frame.length))
            elif isinstance(frame, Update):
                self.said.append((frame.state, frame.reason, frame.image, frame.offset))
        if self.flash.starting or self.flash.dead:
            self.restart(now)

    def facts(self) -> tuple[object, ...]:
        flash = self.flash
        return self.board.where, self.said, flash.steps, flash.slot, flash.on_trial, flash.kept, flash.slots


class Chance:
    """What may come next, by a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.twins = [Twin("reference"), Twin("C")]
        self.now = 10.0
        self.stream = self.numbered = self.boot = 0

    @property
    def header(self) -> Header:
        return Header(LINK, credit=50, acknowledge=self.numbered)

    def step(self) -> None:
        self.now = round(self.now + self.rng.choices(STEPS, (20, 40, 20, 10, 4, 1, 1))[0], 3)
        for twin in self.twins:
            twin.turn(self.now)
        if self.twins[0].boot != self.boot:
            self.stream, self.numbered, self.boot = 0, 0, self.twins[0].boot
        what = self.rng.choices(
            (
                self.welcome,
                self.offer,
                self.next_image,
                self.odd_image,
                self.lose,
                self.power,
                self.trouble,
                self.speak,
            ),
            (6, 5, 60, 4, 1, 1, 1, 2),
        )[0]
        what()
        for twin in self.twins:
            twin.turn(self.now)
        reference, c = (twin.facts() for twin in self.twins)
        assert reference == c

    def welcome(self) -> None:
        header = self.header._replace(timestamp=int(self.now * 1000))
        for twin in self.twins:
            twin.hear(Welcome(header, twin.boot, 0, 0), self.now)

    def offer(self) -> None:
        offer, _ = self.rng.choice(OFFERS)
        self._say(Offer(self.header, offer.size, offer.number, offer.sha256, offer.signature, offer.version))

    def next_image(self) -> None:
        """What was asked for last, or the piece behind what is there."""
        said = self.twins[0].said
        asked = next((one for one in reversed(said) if one[0] == "FETCH"), None)
        if asked is None:
            return
        image, start, length = (int(str(one)) for one in asked[1:])
        _, data = next(pair for pair in OFFERS if pair[0].image == image)
        for at in range(start, start + length, 1000):
            if self.rng.random() < 0.05:
                continue
            self._say(Image(self.header, image, at, data[at : min(at + 1000, start + length)]))

    def odd_image(self) -> None:
        offer, data = self.rng.choice(OFFERS)
        at = self.rng.choice((0, 1, 8191, 2**32 - 1, self.rng.randrange(70_000)))
        size = self.rng.choice((0, 1, 1000))
        self._say(Image(self.header, offer.image, at, (data + bytes(2000))[:size]))

    def lose(self) -> None:
        if self.rng.random() < 0.5:
            for twin in self.twins:
                twin.board.end.carrier_lost()
                twin.board.end.hello(self.now)
        else:
            self._say(Fault(self.header, FaultCode.SAY_HELLO))

    def power(self) -> None:
        power = self.rng.randrange(1, 12)
        for twin in self.twins:
            twin.flash.power = power

    def trouble(self) -> None:
        name, value = self.rng.choice(TROUBLE)
        for twin in self.twins:
            setattr(twin.flash, name, value)

    def speak(self) -> None:
        """Somebody begins, or ends; of what is said the gateway has all at once."""
        ends = [twin.board.end for twin in self.twins]
        if self.stream:
            for end in ends:
                end.stop_stream(self.stream)
            self.stream = 0
        else:
            self.stream = {end.start_stream() for end in ends}.pop()
        self.numbered += 1

    def _say(self, frame: DeviceFrame) -> None:
        for twin in self.twins:
            twin.hear(frame, self.now)


def walk(seed: int, steps: int) -> set[TakerState]:
    chance, seen = Chance(seed), set()
    for _ in range(steps):
        chance.step()
        seen.add(chance.twins[0].board.where)
    return seen


@pytest.mark.parametrize("seed", range(12))
def test_they_go_the_same_way(seed: int) -> None:
    walk(seed, 150)


@pytest.mark.slow
def test_they_go_the_same_way_for_long() -> None:
    seen = set().union(*(walk(seed, 400) for seed in range(100, 130)))
    assert seen == set(TakerState), "every state was passed"
