"""The shared store at work: connected, asked again and again what is new, and done without while it is away.

A pulse a quarter of a second apart keeps tokens, pages and limits of the house together. Nothing that a listener or a
device waits for waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from firmware_bridge.pacing import Backoff
from gateway.access.common_door import CommonDoor, done
from gateway.access.tokens import TokenError
from gateway.journal.errors import JournalError
from gateway.observing.health import Health, HealthState
from gateway.settings.house import HouseSettings
from gateway.shared_store.history import Shipping
from gateway.shared_store.limits import SharedLimits
from gateway.shared_store.opening import open_store
from gateway.shared_store.port import Pulse, SharedStore, StoreError, StoreUnavailable
from gateway.shared_store.tokens import PageLookup, SharedTokens

log = structlog.get_logger(__name__)

COMPONENT = "shared store"
PULSE_SECONDS = 0.25
PATIENCE_SECONDS = 5.0
"""A pulse that takes longer is none: the store is away."""
JOURNAL_SECONDS = 5.0
"""How often a journal that could not be read is tried again."""
AGAIN_SECONDS, LATEST_AGAIN_SECONDS = 0.25, 5.0
GOES_ON = "tokens, limits and history go on with what is known here"


MOST_SKEW = 5.0
SET_CLOCKS = "set both machines' clocks (NTP): what a user said until it is to be forgotten is told by them"


def in_skew(skew: float) -> str:
    """For people."""
    return f"its clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's"


async def _skew(store: SharedStore) -> float:
    """By how many seconds the store's clock is ahead of this machine's."""
    asked_at = time.time()
    facts = await store.facts()
    return facts.clock - (asked_at + time.time()) / 2


class StoreAtWork:
    """``run`` is the work; what it is for goes on without it."""

    def __init__(
        self,
        settings: HouseSettings,
        gateway: str,
        folder: Path,
        *,
        common_door: CommonDoor,
        health: Health,
        clock: Callable[[], float] = time.time,
        shipping: Shipping | None = None,
    ) -> None:
        """``gateway``: its name among the others. ``shipping``: None: nothing is remembered here. Reads files."""
        self._settings = settings
        self._gateway = gateway
        self._common_door = common_door
        self._health = health
        self.tokens = SharedTokens(folder, common_door, settings.store_away_days, clock)
        self.limits = SharedLimits()
        self._shipping = shipping
        self.store: SharedStore | None = None
        """While it is there."""
        self._epoch = ""
        self._skew = 0.0
        common_door.is_shared = True

    async def run(self) -> None:
        """Connect, and connect again, until it is cancelled."""
        backoff = Backoff(AGAIN_SECONDS, LATEST_AGAIN_SECONDS)
        while True:
            try:
                await self._once(backoff)
            except StoreError as error:
                self._away(error)
            await asyncio.sleep(backoff.next())

    async def _once(self, backoff: Backoff) -> None:
        store = await open_store(self._settings)
        shipping: asyncio.Task[None] | None = None
        try:
            self.limits.forget()
            self._lookup = PageLookup(self._common_door, store)
            self._skew = await _skew(store)
            version = await self._beat(store)
            if self._shipping is not None:
                shipping = asyncio.create_task(self._ship(self._shipping, store))
            backoff.reset()
            self.store = store
            await self._serve(store, version, shipping)
        finally:
            self.store = None
            if self._common_door.door is not None:
                self._common_door.door.look_for = None
            if shipping is not None:
                shipping.cancel()
                await asyncio.gather(shipping, return_exceptions=True)
            await store.close()

    async def _serve(self, store: SharedStore, version: int, shipping: asyncio.Task[None] | None) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PULSE_SECONDS):
                    await self._common_door.news.wait()
            epoch, before, version = self._epoch, version, await self._beat(store)
            if self._epoch != epoch:
                raise StoreUnavailable("the shared store was emptied")
            if self._shipping is not None and version != before:
                self._shipping.look()
            if shipping is not None and shipping.done():
                shipping.result()

    async def _ship(self, shipping: Shipping, store: SharedStore) -> None:
        """A journal that cannot be read is no matter of the store's."""
        while True:
            try:
                await shipping.run(store, self._epoch)
            except JournalError as error:
                log.warning("the shared store is not told what is remembered here", reason=str(error))
            await asyncio.sleep(JOURNAL_SECONDS)

    async def _beat(self, store: SharedStore) -> int:
        """The version that the store has come to."""
        if (door := self._common_door.door) is not None:
            door.doubt, door.look_for = self.tokens.doubt, self._lookup.look_for
        self._common_door.news.clear()
        waiting, limits = self._common_door.begin(), self._common_door.limits
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                pulse = await store.pulse(self._gateway, self.limits.tell(limits))
                self._look_at(pulse)
                self.limits.learn(pulse.spent, limits, time.monotonic())
                await self.tokens.step(store, pulse.version)
        except TimeoutError as error:
            raise StoreUnavailable(
                "the shared store does not answer in time", "see why it is slow"
            ) from error
        except TokenError as error:
            self._health.set(COMPONENT, HealthState.DEGRADED, str(error), "see the tokens' file", works=True)
        else:
            self._health.set(COMPONENT, *self._condition())
        done(waiting)
        return pulse.version

    def _look_at(self, pulse: Pulse) -> None:
        """Another store than the one before, under the same name, has everything to learn."""
        if pulse.epoch != self._epoch:
            self.tokens.forget()
            self._epoch = pulse.epoch

    def _condition(self) -> tuple[HealthState, str, str]:
        if not self.tokens.garbage:
            return self._well()
        one = min(self.tokens.garbage)
        return (
            HealthState.DEGRADED,
            f"{len(self.tokens.garbage)} of its tokens are none, such as {one!r}",
            "see who else writes to it; it is not to be anybody who must not make tokens",
        )

    def _well(self) -> tuple[HealthState, str, str]:
        if self._shipping is not None and self._shipping.garbage:
            reason = f"{self._shipping.garbage} of what is to be forgotten in the house is garbage"
            return HealthState.DEGRADED, reason, "see who else writes to it"
        if abs(self._skew) > MOST_SKEW:
            return HealthState.DEGRADED, in_skew(self._skew), SET_CLOCKS
        return HealthState.HEALTHY, "", ""

    def _away(self, error: StoreError) -> None:
        if (door := self._common_door.door) is not None:
            door.doubt = self.tokens.doubt
        self._health.set(COMPONENT, HealthState.DEGRADED, f"{error}; {GOES_ON}", error.remedy, works=False)
