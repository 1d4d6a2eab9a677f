"""Who does an utterance, who helps, and whose text is taken: the table, walked through in every way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.recognizers.pool.standing import TABLE, Contest, Happening, NextStep, Stand

ALL = (Stand.POOL, Stand.OWN, Stand.BOTH, Stand.POOL_LAST, Stand.OWN_LAST)


def test_the_table_knows_everything_that_can_happen() -> None:
    cannot = {
        (Stand.POOL, Happening.OWN_FAILED),
        (Stand.POOL_LAST, Happening.OWN_FAILED),
        (Stand.OWN, Happening.POOL_FAILED),
        (Stand.OWN_LAST, Happening.POOL_FAILED),
    }
    assert TABLE.keys() == {(stand, what) for stand in ALL for what in Happening} - cannot


@pytest.mark.parametrize("stand", ALL)
def test_the_first_text_is_taken_and_then_it_is_over(stand: Stand) -> None:
    contest = Contest(stand)
    assert contest.happens(Happening.TEXT) is NextStep.TAKE
    assert contest.stand is Stand.ENDED
    with pytest.raises(KeyError):
        contest.happens(Happening.TEXT)


@pytest.mark.parametrize("stand", ALL)
def test_what_engines_die_of_is_tried_by_nobody_else(stand: Stand) -> None:
    assert Contest(stand).happens(Happening.POISON) is NextStep.FAIL


@pytest.mark.parametrize(
    ("first", "failed", "then"),
    [
        (Stand.POOL, Happening.POOL_FAILED, NextStep.ASK_OWN),
        (Stand.OWN, Happening.OWN_FAILED, NextStep.ASK_POOL),
        (Stand.POOL, Happening.LATE, NextStep.ASK_OWN),
        (Stand.OWN, Happening.LATE, NextStep.ASK_POOL),
    ],
)
def test_one_helps_the_other(first: Stand, failed: Happening, then: NextStep) -> None:
    assert Contest(first).happens(failed) is then


@given(st.sampled_from(ALL), st.lists(st.sampled_from(list(Happening)), max_size=12))
def test_nobody_is_asked_twice_and_what_fails_has_been_tried_by_all(
    first: Stand, events: list[Happening]
) -> None:
    contest = Contest(first)
    pool = 1 if first in {Stand.POOL, Stand.POOL_LAST, Stand.BOTH} else 0
    own = 1 if first in {Stand.OWN, Stand.OWN_LAST, Stand.BOTH} else 0
    for what in events:
        before = contest.stand
        if (before, what) not in TABLE:
            with pytest.raises(KeyError):
                contest.happens(what)
            assert contest.stand is before
            continue
        step = contest.happens(what)
        pool += step is NextStep.ASK_POOL
        own += step is NextStep.ASK_OWN
        if step is NextStep.FAIL and what is not Happening.POISON and first in {Stand.POOL, Stand.OWN}:
            assert pool == own == 1
    assert pool <= 1
    assert own <= 1
