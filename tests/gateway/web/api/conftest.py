"""A gateway with an API for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.web.api.served import Served, open_served


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with open_served(tmp_path, journal_settings={"keep_audio": True}) as one:
        yield one
