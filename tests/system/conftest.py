"""What the tests of the whole house share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from firmware_bridge.link import device_end
from tests.system.house import House, open_house


@pytest.fixture(autouse=True)
def impatient_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A HELLO that was lost or refused is said again soon, for the tests' sake."""
    monkeypatch.setattr(device_end, "HELLO_AGAIN", 0.05)
    monkeypatch.setattr(device_end, "REFUSED_PAUSE", 0.3)


@pytest.fixture
def house(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[House]]:
    """Opens a house in the test's own folder: ``async with house(mqtt=..., sessions={...}) as h``."""
    return partial(open_house, tmp_path)
