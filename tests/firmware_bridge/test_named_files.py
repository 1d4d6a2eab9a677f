"""Files that somebody named: read at once, and judged as they were when they were read."""

from __future__ import annotations

import os
from pathlib import Path, PosixPath

import pytest

from firmware_bridge.named_files import read_guarded


class Changing(PosixPath):
    """Whoever looks at it by its name finds another file there than was opened."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return os.stat("/")  # noqa: PTH116 - not this one's


@pytest.mark.parametrize(
    ("mode", "is_private"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False)]
)
def test_whether_others_may_look_into_it_is_said_of_the_file_that_was_read(
    tmp_path: Path, mode: int, *, is_private: bool
) -> None:
    file = Changing(tmp_path / "settings.yaml")
    file.write_text("wifi_pass: secret\n", encoding="utf-8")
    file.chmod(mode)
    assert read_guarded(file) == (b"wifi_pass: secret\n", is_private)
