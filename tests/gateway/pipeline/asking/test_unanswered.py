"""Which messages the broker may forget: those whose answers are awaited, and only as long."""

from __future__ import annotations

from gateway.journal.effects import Published
from gateway.pipeline.asking.unanswered import Unanswered
from tests.gateway.journal.rows import letter

FIRST, SECOND = letter(1, correlation_id="c_1"), letter(2, correlation_id="c_2")


def test_a_message_is_kept_from_its_receipt_to_its_answer() -> None:
    unanswered = Unanswered()
    unanswered.expect("c_1")
    assert ("c_1" in unanswered, unanswered.kept()) == (True, [])
    assert unanswered.keep(FIRST)
    assert unanswered.kept() == [FIRST]
    assert unanswered.end("c_1") == (Published(1),)
    assert ("c_1" in unanswered, unanswered.kept()) == (False, [])


def test_an_answer_may_be_faster_than_the_receipt_of_its_question() -> None:
    unanswered = Unanswered()
    unanswered.expect("c_1")
    assert unanswered.end("c_1") == ()
    assert not unanswered.keep(FIRST)
    assert unanswered.kept() == []


def test_what_nobody_will_answer_is_not_kept() -> None:
    unanswered = Unanswered()
    unanswered.expect("c_1")
    assert not unanswered.keep(SECOND)
    assert "c_2" not in unanswered


def test_what_is_safe_is_not_kept_and_still_awaited() -> None:
    unanswered = Unanswered()
    unanswered.expect("c_1")
    unanswered.keep(FIRST)
    unanswered.release(SECOND)
    assert unanswered.kept() == [FIRST]
    unanswered.release(FIRST)
    assert ("c_1" in unanswered, unanswered.kept()) == (True, [])
    unanswered.expect("c_1")  # asked once more, it forgets nothing
    assert unanswered.keep(FIRST)
    unanswered.expect("c_1")
    assert unanswered.kept() == [FIRST]
