"""How many devices a box bears: more with more cores, fewer with a larger model, never more than a gateway takes."""

from __future__ import annotations

import pytest

from benchmarks.fleet.capacity import MOST, as_a_fleet, capacity, duty_at_capacity, fits, most, with_small
from gateway.planning.costs import measured
from gateway.planning.sizing import Box, Workload

COSTS = with_small(measured())


@pytest.mark.parametrize(("limit", "bears"), [(0, 0), (1, 1), (7, 7), (1000, 613), (613, 613)])
def test_the_largest_that_fits_is_found(limit: int, bears: int) -> None:
    assert most(lambda number: number <= 613, limit) == bears
    assert most(lambda number: False, limit) == 0


def bears(model: str, cores: int, duty: float) -> int:
    return capacity(COSTS, model, cores, duty, seconds=2.0, listeners=20).devices


@pytest.mark.parametrize("duty", [0.01, 0.05, 0.2])
def test_a_larger_box_bears_no_less_and_a_larger_model_no_more(duty: float) -> None:
    by_cores = [bears("base", cores, duty) for cores in (1, 2, 4, 8)]
    assert by_cores == sorted(by_cores)
    by_model = [bears(model, 4, duty) for model in ("tiny.en", "base", "small")]
    assert by_model == sorted(by_model, reverse=True)


def test_twice_as_much_speech_is_about_half_as_many_devices() -> None:
    assert bears("base", 4, 0.1) == pytest.approx(bears("base", 4, 0.2) * 2, abs=2)


def test_one_more_than_it_bears_does_not_fit_and_it_is_said_why() -> None:
    found = capacity(COSTS, "base", 2, 0.05, seconds=2.0, listeners=20)

    def there_is_room_for(devices: int) -> bool:
        workload = Workload(devices=devices, duty=0.05, seconds=2.0, listeners=20)
        return fits(workload, COSTS, "base", Box(cores=2))

    assert there_is_room_for(found.devices)
    assert not there_is_room_for(found.devices + 1)
    assert found.because


def test_nobody_has_more_than_a_gateway_takes() -> None:
    found = capacity(COSTS, "bundled", 64, 0.001, seconds=2.0, listeners=0)
    assert (found.devices, found.because) == (MOST, "1000 sessions of a gateway")


def test_the_duty_of_a_load_is_what_the_box_bears_and_never_none() -> None:
    duty = duty_at_capacity(COSTS, "tiny.en", 1, 240, seconds=2.0, listeners=200)
    assert 0.005 < duty < 0.2
    assert bears("tiny.en", 1, duty) >= 240
    assert duty_at_capacity(COSTS, "small", 1, 1000, seconds=2.0, listeners=200) == 0.001


def test_small_costs_some_times_what_base_does_and_the_others_stay() -> None:
    assert COSTS.models["small"].seconds(2.0) > 2 * COSTS.models["base"].seconds(2.0)
    assert with_small(COSTS) is COSTS
    assert measured().models.items() <= COSTS.models.items()


def test_what_a_fleet_has_cost_the_gateway_counts_where_it_is_more() -> None:
    dearer = as_a_fleet(COSTS, 0.4, 0.1)
    assert dearer.utterance == pytest.approx(4 * COSTS.utterance)
    assert dearer.speaking_device == pytest.approx(4 * COSTS.speaking_device)
    assert dearer.models == COSTS.models
    assert as_a_fleet(COSTS, 0.05, 0.1) == COSTS
    few = capacity(dearer, "tiny.en", 8, 0.1, seconds=2.0, listeners=20)
    assert few.devices < bears("tiny.en", 8, 0.1)
