"""What is spoken now and what is a recording, told by the clock."""

from __future__ import annotations

import pytest

from gateway.adapters.wyoming.pace import PACE_SECONDS, SoundPace


class Clock:
    """One that a test sets."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def __call__(self) -> float:
        return self.time


class Sound:
    """So much of it, in so large pieces, each so long after the one before; and it takes us a while to listen to."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.pace = SoundPace(self.clock)
        self.seconds = 0.0

    def comes(self, seconds: float, *, piece: float = 0.01, after: float = 0.01, ours: float = 0.0) -> bool:
        """Whether it is being spoken, by then."""
        for _ in range(round(seconds / piece)):
            self.clock.time += after
            self.pace.came(self.seconds)
            self.seconds += piece
            self.clock.time += ours
            self.pace.taken()
        return self.pace.is_spoken(self.seconds)


@pytest.mark.parametrize("piece", [0.01, 0.032, 0.5])
def test_what_comes_as_fast_as_it_is_spoken_is_spoken(piece: float) -> None:
    assert Sound().comes(2.5, piece=piece, after=piece)


@pytest.mark.parametrize("piece", [0.01, 0.5, 1.5])
@pytest.mark.parametrize("seconds", [1.5, 30.0])
def test_what_comes_at_once_is_a_recording(piece: float, seconds: float) -> None:
    assert not Sound().comes(seconds, piece=piece, after=0.0001)


def test_a_recording_stays_one_however_long_we_listen_to_it() -> None:
    assert not Sound().comes(10, piece=0.2, after=0.001, ours=5.0)


def test_what_was_kept_for_a_while_is_spoken_once_it_comes_as_it_is_spoken() -> None:
    sound = Sound()
    assert not sound.comes(5.0, after=0.0)
    assert not sound.comes(0.5)
    assert sound.comes(PACE_SECONDS)


def test_what_a_network_held_up_for_a_moment_is_spoken_all_the_same() -> None:
    sound = Sound()
    assert sound.comes(3.0)
    sound.clock.time += 1.5
    assert sound.comes(1.5, after=0.0)


def test_nothing_is_not_spoken() -> None:
    assert not Sound().comes(0)


def test_no_more_is_remembered_than_is_needed() -> None:
    sound = Sound()
    sound.comes(60.0)
    assert len(sound.pace._marks) < 300


@pytest.mark.parametrize("piece", [0.0, 1 / 16_000], ids=["nothing", "a sample"])
def test_pieces_however_small_cost_no_memory(piece: float) -> None:
    sound = Sound()
    for _ in range(16_000):
        sound.pace.came(sound.seconds)
        sound.seconds += piece
        sound.pace.taken()
    assert len(sound.pace._marks) < 300
