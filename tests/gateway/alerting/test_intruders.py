"""Patterns of who tries, and what is nobody's fault."""

from __future__ import annotations

from gateway.alerting.intruders import BOOTS, HELD_SECONDS, MOST, TRIES, Intruders


def names(one: Intruders, now: float) -> dict[str, str]:
    return {found.name: found.text for found in one.amiss(now)}


def test_many_refusals_of_one_address_are_somebody_who_tries() -> None:
    one = Intruders()
    for number in range(TRIES - 1):
        one.refused("10.0.0.9", float(number))
    assert names(one, 10.0) == {}
    one.refused("10.0.0.9", 10.0)
    assert "10.0.0.9" in names(one, 10.0)["door"]
    (found,) = one.amiss(10.0)
    assert "10.0.0.9" not in found.shown, "which is nothing for everybody with the page"
    assert names(one, 11.0 + HELD_SECONDS) == {}, "it is over when it has stopped"


def test_now_and_then_is_a_mistake() -> None:
    one = Intruders()
    for number in range(100):
        one.refused("10.0.0.9", 30.0 * number)
    assert names(one, 3_000.0) == {}


def test_many_addresses_once_each_are_remembered_within_a_bound() -> None:
    one = Intruders()
    for number in range(10 * MOST):
        one.refused(f"10.0.{number // 256}.{number % 256}", 1.0)
    assert len(one._tries) == MOST
    assert names(one, 1.0) == {}


def test_a_token_here_and_there_and_here_again_is_in_two_hands() -> None:
    one = Intruders()
    one.used("board", "a", 1.0)
    one.used("board", "b", 2.0)
    assert names(one, 3.0) == {}, "it has moved"
    one.used("board", "a", 4.0)
    assert "board" in names(one, 5.0)["token in two hands"]


def test_one_that_moves_and_comes_home_later_is_in_one() -> None:
    one = Intruders()
    for number, place in enumerate("abab"):
        one.used("board", place, 600.0 * number)
        one.used("board", place, 600.0 * number + 1)
    assert names(one, 2_000.0) == {}


def test_a_device_that_begins_anew_again_and_again() -> None:
    one = Intruders()
    for number in range(BOOTS):
        one.booted("kitchen", number, 60.0 * number)
        one.booted("kitchen", number, 60.0 * number + 1)  # the cable, and not the board
    assert "kitchen" in names(one, 300.0)["devices restart"]
    steady = Intruders()
    for number in range(50):
        steady.booted("kitchen", 7, float(number))
    assert names(steady, 60.0) == {}


def test_many_of_a_kind_are_one_alert() -> None:
    one = Intruders()
    for device in range(40):
        for boot in range(BOOTS):
            one.booted(f"board-{device}", boot, float(boot))
    assert names(one, 10.0) == {"devices restart": "board-0 (and 39 more) begins anew, again and again"}
