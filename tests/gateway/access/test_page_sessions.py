"""Pages that are signed in, across restarts of the gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.access.page_sessions import MAX_SESSIONS, SESSION_SECONDS, PageSessions


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_in_and_out() -> None:
    sessions = PageSessions(None, Clock())
    ann, bob = sessions.begin("t_ann"), sessions.begin("t_bob")
    assert (sessions.find(ann), sessions.find(bob)) == ("t_ann", "t_bob")
    assert sessions.end(ann)
    assert not sessions.end(ann)
    assert (sessions.find(ann), sessions.find(bob)) == (None, "t_bob")


@pytest.mark.parametrize("secret", ["", "x", "\ud800", "é" * 1_000])
def test_what_is_no_secret(secret: str) -> None:
    sessions = PageSessions(None, Clock())
    sessions.begin("t_ann")
    assert sessions.find(secret) is None
    assert not sessions.end(secret)


def test_it_ends() -> None:
    clock = Clock()
    sessions = PageSessions(None, clock)
    secret = sessions.begin("t_ann")
    clock.now += SESSION_SECONDS - 1
    assert sessions.find(secret) == "t_ann"
    clock.now += 1
    assert sessions.find(secret) is None


def test_it_is_bounded_and_whoever_signs_in_too_often_forgets_their_own() -> None:
    sessions = PageSessions(None, Clock())
    bob, ann = sessions.begin("t_bob"), sessions.begin("t_ann")
    for _ in range(MAX_SESSIONS - 1):
        latest = sessions.begin("t_ann")
    assert len(sessions) == MAX_SESSIONS
    assert [sessions.find(secret) for secret in (bob, ann, latest)] == ["t_bob", None, "t_ann"]


def test_a_restart_signs_nobody_out_and_brings_nobody_back(tmp_path: Path) -> None:
    clock = Clock()
    sessions = PageSessions(tmp_path, clock)
    ann, bob = sessions.begin("t_ann"), sessions.begin("t_bob")
    sessions.end(bob)
    again = PageSessions(tmp_path, clock)
    assert (again.find(ann), again.find(bob)) == ("t_ann", None)
    kept = (tmp_path / "pages.json").read_text()
    assert ann not in kept
    clock.now += SESSION_SECONDS
    assert len(PageSessions(tmp_path, clock)) == 0


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"a":1}', b"[" * 100_000])
def test_a_damaged_file_costs_a_sign_in(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "pages.json").write_bytes(data)
    sessions = PageSessions(tmp_path, Clock())
    assert len(sessions) == 0
    secret = sessions.begin("t_ann")
    assert PageSessions(tmp_path, Clock()).find(secret) == "t_ann"


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sessions = PageSessions(tmp_path / "file", Clock())
    assert sessions.find(sessions.begin("t_ann")) == "t_ann"
