"""The library in C does what the reference does. `python -m benchmarks fuzz` goes on for a million inputs."""

from __future__ import annotations

import pytest

from tests.firmware_bridge.esp32.twins import differ


def test_both_say_and_tell_the_same() -> None:
    assert differ(seed=1, inputs=1_000) >= 1_000


@pytest.mark.slow
def test_both_say_and_tell_the_same_for_long() -> None:
    assert differ(seed=2, inputs=20_000) >= 20_000
