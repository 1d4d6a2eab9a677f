"""Looks at speech that goes on: the newest of each utterance, owners in turn, within a budget, all accounted for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.transcription.speech import utterance
from transcription.scheduling.drafts import Budget, Draft, DraftCounters, Drafts
from transcription.settings import PartialsSettings
from transcription.transcriber import Hints, Transcript
from transcription.utterance.segmenter import Utterance


def so_far(samples: int) -> Utterance:
    return utterance(np.zeros(samples, np.int16))


def said(text: str, *, doubtful: bool = False) -> Transcript:
    return Transcript(text, "en", 1.0, 0.0, (), "none", "none", 0.0, doubtful=doubtful)


@dataclass
class Desk:
    """Drafts, and what was told."""

    drafts: Drafts
    told: list[str] = field(default_factory=list)

    def follow(self, owner: str) -> Draft:
        return Draft(
            owner,
            lambda transcript: self.told.append(f"{owner}: {transcript.text}"),
            self.drafts.ask,
            self.drafts.drop,
        )

    def taken(self, now: float = 0.0) -> tuple[str, int] | None:
        found = self.drafts.take(now)
        return None if found is None else (found[0].owner, len(found[1].samples))


@pytest.fixture
def desk() -> Desk:
    return Desk(Drafts(PartialsSettings(share=0.25, longest_ms=200), capacity=4))


# Whose turn


def test_only_the_newest_of_an_utterance_waits(desk: Desk) -> None:
    draft = desk.follow("a")
    for samples in (10, 20, 30):
        draft.ask(so_far(samples))
    assert len(desk.drafts) == 1
    assert desk.taken() == ("a", 30)
    assert desk.taken() is None
    assert desk.drafts.counters == DraftCounters(asked=3, stale=2)


def test_owners_take_turns_and_a_newer_look_keeps_its_turn(desk: Desk) -> None:
    a, b = desk.follow("a"), desk.follow("b")
    a.ask(so_far(10))
    b.ask(so_far(20))
    a.ask(so_far(11))
    assert desk.taken() == ("a", 11)
    a.ask(so_far(12))
    assert [desk.taken(), desk.taken()] == [("b", 20), ("a", 12)]


def test_no_more_wait_than_there_is_room_for_and_one_owner_does_not_take_it_all(desk: Desk) -> None:
    noisy = [desk.follow("noisy") for _ in range(3)]
    for draft in noisy:
        draft.ask(so_far(1))
    assert len(desk.drafts) == 2
    desk.follow("b").ask(so_far(2))
    assert len(desk.drafts) == 3
    assert desk.drafts.counters == DraftCounters(asked=4, gave_way=1)


def test_a_look_is_a_draft_and_else_what_is_known_of_the_utterance(desk: Desk) -> None:
    draft = desk.follow("a")
    draft.ask(so_far(1), Hints(prompt="no more"))
    draft.ask(so_far(2), Hints(language="de", word_timestamps=True))
    assert draft.hints == Hints(language="de", draft=True)


# What becomes of them


def test_an_utterance_that_is_over_waits_no_more(desk: Desk) -> None:
    draft = desk.follow("a")
    draft.ask(so_far(10))
    draft.drop()
    draft.drop()
    assert (len(desk.drafts), desk.taken()) == (0, None)
    draft.ask(so_far(20))
    assert desk.drafts.counters == DraftCounters(asked=2, stale=2)


@pytest.mark.parametrize(
    ("transcript", "over", "told", "counters"),
    [
        (said("on"), False, ["a: on"], DraftCounters(asked=1, shown=1)),
        (said(""), False, ["a: "], DraftCounters(asked=1, shown=1)),
        (said("on"), True, [], DraftCounters(asked=1, stale=1)),
        (said("on on on", doubtful=True), False, [], DraftCounters(asked=1, doubted=1)),
        (None, False, [], DraftCounters(asked=1, failed=1)),
        (None, True, [], DraftCounters(asked=1, failed=1)),
    ],
    ids=["shown", "nothing so far", "too late", "cannot be right", "failed", "failed too late"],
)
def test_what_was_begun_is_told_if_it_is_worth_it(
    desk: Desk,
    transcript: Transcript | None,
    over: bool,  # noqa: FBT001
    told: list[str],
    counters: DraftCounters,
) -> None:
    draft = desk.follow("a")
    draft.ask(so_far(10))
    assert desk.taken() == ("a", 10)
    if over:
        draft.drop()
    desk.drafts.done(draft, transcript)
    assert (desk.told, desk.drafts.counters) == (told, counters)


def test_what_an_engine_failed_at_is_not_looked_at_again(desk: Desk) -> None:
    draft = desk.follow("a")
    draft.ask(so_far(10))
    desk.taken()
    draft.ask(so_far(20))
    desk.drafts.done(draft, None)
    draft.ask(so_far(30))
    assert desk.taken() is None
    assert desk.drafts.counters == DraftCounters(asked=3, failed=1, stale=2)


def test_what_gives_way_is_told_apart_from_what_is_merely_old(desk: Desk) -> None:
    draft = desk.follow("a")
    draft.ask(so_far(10))
    desk.drafts.pass_over()
    draft.ask(so_far(20))  # behind the same piece of work
    draft.ask(so_far(30))
    assert desk.taken() == ("a", 30)
    draft.ask(so_far(40))
    draft.ask(so_far(50))
    desk.drafts.refuse()
    assert desk.drafts.counters == DraftCounters(asked=6, gave_way=3, stale=1)


# The budget


def test_after_a_look_comes_a_pause_that_keeps_its_share(desk: Desk) -> None:
    draft = desk.follow("a")
    draft.ask(so_far(10))
    desk.drafts.budget.spend(100.0, 0.1)
    assert desk.drafts.budget.free_at == 100.4
    assert desk.taken(100.39) is None
    assert desk.taken(100.4) == ("a", 10)


def test_where_passes_take_long_there_are_no_looks(desk: Desk) -> None:
    budget, draft = desk.drafts.budget, desk.follow("a")
    for seconds in (0.1, 0.2, 9.0):  # one that was slow for once does not matter
        budget.measure(seconds)
    assert budget.affordable
    draft.ask(so_far(10))
    budget.measure(0.3)
    assert not budget.affordable
    assert desk.taken() is None
    draft.ask(so_far(20))
    assert desk.drafts.counters == DraftCounters(asked=2, gave_way=1)
    for _ in range(3):
        budget.measure(0.05)
    assert desk.taken() == ("a", 10)


@given(
    st.sampled_from([0.05, 0.25, 0.5, 1.0]),
    st.lists(st.tuples(st.floats(0, 2), st.floats(0.001, 3)), min_size=1, max_size=30),
)
def test_looks_never_take_more_than_their_share(share: float, looks: list[tuple[float, float]]) -> None:
    """From the first look on, at every moment in which one may begin."""
    budget, now, spent = Budget(share, 10.0), 1000.0, 0.0
    begun = now
    for idle, seconds in looks:
        now = max(now + idle, budget.free_at)
        assert spent <= share * (now - begun) + 1e-6
        budget.spend(now, seconds)
        now, spent = now + seconds, spent + seconds


class DraftsAccount(RuleBasedStateMachine):
    """Whatever happens: at most one waits for each utterance, and every look that was asked for is counted once."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(Drafts(PartialsSettings(), capacity=6))
        self.followed = [self.desk.follow(owner) for owner in "aabbc"]
        self.at_work: Draft | None = None

    @rule(which=st.integers(0, 4), samples=st.integers(0, 9))
    def ask(self, which: int, samples: int) -> None:
        self.followed[which].ask(so_far(samples))

    @rule(which=st.integers(0, 4))
    def another_utterance(self, which: int) -> None:
        draft = self.followed[which]
        draft.drop()
        self.followed[which] = self.desk.follow(draft.owner)

    @rule()
    def something_more_important(self) -> None:
        self.desk.drafts.pass_over()

    @rule()
    def no_time(self) -> None:
        self.desk.drafts.refuse()

    @precondition(lambda self: self.at_work is None)
    @rule()
    def take(self) -> None:
        taken = self.desk.drafts.take(0.0)
        if taken:
            self.at_work = taken[0]
            assert self.at_work.so_far is None
            assert not self.at_work.dropped

    @precondition(lambda self: self.at_work is not None)
    @rule(outcome=st.sampled_from([None, said("x"), said("x", doubtful=True)]))
    def done(self, outcome: Transcript | None) -> None:
        assert self.at_work is not None
        self.desk.drafts.done(self.at_work, outcome)
        self.at_work = None

    @invariant()
    def all_are_counted_once(self) -> None:
        c = self.desk.drafts.counters
        waiting = sum(draft.so_far is not None for draft in self.followed)
        assert waiting == len(self.desk.drafts) <= 6
        outcomes = c.shown + c.stale + c.gave_way + c.doubted + c.failed
        assert c.asked == outcomes + waiting + (self.at_work is not None)
        assert len(self.desk.told) == c.shown


TestDraftsAccount = DraftsAccount.TestCase
