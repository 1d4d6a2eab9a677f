"""The streaming benchmark's slow disk is slow where it says, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.streaming import one_commit, slow_syncs


@pytest.mark.slow
def test_a_commit_takes_the_slow_sync_of_its_own_file_only(tmp_path: Path) -> None:
    environment = slow_syncs(tmp_path, 250)
    assert one_commit(environment, commits=3) >= 250
    assert one_commit(environment, tmp_path / "other.db", commits=3) < 250
