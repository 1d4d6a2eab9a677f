"""Gateways that are a door, limits and the shared store, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from gateway.access.audit import Audit
from gateway.access.common_door import CommonDoor
from gateway.access.door import Door, NotAdmitted, Stay
from gateway.access.limits import Buckets, Rate
from gateway.observing.health import Health, HealthState
from gateway.settings.house import HouseSettings
from gateway.settings.web import WebSettings
from gateway.shared_store.at_work import COMPONENT, StoreAtWork
from tests.gateway.access.keyring import Keyring

PATIENCE = 40.0
SLOW = Rate(per_second=0.001, burst=10)


class Place:
    """One of them, in a folder of its own."""

    def __init__(self, folder: Path, name: str, settings: HouseSettings, clock: Callable[[], float]) -> None:
        self.folder = folder / name
        self.folder.mkdir(exist_ok=True)
        self.keyring = Keyring(self.folder, clock)
        self.health = Health(lambda _event: None)
        self.common_door = CommonDoor()
        self.door = Door(WebSettings(require_token=True), self.folder, Audit(self.folder), clock=clock)
        self.limit = Buckets(SLOW)
        self.at_work = StoreAtWork(
            settings, name, self.folder, common_door=self.common_door, health=self.health, clock=clock
        )

    def serve(self) -> None:
        """The page is there."""
        self.common_door.serve(self.door, {"requests": self.limit})

    async def admits(self, text: str) -> bool:
        with suppress(NotAdmitted):
            await self.door.admit(text, "")
            return True
        return False

    def condition(self) -> HealthState | None:
        component = self.health.report().components.get(COMPONENT)
        return component.state if component else None

    @property
    def reason(self) -> str:
        return self.health.report().components[COMPONENT].reason

    async def is_well(self) -> None:
        await until(lambda: self.condition() is HealthState.HEALTHY)

    async def stay(self, text: str) -> Stay:
        """An open listener, for the rest of the test."""
        stay = Stay(await self.door.admit(text, ""), lambda: None)
        self.door._stays.add(stay)
        return stay


@asynccontextmanager
async def place(
    folder: Path,
    name: str,
    settings: HouseSettings,
    clock: Callable[[], float] = time.time,
    *,
    serves: bool = True,
) -> AsyncIterator[Place]:
    one = await asyncio.to_thread(Place, folder, name, settings, clock)
    if serves:
        one.serve()
    async with one.door:
        working = asyncio.create_task(one.at_work.run())
        try:
            yield one
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


async def until(true: Callable[[], bool], seconds: float = PATIENCE) -> float:
    """Wait; how long that took."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what several parts have come to
            await asyncio.sleep(0.01)
    return time.monotonic() - began


async def until_admitted(one: Place, text: str, *, wanted: bool = True) -> float:
    began = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        while await one.admits(text) is not wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return time.monotonic() - began
