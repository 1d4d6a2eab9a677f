"""What waits for the pool: in turns, by urgency, bounded, and nobody held up by who cannot be served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.recognition import Urgency
from gateway.recognizers.pool.order import Order
from gateway.recognizers.pool.queue import PoolQueue
from gateway.recognizers.pool.workers import Need
from tests.gateway.recognizers.pool.workers import spoken
from transcription.errors import QueueFull
from transcription.priority import Priority
from transcription.recognizing import Recognized
from transcription.transcriber import NO_HINTS

WORD = spoken(0.01)
BASE, GERMAN = Need("base", "en"), Need("base", "de")


def everybody(_order: Order) -> bool:
    return True


def nobody(_order: Order) -> bool:
    return False


def english(order: Order) -> bool:
    return order.need == BASE


def order(
    owner: str = "o",
    priority: Priority = Priority.NORMAL,
    *,
    need: Need = BASE,
    urgency: Urgency = Urgency.FINAL,
    kept: bool = False,
) -> Order:
    loop = asyncio.new_event_loop()
    answer: asyncio.Future[Recognized] = loop.create_future()
    loop.close()
    return Order(WORD, NO_HINTS, need, owner, answer, 0.0, urgency, priority, kept=kept)


def filled(*orders: Order, capacity: int = 10) -> PoolQueue:
    queue = PoolQueue(capacity)
    for one in orders:
        queue.put(one)
    return queue


def taken(queue: PoolQueue, served: Callable[[Order], bool] = everybody) -> list[str]:
    owners = []
    while (one := queue.take(served, everybody)) is not None:
        owners.append(one.owner)
    return owners


def test_owners_take_turns() -> None:
    assert taken(filled(order("a"), order("a"), order("a"), order("b"))) == ["a", "b", "a", "a"]


def test_who_is_urgent_goes_first_and_nobody_starves() -> None:
    urgent = [order(f"u{number}", Priority.URGENT) for number in range(30)]
    owners = taken(filled(order("low", Priority.BACKGROUND), *urgent, capacity=40))
    assert owners[0] == "u0"
    assert owners.index("low") < 12


def test_recordings_are_behind_all() -> None:
    queue = filled(order("file", urgency=Urgency.FILE), order("a"), order("b", Priority.BACKGROUND))
    assert taken(queue) == ["a", "b", "file"]


def test_without_room_nothing_is_taken_and_nothing_changes() -> None:
    queue = filled(order("a"), order("b"))
    assert queue.take(everybody, nobody) is None
    assert taken(queue) == ["a", "b"]


def test_those_whom_nobody_can_serve_hold_up_nobody() -> None:
    queue = filled(order("de", need=GERMAN), order("en"), order("en2"))
    assert taken(queue, english) == ["en", "en2"]
    assert len(queue) == 1
    assert queue.load(Priority.NORMAL) == pytest.approx(0.1)
    assert taken(queue) == ["de"], "as soon as somebody can"
    assert len(queue) == 0


def test_one_that_was_passed_over_may_be_taken_out() -> None:
    one = order("de", need=GERMAN)
    queue = filled(one)
    assert queue.take(english, everybody) is None
    assert queue.discard(one)
    assert not queue.discard(one)
    assert taken(queue) == []


def test_what_was_put_back_is_its_owners_next() -> None:
    first, second = order("a"), order("a")
    queue = filled(first, second)
    assert queue.take(everybody, everybody) is first
    queue.put_back(first)
    assert queue.take(everybody, everybody) is first
    assert queue.take(everybody, everybody) is second


def test_a_full_class_refuses_but_what_is_kept_and_the_other_classes() -> None:
    queue = filled(*(order(f"o{number}") for number in range(4)), capacity=4)
    with pytest.raises(QueueFull):
        queue.put(order("late"))
    queue.put(order("late", kept=True))
    queue.put(order("late", Priority.URGENT))
    assert queue.load(Priority.NORMAL) == pytest.approx(1.25)
    assert queue.load(Priority.URGENT) == pytest.approx(0.25)
    assert len(queue) == 6


def test_those_that_wait_for_somebody_who_can_count_as_well() -> None:
    queue = filled(order("a", need=GERMAN), order("b", need=GERMAN), capacity=2)
    assert queue.take(english, everybody) is None
    with pytest.raises(QueueFull):
        queue.put(order("c"))


def test_one_owner_has_half_of_the_room() -> None:
    queue = filled(order("a"), order("a"), capacity=4)
    with pytest.raises(QueueFull):
        queue.put(order("a"))
    queue.put(order("b"))


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(list(Priority)),
            st.booleans(),
            st.sampled_from([BASE, GERMAN]),
        ),
        max_size=30,
    )
)
def test_all_are_taken_once_each(wanted: list[tuple[str, Priority, bool, Need]]) -> None:
    orders = [
        order(owner, priority, need=need, urgency=Urgency.FILE if behind else Urgency.FINAL, kept=True)
        for owner, priority, behind, need in wanted
    ]
    queue = filled(*orders, capacity=100)
    some = set()
    while (one := queue.take(english, everybody)) is not None:
        some.add(one)
    assert some == {one for one in orders if one.need == BASE}
    while (one := queue.take(everybody, everybody)) is not None:
        some.add(one)
    assert some == set(orders)
    assert len(queue) == 0
