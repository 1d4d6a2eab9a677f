"""Features that were taken back: told in the gateway's health, and written down beside the journal, over restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog
from msgspec import Struct

from gateway.access.private_records import PrivateRecords
from gateway.observing.health import Health, HealthState
from gateway.pipeline.agents.features import Features, FeatureStanding

log = structlog.get_logger(__name__)

FILE = "features.json"
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
            await self._changed.wait()
            self._changed.clear()

    def _tell(self) -> None:
        reasons = {one.name: one.taken_back for one in self._features.standings()}
        for name in self._told.keys() - reasons.keys():
            self._health.forget(component(name))
        for name, reason in reasons.items():
            if reason and self._told.get(name) != reason:
                log.warning("a feature is taken back", feature=name, reason=reason)
                why = f"{name} was taken back: {reason}"
                self._health.set(component(name), HealthState.DEGRADED, why, REMEDY)
            elif not reason:
                self._health.set(component(name), HealthState.HEALTHY)
        self._told = reasons

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


def _digest(one: FeatureStanding) -> str:
    return repr(one.settings)
