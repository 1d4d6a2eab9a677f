"""Who gets a place at a table that many fill, and who gives one up."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.shares import HOUSE, gives_way, has_share

OWNERS = st.sampled_from(["ann", "bob", "cid", HOUSE])


def filled(places: int, owners: list[str]) -> Counter[str]:
    """What is taken when each of these asks in turn for as many places as there are."""
    taken: Counter[str] = Counter()
    for owner in owners:
        while has_share(places, taken, owner):
            taken[owner] += 1
    return taken


def test_one_alone_gets_half_and_two_that_come_by_turns_a_third_each() -> None:
    assert filled(12, ["ann"]) == {"ann": 6}
    taken: Counter[str] = Counter()
    for owner in ["ann", "bob"] * 12:
        if has_share(12, taken, owner):
            taken[owner] += 1
    assert taken == {"ann": 4, "bob": 4}


@given(st.integers(2, 50), st.lists(st.sampled_from(["ann", "bob", "cid"]), max_size=5))
def test_the_house_always_finds_room_among_visitors(places: int, owners: list[str]) -> None:
    taken = filled(places, owners)
    free = places - taken.total()
    assert filled(places, [*owners, HOUSE])[HOUSE] == free
    assert taken.total() <= places
    assert free > 0 or places < 2 ** (len(set(owners)) + 1)


@given(st.lists(OWNERS, max_size=40), OWNERS)
def test_only_who_has_more_makes_room_and_never_the_house(taken: list[str], owner: str) -> None:
    there = Counter(taken)
    most = gives_way(there, owner)
    if most is None:
        assert owner == HOUSE or all(n <= there[owner] + 1 for one, n in there.items() if one != HOUSE)
        assert owner != HOUSE or set(there) <= {HOUSE}
    else:
        assert most != HOUSE
        assert there[most] == max(n for one, n in there.items() if one != HOUSE)
        assert owner == HOUSE or there[most] > there[owner] + 1
