"""The streaming benchmark's slow disk is slow where it says, and only there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.streaming import one_commit, slow_syncs


@pytest.mark.slow
def test_a_commit_takes_the_slow_sync_of_its_own_file_only(tmp_path: Path) -> None:
    environment = slow_syncs(tmp_path, 50)
    assert one_commit(environment, commits=5) >= 50
    elsewhere = {**environment, "SLOW_SYNC_FILE": os.fspath(tmp_path / "other.db")}
    assert one_commit(elsewhere, tmp_path / "journal.db", commits=5) < one_commit(environment, commits=5)
