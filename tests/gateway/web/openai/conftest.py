"""OpenAI's interface on a free port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.web.openai.v1 import V1, open_v1


@pytest.fixture
async def v1(tmp_path: Path) -> AsyncIterator[V1]:
    async with open_v1(tmp_path) as v1:
        yield v1
