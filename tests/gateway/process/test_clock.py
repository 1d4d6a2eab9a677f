"""That a steady clock goes on by what passes, and that no step of the wall clock moves it by more than it may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.process.clock import BELIEVED_A_SECOND, DAY, LONGEST_ABSENCE, SteadyClock, instant
from tests.gateway.machine import Machine

YEAR = 365 * DAY


def begun(machine: Machine, *, follows: bool = False) -> SteadyClock:
    return SteadyClock(None, machine.wall, follows=follows, instant=machine.instant)


def restarted(machine: Machine, before: SteadyClock, *, follows: bool = False) -> SteadyClock:
    return SteadyClock(before.mark(), machine.wall, follows=follows, instant=machine.instant)


def after_reboot(machine: Machine, before: SteadyClock, *, wall: float, follows: bool = False) -> SteadyClock:
    mark = before.mark()
    machine.reboot(wall=wall)
    return SteadyClock(mark, machine.wall, follows=follows, instant=machine.instant)


def run(machine: Machine, clock: SteadyClock, seconds: float) -> float:
    """Let so much pass, looking every minute; how much that was by the clock."""
    began, left = clock.now(), seconds
    while left > 0:
        machine.pass_by(min(60.0, left))
        clock.now()
        left -= 60.0
    return clock.now() - began


def test_the_machine_itself_is_read() -> None:
    first = instant()
    assert first.up <= instant().up
    assert first.boot == instant().boot != ""


@pytest.mark.parametrize("step", [40 * DAY, -40 * DAY, 56 * YEAR], ids=["ahead", "back", "a first time"])
def test_a_step_while_it_runs_is_no_time_that_has_passed(step: float) -> None:
    machine = Machine(wall=100.0)
    clock = begun(machine)
    machine.wall += step
    assert run(machine, clock, 3600) == pytest.approx(3600)
    assert run(machine, restarted(machine, clock), 3600) == pytest.approx(3600)


def test_what_passes_between_two_processes_of_one_boot_is_known_exactly() -> None:
    machine = Machine()
    clock = begun(machine)
    value, mark = clock.now(), clock.mark()
    machine.pass_by(5 * DAY)
    machine.wall = 0.0
    assert SteadyClock(mark, 0.0, instant=machine.instant).now() == pytest.approx(value + 5 * DAY)


def test_a_night_switched_off_counts_as_soon_as_it_can_be_believed() -> None:
    machine = Machine()
    clock = begun(machine)
    value = clock.now()
    clock = after_reboot(machine, clock, wall=machine.wall + DAY / 2)
    assert clock.now() == pytest.approx(value + 40)
    run(machine, clock, DAY / 2 / BELIEVED_A_SECOND + 60)
    assert clock.now() - value == pytest.approx(machine.wall - 1_800_000_000.0)


def test_a_board_without_a_clock_learns_how_long_it_was_off_when_it_learns_the_time() -> None:
    machine = Machine()
    clock = begun(machine)
    value, stopped = clock.now(), machine.wall
    clock = after_reboot(machine, clock, wall=100.0)
    assert run(machine, clock, 3600) == pytest.approx(3600), "1970 says nothing"
    machine.wall = stopped + 2 * DAY
    run(machine, clock, 3600)
    assert clock.now() - value == pytest.approx(machine.wall - stopped)


def test_rows_of_1970_are_not_made_old_by_the_jump_to_the_present_after_a_reboot() -> None:
    machine = Machine(wall=100.0)
    clock = after_reboot(machine, begun(machine), wall=200.0)
    machine.wall = 1_800_000_000.0
    assert run(machine, clock, 3600) == pytest.approx(3600)


def test_forty_days_ahead_for_a_minute_after_a_reboot_cost_an_hour() -> None:
    machine = Machine()
    clock = after_reboot(machine, begun(machine), wall=machine.wall + 60)
    run(machine, clock, 60)
    machine.wall += 40 * DAY
    assert run(machine, clock, 60) <= 60 * (1 + BELIEVED_A_SECOND)
    machine.wall -= 40 * DAY
    assert run(machine, clock, 3600) == pytest.approx(3600)


def test_no_more_than_a_month_is_believed() -> None:
    machine = Machine()
    clock = after_reboot(machine, begun(machine), wall=machine.wall + 5 * YEAR)
    assert run(machine, clock, 5 * DAY) == pytest.approx(LONGEST_ABSENCE + 5 * DAY, abs=60)


def test_what_is_not_yet_believed_is_not_forgotten_by_a_restart() -> None:
    machine = Machine()
    clock = begun(machine)
    value, stopped = clock.now(), machine.wall
    clock = restarted(machine, after_reboot(machine, clock, wall=machine.wall + 10 * DAY))
    run(machine, clock, DAY)
    assert clock.now() - value == pytest.approx(machine.wall - stopped)


def test_one_that_follows_becomes_what_the_wall_clock_says_and_never_goes_back() -> None:
    machine = Machine()
    clock = begun(machine, follows=True)
    machine.wall += DAY
    run(machine, clock, 3600)
    assert clock.now() == pytest.approx(machine.wall)
    value = clock.now()
    clock = after_reboot(machine, clock, wall=0.0, follows=True)
    assert clock.now() >= value


_STEPS = st.lists(
    st.tuples(st.sampled_from(["pass", "step", "restart", "reboot"]), st.floats(-1e10, 1e10)), max_size=30
)


@given(_STEPS, st.booleans())
def test_it_never_goes_back_and_never_runs_faster_than_it_may(
    steps: list[tuple[str, float]],
    follows: bool,  # noqa: FBT001
) -> None:
    machine = Machine()
    clock = begun(machine, follows=follows)
    for what, much in steps:
        before, passed = clock.now(), 0.0
        if what == "pass":
            passed = abs(much) % DAY
            machine.pass_by(passed)
        elif what == "step":
            machine.wall += much
        elif what == "restart":
            clock = restarted(machine, clock, follows=follows)
        else:
            clock, passed = after_reboot(machine, clock, wall=machine.wall + much, follows=follows), 40.0
        assert clock.now() - before + 1e-3 >= 0
        assert clock.now() - before <= passed * (1 + BELIEVED_A_SECOND) + 1e-3
