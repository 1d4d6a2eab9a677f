"""What is kept of people elsewhere, as somebody who is to be forgotten is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from gateway.config.configuration import GatewayConfig
from gateway.web.personal.kept import Kept, kept_elsewhere


def kept(journal: Path, user: str = "ann", **parts: Any) -> list[Kept]:
    config = msgspec.convert(parts, GatewayConfig)
    call: Any = SimpleNamespace(parts=SimpleNamespace(running=lambda: SimpleNamespace(config=config)))
    return kept_elsewhere(call, user, journal)


def places(found: list[Kept]) -> set[str]:
    return {one.where for one in found}


def test_a_journal_that_was_put_aside_is_named_and_what_belongs_to_this_one_is_not(tmp_path: Path) -> None:
    state = tmp_path / "earshot"
    state.mkdir()
    for name in (
        "journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock", "journal.db.version-3",
        "journal.db.corrupt-20260102T030405Z", "journal.db.taken-away-20260102T030405Z-2",
        "other.db.corrupt-20260102T030405Z",
    ):  # fmt: skip
        (state / name).touch()
    found = places(kept(state / "journal.db"))
    assert {Path(one).name for one in found if one.startswith(str(state))} == {
        "journal.db.corrupt-20260102T030405Z", "journal.db.taken-away-20260102T030405Z-2",
    }  # fmt: skip


def test_houses_from_before_a_restore_are_named(tmp_path: Path) -> None:
    state = tmp_path / "earshot"
    for name in (
        "earshot",
        "earshot.before-20260102T030405Z",
        "earshot.before-20260102T030405Z-2",
        "earshotx.before-1",
    ):
        (tmp_path / name).mkdir()
    found = {Path(one).name for one in places(kept(state / "journal.db")) if ".before-" in one}
    assert found == {"earshot.before-20260102T030405Z", "earshot.before-20260102T030405Z-2"}


def test_whose_devices_the_configuration_names(tmp_path: Path) -> None:
    devices = {"users": {"kitchen": "ann", "attic": "bob"}, "known": {"hall": {"user": "ann"}}}
    (one,) = [one for one in kept(tmp_path / "journal.db", devices=devices) if "devices" in one.what]
    assert "hall, kitchen" in one.what
    assert not [one for one in kept(tmp_path / "journal.db", "eve", devices=devices) if "whose" in one.what]


def test_no_password_is_in_it(tmp_path: Path) -> None:
    found = kept(tmp_path / "journal.db", broker={"url": "redis://me:hunter2@broker:6379"})
    assert any("broker" in one for one in places(found))
    assert "hunter2" not in str(found)


def test_other_gateways_are_named_where_there_are_any(tmp_path: Path) -> None:
    alone = kept(tmp_path / "journal.db")
    house = kept(tmp_path / "journal.db", broker={"url": "redis://broker"}, house={"share": True})
    assert "the house" not in places(alone)
    assert "the house" in places(house)


def test_each_says_what_to_do(tmp_path: Path) -> None:
    for one in kept(tmp_path / "journal.db", house={"share": True}):
        assert one.what
        assert one.where
        assert one.remedy
