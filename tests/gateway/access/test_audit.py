"""The audit log: what stands in it, what does not, and how it stays bounded."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.access import audit as module
from gateway.access.audit import MAX_CHARACTERS, MAX_FILES, Audit, What


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "audit.log").read_bytes().splitlines()]


def test_a_line_says_when_what_and_who(tmp_path: Path, clock: Clock) -> None:
    Audit(tmp_path, clock=clock).note(What.MADE, name="ann", token_id="t_1", count=2)
    assert lines(tmp_path) == [
        {"time": "2027-01-15T08:00:00Z", "event": "token made", "name": "ann", "token_id": "t_1", "count": 2}
    ]
    assert stat.S_IMODE((tmp_path / "audit.log").stat().st_mode) == 0o600


def test_it_is_in_the_gateways_log_too(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logged:
        audit = Audit(tmp_path, of_gateway=True)
        audit.note(What.SIGNED_IN, name="ann")
        audit.note(What.NOT_ADMITTED, address="192.0.2.1", reason="expired")
        Audit(tmp_path).note(What.MADE, name="quiet")
    assert [(line["event"], line["log_level"]) for line in logged] == [
        ("page signed in", "info"),
        ("not admitted", "warning"),
    ]


@given(st.text())
def test_no_value_begins_a_line_or_steers_a_terminal(value: str) -> None:
    with structlog.testing.capture_logs() as logged:
        Audit(None, of_gateway=True).note(What.FOREIGN, origin=value)
    (line,) = logged
    assert line["origin"].isprintable()
    assert len(line["origin"]) <= 10 * MAX_CHARACTERS


@pytest.mark.parametrize(
    "value",
    ['x\n{"event":"token made"}', "x\r\nforged", "\x1b[2J", "\u2028", "\x00", "\ud800", '"}{"', "x" * 10_000],
)
def test_a_forged_line_is_a_value(tmp_path: Path, value: str) -> None:
    Audit(tmp_path).note(What.FOREIGN, origin=value, host=value)
    raw = (tmp_path / "audit.log").read_bytes()
    assert raw.count(b"\n") == 1
    assert raw.isascii()
    (line,) = lines(tmp_path)
    assert line["event"] == "foreign page or name"
    assert set(line) == {"time", "event", "origin", "host"}


def test_it_is_rotated_by_the_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1_000)
    audit = Audit(tmp_path, of_gateway=True)
    for number in range(200):
        audit.note(What.MADE, name=f"n{number}")
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["audit.log", *(f"audit.log.{number}" for number in range(1, MAX_FILES))]
    assert all(file.stat().st_size <= 1_100 for file in tmp_path.iterdir())
    kept = [
        json.loads(line)["name"]
        for file in sorted(tmp_path.iterdir(), reverse=True)
        for line in file.read_text().splitlines()
    ]
    assert kept[-1] == "n199"
    assert len(kept) == len(set(kept))


def test_a_command_makes_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    audit = Audit(tmp_path)
    for _ in range(10):
        audit.note(What.MADE, name="ann")
    assert len(lines(tmp_path)) == 10


def test_a_storm_of_refusals_is_counted_and_not_written(tmp_path: Path, clock: Clock) -> None:
    audit = Audit(tmp_path, ticks=clock)
    for _ in range(1_000):
        audit.note(What.NOT_ADMITTED, address="192.0.2.1", reason="unknown")
    audit.note(What.NOT_ADMITTED, address="192.0.2.2", reason="unknown")
    written = lines(tmp_path)
    assert len(written) == 31
    assert written[-1]["left_out"] == 970
    audit.note(What.MADE, name="ann")  # what is no refusal is never left out
    clock.now += 60
    audit.note(What.NOT_ADMITTED, address="192.0.2.1", reason="unknown")
    assert len(lines(tmp_path)) == 33


def test_texts_of_a_device_leave_room_for_what_happens_at_the_door(tmp_path: Path, clock: Clock) -> None:
    audit = Audit(tmp_path, ticks=clock)
    for _ in range(1_000):
        audit.note(What.CONTENT, device_id="kitchen", outcome="changed")
    audit.note(What.CONTENT, device_id="attic", outcome="changed")
    audit.note(What.NOT_ADMITTED, address="192.0.2.2", reason="unknown")
    assert [line.get("left_out", 0) for line in lines(tmp_path)] == [*[0] * 30, 970, 0]


def test_a_disk_that_takes_nothing_is_counted(tmp_path: Path) -> None:
    (tmp_path / "audit.log").mkdir()
    with structlog.testing.capture_logs() as logged:
        audit = Audit(tmp_path, of_gateway=True)
        for _ in range(3):
            audit.note(What.SIGNED_IN, name="ann")
    assert audit.lost == 3
    assert [line["event"] for line in logged].count("the audit log cannot be written") == 1


def test_it_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "audit.log").symlink_to(tmp_path / "elsewhere")
    audit = Audit(tmp_path)
    audit.note(What.MADE, name="ann")
    assert audit.lost == 1
    assert (tmp_path / "elsewhere").read_text() == ""


def test_whoever_looks_for_patterns_is_told_of_all_of_them(tmp_path: Path) -> None:
    """Also of those that are too many to be written down, and before they are."""
    seen: list[tuple[What, dict[str, object]]] = []
    audit = Audit(tmp_path)
    audit.on_note = lambda what, facts: seen.append((what, dict(facts)))
    for _ in range(100):
        audit.note(What.NOT_ADMITTED, address="192.0.2.1", reason="expired")
    assert len(seen) == 100
    assert len(lines(tmp_path)) < 50
    assert seen[0] == (What.NOT_ADMITTED, {"address": "192.0.2.1", "reason": "expired"})


def test_where_nobody_looks_nothing_happens(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    audit.on_used("board", "192.0.2.1")
    audit.note(What.MADE, name="ann")
    assert len(lines(tmp_path)) == 1
