"""That what has ended stays ended when the clock goes back, and that a clock which was ahead ends nothing for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.access.audit import Audit
from gateway.access.door import Door, NotAdmitted
from gateway.access.latest_time import Ends
from gateway.access.page_sessions import SESSION_SECONDS
from gateway.process.clock import DAY
from gateway.settings.web import WebSettings
from tests.gateway.access.keyring import Keyring
from tests.gateway.machine import Machine

YEAR = 365 * DAY


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine().install(monkeypatch)


def opened(folder: Path, machine: Machine) -> Door:
    return Door(WebSettings(require_token=True), folder, Audit(folder), clock=lambda: machine.wall)


def token(folder: Path, machine: Machine, days: float) -> str:
    return Keyring(folder, lambda: machine.wall).make(days=days)[1]


async def is_in(door: Door, text: str) -> bool:
    try:
        await door.admit(text, "192.0.2.1")
    except NotAdmitted as error:
        if str(error) != "expired":
            raise
        return False
    return True


async def test_a_token_that_ended_is_not_brought_to_life_by_a_clock_that_goes_back(
    tmp_path: Path, machine: Machine
) -> None:
    text = token(tmp_path, machine, days=1.0)
    async with opened(tmp_path, machine) as door:
        assert await is_in(door, text)
        machine.pass_by(DAY)
        assert not await is_in(door, text)
        machine.wall -= 40 * DAY
        assert not await is_in(door, text)
    machine.reboot(wall=0.0)
    async with opened(tmp_path, machine) as door:
        assert not await is_in(door, text), "nor by a boot in 1970"


async def test_one_goes_on_to_its_end_in_passing_time_though_the_clock_went_back(
    tmp_path: Path, machine: Machine
) -> None:
    text = token(tmp_path, machine, days=1.0)
    async with opened(tmp_path, machine) as door:
        machine.wall = 0.0
        assert await is_in(door, text)
        machine.pass_by(DAY + 60)
        assert not await is_in(door, text)


async def test_forty_days_ahead_for_a_minute_end_tokens_for_that_minute(
    tmp_path: Path, machine: Machine
) -> None:
    text, page = token(tmp_path, machine, days=30.0), ""
    async with opened(tmp_path, machine) as door:
        page = door.sessions.begin((await door.admit(text, "192.0.2.1")).token_id)
        machine.wall += 40 * DAY
        assert not await is_in(door, text), "a clock that may be right is believed"
        machine.pass_by(60)
    Keyring(tmp_path, lambda: machine.wall).make("bob")
    async with opened(tmp_path, machine) as door:
        assert not await is_in(door, text)
        machine.wall -= 40 * DAY
        assert await is_in(door, text)
        assert (await door.admit_session(page, "192.0.2.1")).name == "ann"


async def test_a_board_whose_time_has_come_knows_at_once_what_has_ended(
    tmp_path: Path, machine: Machine
) -> None:
    text = token(tmp_path, machine, days=1.0)
    machine.reboot(wall=0.0)
    async with opened(tmp_path, machine) as door:
        assert await is_in(door, text), "nobody knows better yet"
        machine.wall = 1_800_000_000.0 + YEAR
        assert not await is_in(door, text)
        machine.wall = 0.0
        assert not await is_in(door, text)


def test_a_page_that_ended_stays_signed_out(tmp_path: Path, machine: Machine) -> None:
    door = opened(tmp_path, machine)
    page = door.sessions.begin("t_ann")
    machine.pass_by(SESSION_SECONDS)
    assert door.sessions.find(page) is None
    machine.wall = 0.0
    assert door.sessions.find(page) is None
    assert len(opened(tmp_path, machine).sessions) == 1, (
        "forgotten only when that is certain, after a restart"
    )


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[1, 2, 3]", b"[" * 100_000], ids=range(5))
def test_a_damaged_file_costs_only_what_it_knew(tmp_path: Path, machine: Machine, data: bytes) -> None:
    (tmp_path / "clock.json").write_bytes(data)
    ends = Ends(tmp_path, lambda: machine.wall)
    assert ends.now() == machine.wall
    ends.keep()
    machine.reboot(wall=0.0)
    assert Ends(tmp_path, lambda: machine.wall).now() >= 1_800_000_000.0


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path, machine: Machine) -> None:
    (tmp_path / "file").write_text("")
    ends = Ends(tmp_path / "file", lambda: machine.wall)
    ends.keep()
    assert ends.now() == machine.wall
