"""Who is there in the house: told by what is heard of them, in beats of one's own."""

from __future__ import annotations

from msgspec import structs

from gateway.contract.house import GatewayPresence
from gateway.house.neighbours import FORGOTTEN_BEATS, GONE_BEATS, MOST_NEIGHBOURS, Neighbour, Neighbours

ME = GatewayPresence(gateway="me", instance="h_me")
OTHER = GatewayPresence(gateway="other", instance="h_other", epoch="e_other", timestamp=5.0)


def beats(neighbours: Neighbours, count: int) -> None:
    for _ in range(count):
        neighbours.hear(ME)


def test_who_is_heard_is_there_and_who_is_silent_is_not() -> None:
    neighbours = Neighbours("h_me")
    heard: list[tuple[str, bool, str]] = []
    neighbours.on_change.append(lambda one: heard.append((one.name, one.is_here, one.gone)))
    neighbours.hear(OTHER)
    beats(neighbours, GONE_BEATS - 1)
    assert [one.name for one in neighbours.here()] == ["other"]
    beats(neighbours, 1)
    assert neighbours.here() == []
    neighbours.hear(OTHER)
    assert heard == [("other", True, ""), ("other", False, "nothing is heard of it"), ("other", True, "")]


def test_nobody_is_held_for_dead_by_somebody_who_hears_nothing_at_all() -> None:
    neighbours = Neighbours("h_me")
    neighbours.hear(OTHER)
    assert [one.name for one in neighbours.here()] == ["other"]  # however long this one was asleep


def test_who_leaves_is_gone_at_once_and_what_was_said_before_does_not_bring_it_back() -> None:
    neighbours = Neighbours("h_me")
    neighbours.hear(OTHER)
    neighbours.hear(structs.replace(OTHER, state="leaving", timestamp=6.0))
    neighbours.hear(OTHER)
    (one,) = neighbours.known()
    assert one.gone == "it was stopped"
    neighbours.hear(structs.replace(OTHER, timestamp=7.0))  # somebody else had said that it leaves
    assert one.is_here


def test_two_of_one_name_are_two_and_the_one_that_is_there_goes_first() -> None:
    neighbours = Neighbours("h_me")
    neighbours.hear(OTHER)
    neighbours.hear(structs.replace(OTHER, instance="h_twin", epoch="e_twin"))
    assert len(neighbours.here()) == 2
    neighbours.hear(structs.replace(OTHER, instance="h_twin", epoch="e_twin", state="leaving", timestamp=9))
    assert found(neighbours.of_name("other")).facts.instance == "h_other"
    assert found(neighbours.of_epoch("e_twin")).gone
    assert neighbours.of_epoch("") is None


def test_one_that_was_replaced_is_forgotten_and_so_is_one_that_nobody_misses() -> None:
    neighbours = Neighbours("h_me")
    neighbours.hear(OTHER)
    beats(neighbours, GONE_BEATS)
    neighbours.hear(structs.replace(OTHER, instance="h_next"))
    beats(neighbours, 1)
    assert [one.facts.instance for one in neighbours.known()] == ["h_next"]
    beats(neighbours, FORGOTTEN_BEATS)
    assert neighbours.known() == []


def test_their_number_is_bounded_and_who_has_gone_makes_room() -> None:
    neighbours = Neighbours("h_me")
    for number in range(MOST_NEIGHBOURS + 1):
        neighbours.hear(GatewayPresence(gateway=f"gate-{number}", instance=f"h_{number}"))
    assert len(neighbours.known()) == MOST_NEIGHBOURS
    assert neighbours.refused == 1
    neighbours.hear(GatewayPresence(gateway="gate-0", instance="h_0", state="leaving"))
    neighbours.hear(GatewayPresence(gateway="late", instance="h_late"))
    assert neighbours.find("h_late") is not None
    assert neighbours.find("h_0") is None


def test_who_names_no_instance_is_nobody() -> None:
    neighbours = Neighbours("h_me")
    neighbours.hear(GatewayPresence(gateway="other"))
    assert neighbours.known() == []


def found(one: Neighbour | None) -> Neighbour:
    assert one is not None
    return one
