"""The doctor's look at the store of the house: it logs in, and changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from gateway.commands.doctor.finding import Finding, fail, ok, warn
from gateway.settings.house import HouseSettings

WHAT = "shared store"
PATIENCE_SECONDS = 10.0


def store(settings: HouseSettings) -> Iterator[Finding]:
    """Nothing, where there is none."""
    if not settings.store:
        return
    from gateway.shared_store.at_work import MOST_SKEW, SET_CLOCKS, in_skew  # noqa: PLC0415 - where there is one
    from gateway.shared_store.opening import open_store  # noqa: PLC0415
    from gateway.shared_store.port import StoreError, StoreFacts  # noqa: PLC0415

    async def look() -> StoreFacts:
        async with asyncio.timeout(PATIENCE_SECONDS):
            there = await open_store(settings, only_look=True)
            try:
                return await there.facts()
            finally:
                await there.close()

    try:
        facts = asyncio.run(look())
    except StoreError as error:
        yield fail(WHAT, str(error), error.remedy)
        return
    except TimeoutError:
        yield fail(WHAT, "it does not answer in time", "see why it is slow")
        return
    yield ok(WHAT, "it lets us in; nobody has used it yet" if facts.is_new else "it lets us in")
    for weakness in facts.weaknesses:
        yield warn(WHAT, weakness, "set it up as docs/house.md says")
    if abs(skew := facts.clock - time.time()) > MOST_SKEW:
        yield warn(WHAT, in_skew(skew), SET_CLOCKS)
