"""One exchange with the shared store, for a command that has something to tell or to ask."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.access.common_door import CommonDoor
from gateway.settings.house import HouseSettings
from gateway.shared_store.opening import open_store
from gateway.shared_store.port import StoreUnavailable
from gateway.shared_store.tokens import SharedTokens

PATIENCE_SECONDS = 10.0


async def exchange_tokens(settings: HouseSettings, folder: Path) -> None:
    """From now on the files in ``folder`` and the store know the same. Raises StoreError and TokenError."""
    tokens = await asyncio.to_thread(SharedTokens, folder, CommonDoor(), settings.store_away_days)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            store = await open_store(settings)
            try:
                await tokens.step(store, (await store.pulse("", None)).version)
            finally:
                await store.close()
    except TimeoutError as error:
        raise StoreUnavailable("the shared store does not answer in time", "see why it is slow") from error
