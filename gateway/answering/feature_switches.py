"""Features that were taken back: told in the gateway's health, and written down beside the journal, over restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from msgspec import Struct

from gateway.access.private_records import PrivateRecords
from gateway.observing.health import Health, HealthState
from gateway.pipeline.agents.features import Features, FeatureStanding, SideFigures

log = structlog.get_logger(__name__)

FILE = "features.json"
LOOK_SECONDS = 5.0
"""How often people are told how both sides do."""
REMEDY = (
    "look at GET /api/v1/features; change its settings and reload, or POST /api/v1/features/NAME/try"
    " tries it again"
)


class FeaturesUnreadable(Exception):
    """What was taken back is not known any more."""


class TakenBack(Struct, frozen=True):
    """One, and why. ``settings``: as they were; with others it is tried anew."""

    name: str
    reason: str
    settings: str


def component(feature: str) -> str:
    """The component of a feature in the gateway's health."""
    return f"feature {feature}"


class FeatureSwitches:
    """Those of a gateway, as long as ``keep`` runs."""

    def __init__(self, features: Features, health: Health, folder: Path) -> None:
        self._features = features
        self._health = health
        self._file = PrivateRecords(folder / FILE, TakenBack, FeaturesUnreadable, FeaturesUnreadable)
        self._changed = asyncio.Event()
        self._told: dict[str, str] = {}
        """Why each was taken back, as people know it."""

    async def keep(self) -> None:
        """Until cancelled: take back what was, and write down what is."""
        written = await self._read()
        for one in self._features.standings():
            was = next((each for each in written if each.name == one.name), None)
            if was is not None and was.settings == _digest(one) and not one.taken_back:
                self._features.take_back(one.name, was.reason)
        self._features.on_change = self._changed.set
        while True:
            self._tell()
            if (now := self._taken_back()) != written:
                written = now
                await self._write(now)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._changed.wait()
            self._changed.clear()

    def _tell(self) -> None:
        standings, before = self._features.standings(), self._told
        self._told = {one.name: one.taken_back for one in standings}
        for name in before.keys() - self._told.keys():
            self._health.forget(component(name))
        for one in standings:
            is_back = bool(one.taken_back)
            self._health.set(
                component(one.name),
                HealthState.DEGRADED if is_back else HealthState.HEALTHY,
                f"{one.name} was taken back: {one.taken_back}" if is_back else "",
                REMEDY if is_back else "",
                detail=_sides(one),
                quiet=before.get(one.name) == one.taken_back,
            )

    def _taken_back(self) -> list[TakenBack]:
        standings = self._features.standings()
        return [TakenBack(one.name, one.taken_back, _digest(one)) for one in standings if one.taken_back]

    async def _read(self) -> list[TakenBack]:
        try:
            return await asyncio.to_thread(self._file.read)
        except FeaturesUnreadable as error:
            log.warning("which features were taken back is not known", reason=str(error))
            return []

    async def _write(self, taken_back: Sequence[TakenBack]) -> None:
        try:
            await asyncio.to_thread(self._file.write, taken_back)
        except FeaturesUnreadable as error:
            log.warning("which features are taken back is lost with a restart", reason=str(error))


def _sides(one: FeatureStanding) -> str:
    """Beside each other, for people."""
    return f"{one.settings.percent:g} % of the sessions: {_side(one.on)}; else: {_side(one.off)}"


def _side(figures: SideFigures) -> str:
    if not figures.requests:
        return "no requests yet"
    failed = f"{100 * figures.unanswered:.1f} % without an answer"
    return f"{figures.requests} requests, {failed}, 95 % within {figures.p95_seconds:.2f} s"


def _digest(one: FeatureStanding) -> str:
    return repr(one.settings)
