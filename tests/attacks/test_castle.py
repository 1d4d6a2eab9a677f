"""The castle itself: whoever speaks to it is answered, and what it asserts can fail."""

from __future__ import annotations

import pytest

from tests.attacks.castle import Castle

pytestmark = pytest.mark.slow


async def test_in_peace_it_holds(castle: Castle) -> None:
    with pytest.raises(AssertionError):
        await castle.holds("mqtt")
    assert castle.peak_mb() > 20
