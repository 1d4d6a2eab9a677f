"""Which recognizers are there, and who of them could do an utterance."""

from __future__ import annotations

import math

import pytest

from gateway.contract.recognition import WORKER_GONE_SECONDS, WorkerPresence
from gateway.recognizers.pool.workers import MOST_CAPACITY, MOST_WORKERS, Need, Workers

BASE = Need("base", "de")


def one(worker: str = "w1", **facts: object) -> WorkerPresence:
    return WorkerPresence(**{"worker": worker, "model": "base", "capacity": 1, **facts})  # type: ignore[arg-type]


def heard(*said: WorkerPresence, now: float = 0.0) -> Workers:
    workers = Workers()
    for presence in said:
        workers.hear(presence, now)
    return workers


def test_those_that_fit_are_taken_together() -> None:
    workers = heard(
        one("a", capacity=2, busy=1, seconds_per_job=0.4),
        one("b", capacity=1, oldest_seconds=3.0, seconds_per_job=0.6),
        one("c", model="small", capacity=8),
    )
    hands = workers.hands(BASE, 0.0)
    assert (hands.workers, hands.capacity, hands.busy, hands.free) == (2, 3, 1, 2)
    assert (hands.oldest_seconds, hands.seconds_per_job) == (3.0, pytest.approx(0.5))


@pytest.mark.parametrize(
    ("facts", "need", "fits"),
    [
        ({"languages": ("de", "en")}, Need("base", "de"), True),
        ({"languages": ("en",)}, Need("base", "de"), False),
        ({"languages": ()}, Need("base", "de"), True),
        ({"languages": ("en",)}, Need("base", "auto"), True),
        ({"languages": ("en",)}, Need("base", "en", translate=True), False),
        ({"languages": ("de", "en")}, Need("base", "de", translate=True), True),
        ({"state": "loading"}, Need("base"), False),
        ({"state": "leaving"}, Need("base"), False),
        ({"capacity": 0}, Need("base"), False),
        ({"model": "small"}, Need("base"), False),
    ],
)
def test_who_can_do_it(facts: dict[str, object], need: Need, fits: bool) -> None:  # noqa: FBT001
    assert (heard(one(**facts)).hands(need, 0.0).capacity > 0) == fits


def test_who_is_silent_is_gone_and_may_come_back() -> None:
    workers = heard(one())
    assert workers.hands(BASE, WORKER_GONE_SECONDS).workers == 1
    later = WORKER_GONE_SECONDS + 0.1
    assert workers.hands(BASE, later).workers == 0
    assert workers.knows("w1"), "its last results may be on their way"
    assert workers.hear(one(), later), "that it is back is news"
    assert workers.hands(BASE, later).workers == 1


def test_what_is_news_and_what_is_not() -> None:
    workers = heard(one())
    assert not workers.hear(one(busy=1, oldest_seconds=2.0, done=5), 0.5)
    assert workers.hear(one(state="leaving"), 1.0)
    assert workers.hear(one("w2"), 1.0)


def test_who_has_just_given_a_result_is_at_one_less() -> None:
    workers = heard(one(capacity=2, busy=2))
    workers.done("w1")
    assert workers.hands(BASE, 0.0).free == 1
    for _ in range(5):
        workers.done("w1")
    assert workers.hands(BASE, 0.0).busy == 0
    workers.done("nobody")


def test_nobody_is_believed_everything() -> None:
    workers = heard(
        one("a", capacity=10**9, busy=0),
        one("b", busy=7, oldest_seconds=math.inf, seconds_per_job=math.nan),
        one("c", seconds_per_job=-3.0),
    )
    hands = workers.hands(BASE, 0.0)
    assert hands.capacity == MOST_CAPACITY + 2
    assert hands.busy == 1, "nobody does more than it can"
    assert (hands.oldest_seconds, hands.seconds_per_job) == (0.0, 0.0)


def test_only_so_many_are_kept_and_those_that_were_heard_last() -> None:
    workers = heard(*(one(f"w{number}") for number in range(MOST_WORKERS + 5)))
    assert len(workers.present(0.0)) == MOST_WORKERS
    assert not workers.knows("w4")
    assert workers.knows("w5")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ((), "no recognizer is there"),
        ((one(model="small"), one("w2", model="small")), "no recognizer has base; there is small (2)"),
        ((one(state="loading"),), "the recognizers are loading base"),
        ((one(state="leaving"),), "all recognizers with base are leaving"),
        ((one(languages=("en",)),), "no recognizer with base knows the language de"),
    ],
)
def test_why_nobody_could_do_it(said: tuple[WorkerPresence, ...], reason: str) -> None:
    assert heard(*said).why_none(BASE, 0.0) == reason


def test_the_languages_of_a_model_are_those_that_anybody_knows_unless_somebody_says_nothing() -> None:
    workers = heard(one("a", languages=("de", "en")), one("b", languages=("fr",)), one("c", model="x"))
    assert workers.languages("base", 0.0) == ("de", "en", "fr")
    workers.hear(one("d"), 0.0)
    assert workers.languages("base", 0.0) == ()
