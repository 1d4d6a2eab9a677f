"""How fast a device's clock goes, told from arrivals that are late in every way there is."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from firmware_bridge.link.clock_drift import BINS, ClockDrift

FRAME = 320


def arrivals(
    *, rate: float, seconds: float, lateness: Callable[[float], float], frame: int = FRAME
) -> Iterator[tuple[int, float]]:
    """Positions and arrival times of a device that records ``rate`` samples in a second, in order."""
    position, latest = 0, 0.0
    while (recorded := position / rate) < seconds:
        position += frame
        latest = max(latest, 1000.0 + recorded + frame / rate + lateness(recorded))
        yield position, latest


def measured(**course: object) -> ClockDrift:
    drift = ClockDrift()
    for position, now in arrivals(**course):  # type: ignore[arg-type]
        drift.heard(position, now)
    return drift


@pytest.mark.parametrize("ppm", [-2500.0, -80.0, 0.0, 35.0, 400.0])
def test_a_drift_is_found_behind_the_jitter_of_a_network(ppm: float) -> None:
    chance = random.Random(7)
    drift = measured(
        rate=16_000 * (1 + ppm / 1e6), seconds=60, lateness=lambda _: chance.expovariate(1 / 0.005)
    )
    assert drift.ppm == pytest.approx(ppm, abs=20)


@pytest.mark.parametrize("away", [(0.0, 6.0), (20.0, 26.0), (52.0, 58.0)])
def test_a_ring_that_catches_up_moves_nothing(away: tuple[float, float]) -> None:
    """A device that was away for six seconds sends what it kept at once."""
    chance = random.Random(3)
    begin, end = away

    def lateness(recorded: float) -> float:
        held = end - recorded if begin <= recorded < end else 0.0
        return held + chance.uniform(0, 0.004)

    assert measured(rate=16_000 * (1 + 60e-6), seconds=60, lateness=lateness).ppm == pytest.approx(60, abs=25)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_a_wrong_rate_is_found_within_two_seconds(rate: int) -> None:
    chance = random.Random(5)
    drift = measured(rate=rate, seconds=2.0, lateness=lambda _: chance.uniform(0, 0.01))
    assert drift.samples_per_second == pytest.approx(rate, rel=0.02)


def test_a_short_stretch_tells_nothing() -> None:
    assert ClockDrift().samples_per_second is None
    short = measured(rate=16_000, seconds=1.0, lateness=lambda _: 0.0)
    assert (short.samples_per_second, short.ppm) == (None, None)
    longer = measured(rate=16_000, seconds=5.0, lateness=lambda _: 0.0)
    assert longer.samples_per_second == pytest.approx(16_000)
    assert longer.ppm is None


def test_what_arrived_in_one_go_is_no_rate() -> None:
    burst = ClockDrift()
    for i in range(500):
        burst.heard(i * FRAME, 5.0)
    assert (burst.seconds, burst.samples_per_second, burst.ppm) == (0.0, None, None)


def test_a_day_of_audio_takes_no_more_room() -> None:
    drift = ClockDrift()
    for second in range(86_400):
        drift.heard(int(second * 16_000 * (1 + 12e-6)), float(second))
    assert drift.ppm == pytest.approx(12, abs=0.5)
    assert len(drift._bins) <= BINS
