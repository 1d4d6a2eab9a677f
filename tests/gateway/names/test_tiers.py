"""Which names a recognizer is told first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.names.tiers import LONGEST_NAME, MOST_TOLD, Likely, Named, cleaned, in_order

HOUSE = (
    Named("Ecobee", "Hall"),
    Named("Kitchen", "Kitchen", Likely.PLACE),
    Named("Fridge temperature", "Kitchen", Likely.MEASURED),
    Named("Vitamix", "Kitchen"),
    Named("Hall", "Hall", Likely.PLACE),
    Named("Siobhan", "*"),
    Named("Battery", "Hall", Likely.MEASURED),
    Named("vitamix", "Cellar"),
)


def test_the_rooms_own_come_first_then_rooms_then_the_rest() -> None:
    assert in_order(HOUSE, "kitchen") == (
        "Kitchen",
        "Vitamix",
        "Siobhan",
        "Fridge temperature",
        "Hall",
        "Ecobee",
        "Battery",
    )
    assert in_order(HOUSE, "Hall")[:3] == ("Ecobee", "Hall", "Siobhan")


def test_where_nobody_knows_the_room_rooms_and_what_is_commanded_come_first() -> None:
    assert in_order(HOUSE, "") == (
        "Siobhan", "Kitchen", "Hall", "Ecobee", "Vitamix", "Fridge temperature", "Battery"
    )  # fmt: skip


def test_a_room_is_one_however_it_is_written() -> None:
    names = (Named("Nanoleaf", "Living room"), Named("Nuki", "Hall"))
    assert in_order(names, "living_room") == in_order(names, "LIVING  ROOM") == ("Nanoleaf", "Nuki")


def test_what_nobody_can_say_is_no_name() -> None:
    names = [
        "  Coffee\n machine ",
        "\N{ELECTRIC LIGHT BULB} Lamp\u202e",
        "12",
        "",
        "x" * (LONGEST_NAME + 1),
        "\x00",
    ]
    assert [one.name for one in cleaned(map(Named, names))] == ["Coffee machine", "Lamp"]


@given(
    st.lists(st.builds(Named, st.text(max_size=8), st.sampled_from(["", "a", "*"]), st.sampled_from(Likely)))
)
def test_each_is_told_once_and_what_is_told_stays_the_same(names: list[Named]) -> None:
    told = in_order(names, "a")
    assert len({one.casefold() for one in told}) == len(told) <= MOST_TOLD
    assert {one.casefold() for one in told} == {one.name.casefold() for one in names}
    assert told == in_order(list(names), "a")


def test_no_more_are_told_than_any_model_reads() -> None:
    assert len(in_order((Named(f"name {n}") for n in range(MOST_TOLD + 5)), "")) == MOST_TOLD
