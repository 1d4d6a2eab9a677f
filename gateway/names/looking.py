"""Every source of names asked once, for commands that look and go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from gateway.names.house import COMPONENT, KnownNames
from gateway.names.opening import sources
from gateway.observing.health import ComponentHealth, HealthState
from gateway.settings.names import NamesSettings
from transcription.settings import TranscriptionSettings

LOOK_SECONDS = 15.0
"""So long all of them have to say something."""


async def look(
    settings: NamesSettings, transcription: TranscriptionSettings, seconds: float = LOOK_SECONDS
) -> tuple[KnownNames, dict[str, ComponentHealth]]:
    """What they know, and how each is, by its name; one that said nothing in time is not among them."""
    heard = _Heard()
    known = KnownNames(heard, transcription)
    work = [one for _, one in sources(settings, known)]
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(_forever(one)) for one in work]
            await heard.from_all(len(work))
            for each in running:
                each.cancel()
    return known, {name.removeprefix(f"{COMPONENT}: "): how for name, how in heard.components.items()}


async def _forever(work: Callable[[], Awaitable[None]]) -> None:
    await work()


class _Heard:
    """What has been said of the sources."""

    def __init__(self) -> None:
        self.components: dict[str, ComponentHealth] = {}
        self._news = asyncio.Event()

    def set(
        self,
        component: str,
        state: HealthState,
        reason: str = "",
        remedy: str = "",
        *,
        works: bool = True,
        detail: str = "",
        quiet: bool = False,
    ) -> None:
        del quiet  # nobody writes it down
        self.components[component] = ComponentHealth(state, reason, remedy, works, detail)
        self._news.set()

    async def from_all(self, count: int) -> None:
        """Wait until so many sources have."""
        while len(self.components.keys() - {COMPONENT}) < count:
            self._news.clear()
            await self._news.wait()
