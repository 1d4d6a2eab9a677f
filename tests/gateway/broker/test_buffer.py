"""A buffer under any order of what can be done to it, held against a model of a few lines."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.base import BrokerClosed, BrokerError, BufferPolicy, Message, RoutingKey
from gateway.broker.buffer import Bounds, Buffer, BufferedDelivery, Counters, Member, Readership
from gateway.broker.patterns import EVERYTHING
from gateway.broker.rejected import DeadLetters
from tests.gateway.broker.contract import until

KEY = RoutingKey("ann", "kitchen", "s_1")
BOUNDS = Bounds(messages=6, bytes=40)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "put",
                "put",
                "put",
                "take",
                "take",
                "ack",
                "nack",
                "later",
                "reject",
                "join",
                "leave",
                "give up",
            ]
        ),
        st.integers(0, 19),
    ),
    max_size=80,
)


class Upstream:
    """Where the messages came from; it notes what became of them."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.dead: list[str] = []

    def settled(self, message: Message) -> None:
        self.done.append(message.message_id)

    def buried(self, delivery: BufferedDelivery, reason: str) -> None:
        assert reason
        self.dead.append(delivery.message.message_id)


@dataclass
class House:
    """A buffer, its members, and beside them what should be in it."""

    policy: BufferPolicy
    upstream: Upstream = field(default_factory=Upstream)
    counters: Counters = field(default_factory=Counters)
    dead: DeadLetters = field(default_factory=DeadLetters)
    members: list[tuple[Member, list[BufferedDelivery]]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    parked: list[tuple[str, asyncio.Future[bool]]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.buffer = Buffer(
            Readership("a", EVERYTHING, "workers"),
            BOUNDS,
            self.policy,
            self.counters,
            self.dead,
            upstream=self.upstream,
        )

    @property
    def in_hand(self) -> list[str]:
        return [one.message.message_id for _, taken in self.members for one in taken]

    def fits(self, size: int) -> bool:
        held = self.waiting + self.in_hand
        return len(held) < BOUNDS.messages and sum(map(self.sizes.__getitem__, held)) + size <= BOUNDS.bytes

    # -- steps

    def do(self, step: str, number: int) -> None:
        match step:
            case "put":
                self.put(number)
            case "join":
                self.members.append((self.buffer.join(), []))
            case "give up":
                self.give_up(number)
            case _ if self.members:
                member, taken = self.members[number % len(self.members)]
                if step == "take":
                    self.take(member, taken)
                elif step == "leave":
                    self.buffer.leave(member)
                    self.members = [other for other in self.members if other[0] is not member]
                    self.back([one.message.message_id for one in taken])
                elif taken:
                    self.settle(step, taken.pop(number % len(taken)))
        self.let_in()
        self.check()

    def put(self, size: int) -> None:
        name = f"m_{len(self.sizes):03}"
        self.sizes[name], self.attempts[name] = size, 1
        message = Message(topic="a", routing_key=KEY, payload=bytes(size), message_id=name)
        place = self.buffer.put(message)
        if self.parked or not self.fits(size):
            if self.policy is BufferPolicy.WAIT:
                assert place is not None
                self.parked.append((name, place))
                return
            while not self.fits(size):
                if not self.waiting:
                    self.dropped.append(name)
                    return
                self.dropped.append(self.waiting.pop(0))
        assert place is None
        self.waiting.append(name)

    def take(self, member: Member, taken: list[BufferedDelivery]) -> None:
        delivery = self.buffer.take(member)
        if not self.waiting:
            assert delivery is None
            return
        assert delivery is not None
        name = self.waiting.pop(0)
        assert delivery.message.message_id == name, "the oldest of all that wait"
        assert delivery.attempt == self.attempts[name]
        taken.append(delivery)

    def settle(self, step: str, delivery: BufferedDelivery) -> None:
        name = delivery.message.message_id
        match step:
            case "ack":
                run(delivery.ack())
            case "reject":
                run(delivery.reject("no"))
            case "nack" | "later":
                run(delivery.nack())
                self.back([name])
        with pytest.raises(BrokerError, match="settled already"):
            run(delivery.ack())

    def back(self, names: list[str]) -> None:
        for name in names:
            self.attempts[name] += 1
        self.waiting = sorted(self.waiting + names)

    def give_up(self, number: int) -> None:
        if self.parked:
            _, place = self.parked.pop(number % len(self.parked))
            place.cancel()
            self.buffer.unpark(place)

    def let_in(self) -> None:
        """Those who wait are let in in their order, and nobody overtakes."""
        while self.parked and self.fits(self.sizes[self.parked[0][0]]):
            name, place = self.parked.pop(0)
            assert place.result()
            self.waiting.append(name)

    # -- what holds after each step

    def check(self) -> None:
        held = self.waiting + self.in_hand
        assert self.buffer.held == len(held) <= BOUNDS.messages
        assert self.buffer.held_bytes == sum(map(self.sizes.__getitem__, held)) <= BOUNDS.bytes
        assert self.buffer.pending == len(self.waiting)
        assert self.buffer.pending_bytes == sum(map(self.sizes.__getitem__, self.waiting))
        assert not any(place.done() for _, place in self.parked)
        assert self.buffer.dropped == self.counters.dropped == len(self.dropped)
        gone = [name for name in self.upstream.done if name in self.sizes]
        assert len(gone) == len(set(gone)), "nothing is settled twice"
        assert not set(gone) & set(held)
        assert self.counters.rejected == len(self.upstream.dead) == len(self.dead.letters())


def run(settling: object) -> None:
    """The end of a coroutine that waits for nothing."""
    with pytest.raises(StopIteration):
        settling.send(None)  # type: ignore[attr-defined]


@given(STEPS)
async def test_a_buffer_that_waits_is_what_the_model_says(steps: list[tuple[str, int]]) -> None:
    house = House(BufferPolicy.WAIT)
    for step, number in steps:
        house.do(step, number)
    assert not house.dropped


@given(STEPS)
async def test_a_buffer_that_drops_is_what_the_model_says(steps: list[tuple[str, int]]) -> None:
    house = House(BufferPolicy.DROP_OLDEST)
    for step, number in steps:
        house.do(step, number)
    assert not house.parked


@given(steps=STEPS, closed=st.booleans())
async def test_after_its_end_nobody_waits_and_nothing_is_held(
    *, steps: list[tuple[str, int]], closed: bool
) -> None:
    house = House(BufferPolicy.WAIT)
    for step, number in steps:
        house.do(step, number)
    reader = house.buffer.reader()
    held, taken = house.buffer.held, [one for _, deliveries in house.members for one in deliveries]
    assert house.buffer.end(closed=closed) == held == house.counters.dropped
    assert (house.buffer.held, house.buffer.held_bytes, house.buffer.pending) == (0, 0, 0)
    assert reader.done()
    assert [place.result() for _, place in house.parked] == [not closed] * len(house.parked)
    for delivery in taken:
        with pytest.raises(BrokerClosed if closed else BrokerError):
            await delivery.ack()
    assert house.buffer.held == 0


@given(STEPS)
async def test_what_is_forgotten_can_be_put_again_in_its_order(steps: list[tuple[str, int]]) -> None:
    """As after a lost connection: what nobody has in his hands comes again from the server."""
    house = House(BufferPolicy.DROP_OLDEST)
    for step, number in steps:
        house.do(step, number)
    in_hand = house.in_hand
    forgotten = house.buffer.forget_undelivered()
    assert [message.message_id for message in forgotten] == house.waiting
    assert house.buffer.held == len(in_hand)
    assert house.buffer.pending_bytes == 0
    for message in forgotten:
        house.buffer.admit(message, 2)
    member = house.buffer.join()
    for name in house.waiting:
        delivery = house.buffer.take(member)
        assert delivery is not None
        assert (delivery.message.message_id, delivery.attempt) == (name, 2)


async def test_what_is_nacked_for_later_keeps_its_place_and_its_room() -> None:
    house = House(BufferPolicy.WAIT)
    for step in ("join", "put", "put", "take"):
        house.do(step, 1)
    (_, taken), buffer = house.members[0], house.buffer
    await taken.pop().nack(0.02)
    assert (buffer.held, buffer.pending, buffer.pending_bytes) == (2, 2, 2)
    second = buffer.take(house.members[0][0])
    assert second is not None
    assert buffer.take(house.members[0][0]) is None, "the first is not due yet"
    await second.nack()
    await until(lambda: len(buffer._undelivered) == 2)
    again = [buffer.take(house.members[0][0]) for _ in range(2)]
    assert [one.message.message_id for one in again if one] == ["m_000", "m_001"]


@pytest.mark.parametrize("delay", [-1.0, float("nan"), float("inf"), -float("inf")])
async def test_a_delay_that_is_no_time_leaves_the_delivery_as_it_was(delay: float) -> None:
    house = House(BufferPolicy.WAIT)
    for step in ("join", "put", "take"):
        house.do(step, 1)
    (delivery,) = house.members[0][1]
    with pytest.raises(ValueError, match="number of seconds"):
        await delivery.nack(delay)
    await delivery.ack()
    assert house.buffer.held == 0


async def test_a_reader_that_gives_up_in_its_turn_passes_it_on() -> None:
    house = House(BufferPolicy.WAIT)
    first, second = house.buffer.reader(), house.buffer.reader()
    house.do("put", 1)
    assert first.done()
    assert not second.done()
    house.buffer.give_up(first)
    assert second.done()
    third = house.buffer.reader()
    third.cancel()
    house.buffer.give_up(third)
    fourth = house.buffer.reader()
    house.do("put", 1)
    assert fourth.done()


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(1, 6), st.integers(0, 60))
def test_dead_letters_are_bounded_in_number_and_in_bytes(sizes: list[int], letters: int, room: int) -> None:
    dead = DeadLetters(letters, room)
    for number, size in enumerate(sizes):
        dead.add(
            Message(topic="a", routing_key=KEY, payload=bytes(size), message_id=f"{number}"), "x" * 600, 1, ""
        )
    kept = dead.letters()
    assert len(kept) <= letters
    assert sum(len(letter.message.payload) for letter in kept) <= room
    assert dead.forgotten == len(sizes) - len(kept)
    assert [letter.message.message_id for letter in kept] == [
        str(n) for n in range(dead.forgotten, len(sizes))
    ]
    assert all(len(letter.reason) == 500 for letter in kept)
