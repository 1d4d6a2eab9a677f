"""Shared stores on real servers, for tests of what lies in them; each test has a house of its own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.settings.house import HouseSettings
from gateway.shared_store.opening import open_store
from gateway.shared_store.port import SharedStore

KINDS = [
    "redis",
    pytest.param("postgresql", marks=[pytest.mark.slow, pytest.mark.xdist_group("postgresql")]),
]


def house(server: Any, **settings: Any) -> HouseSettings:
    """Settings of a house that nobody else has."""
    name = settings.pop("store_name", f"house_{secrets.token_hex(6)}")
    return HouseSettings(store=settings.pop("store", server.url), store_name=name, **settings)


@asynccontextmanager
async def opened(settings: HouseSettings) -> AsyncIterator[SharedStore]:
    store = await open_store(settings)
    try:
        yield store
    finally:
        await store.close()
