"""Dead letters: the latest are kept, within both bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.base import Message, RoutingKey
from gateway.broker.rejected import DeadLetters

KEY = RoutingKey("ann", "kitchen", "s_1")


def letter(payload: bytes) -> Message:
    return Message(topic="a.topic", routing_key=KEY, payload=payload)


def test_a_letter_says_why_when_and_to_whom() -> None:
    dead = DeadLetters()
    message = letter(b"{")
    dead.add(message, "not JSON", 3, "workers")
    (kept,) = dead.letters()
    assert (kept.message, kept.reason, kept.attempt, kept.group) == (message, "not JSON", 3, "workers")
    assert kept.timestamp >= message.timestamp


def test_a_reason_is_short() -> None:
    dead = DeadLetters()
    dead.add(letter(b""), "x" * 10_000, 1, "")
    assert len(dead.letters()[0].reason) == 500


@given(st.lists(st.binary(max_size=60), max_size=40))
def test_the_latest_are_kept_within_both_bounds(payloads: list[bytes]) -> None:
    dead = DeadLetters(max_letters=8, max_bytes=100)
    for payload in payloads:
        dead.add(letter(payload), "", 1, "")
    kept = [kept.message.payload for kept in dead.letters()]
    assert kept == payloads[len(payloads) - len(kept) :]
    assert len(kept) <= 8
    assert sum(map(len, kept)) <= 100
    assert dead.forgotten == len(payloads) - len(kept)
    room_for_more = len(kept) < 8 and len(kept) < len(payloads)
    assert not room_for_more or sum(map(len, payloads[-len(kept) - 1 :])) > 100
