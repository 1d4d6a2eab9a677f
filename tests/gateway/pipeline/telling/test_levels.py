"""Levels for whoever asks now and then."""

from __future__ import annotations

from gateway.pipeline.telling.levels import FRESH_SECONDS, KEPT_DEVICES, WANTED_SECONDS, Levels


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_they_are_wanted_for_a_while_after_somebody_asked() -> None:
    clock = Clock()
    levels = Levels(clock)
    assert not levels.are_wanted
    assert levels.now() == {}
    assert levels.are_wanted
    clock.now += WANTED_SECONDS
    assert not levels.are_wanted


def test_an_old_one_says_nothing() -> None:
    clock = Clock()
    levels = Levels(clock)
    levels.note("kitchen", -40)
    levels.note("kitchen", -20)
    assert levels.now() == {"kitchen": -20}
    clock.now += FRESH_SECONDS
    assert levels.now() == {}


def test_they_take_no_more_than_their_room() -> None:
    levels = Levels(Clock())
    for i in range(2 * KEPT_DEVICES):
        levels.note(f"d{i}", -20)
    assert len(levels.now()) == KEPT_DEVICES
