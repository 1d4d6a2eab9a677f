"""A feature that was taken back is told of in the gateway's health, and stays so over restarts."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.answering import feature_switches
from gateway.answering.feature_switches import FILE, REMEDY, FeatureSwitches
from gateway.contract.events import HealthEvent
from gateway.observing.health import Health
from gateway.pipeline.agents.features import End, Features, Side
from gateway.settings.features import FeatureSettings
from tests.record import Record, passes
from tests.system.house import running


class House:
    """One run of a gateway."""

    def __init__(self, folder: Path, **settings: dict[str, Any]) -> None:
        self.told = Record()
        self.features = Features(msgspec.convert(settings, dict[str, FeatureSettings]))
        self.switches = FeatureSwitches(self.features, Health(self.told), folder)

    def at_work(self) -> AbstractContextManager[None]:
        return running(self.switches.keep())

    def taken_back(self, name: str) -> str:
        return next(one.taken_back for one in self.features.standings() if one.name == name)


def written(folder: Path) -> list[str]:
    file = folder / FILE
    return [one["name"] for one in msgspec.json.decode(file.read_bytes())] if file.exists() else []


async def test_it_is_told_and_stays_so_over_restarts(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"small": {"team": "other"}, "big": {"team": "other"}}
    house = House(tmp_path, **settings)
    with house.at_work():
        await house.told.first(HealthEvent, component="feature big", state="healthy")
        house.features.take_back("small", "9 % of 60 without an answer, 1 % else")
        told = await house.told.first(HealthEvent, component="feature small", state="degraded")
        assert told.reason == "small was taken back: 9 % of 60 without an answer, 1 % else"
        assert (told.remedy, told.works) == (REMEDY, True)
        await passes(lambda: written(tmp_path) == ["small"])
    house = House(tmp_path, **settings)
    with house.at_work():
        await house.told.first(HealthEvent, component="feature small", state="degraded")
        assert house.taken_back("small").startswith("9 %")
        assert house.taken_back("big") == ""
        house.features.try_again("small")
        await house.told.first(HealthEvent, component="feature small", state="healthy")
        await passes(lambda: written(tmp_path) == [])
        house.features.take_back("small", "by hand")
        await passes(lambda: written(tmp_path) == ["small"])
    house = House(tmp_path, small={"team": "other", "percent": 5})
    with house.at_work():
        await house.told.first(HealthEvent, component="feature small", state="healthy")
        assert house.taken_back("small") == "", "its settings are others"
        await passes(lambda: written(tmp_path) == [])
        house.features.reconfigure({})
        await house.told.first(HealthEvent, component="feature small", state="forgotten")


async def test_both_sides_are_told_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_switches, "LOOK_SECONDS", 0.01)
    house = House(tmp_path, small={"team": "other"})
    with house.at_work():
        told = await house.told.first(HealthEvent, component="feature small", state="healthy")
        assert told.detail == "10 % of the sessions: no requests yet; else: no requests yet"
        for end in (End.ANSWERED, End.FAILED):
            house.features.ended((Side("small", on=True),), end, 1.25)
        house.features.ended((Side("small", on=False),), End.ANSWERED, 0.5)
        sides = "2 requests, 50.0 % without an answer, 95 % within 1.25 s; else: 1 requests, 0.0 % without an answer"
        detail = f"10 % of the sessions: {sides}, 95 % within 0.50 s"
        await house.told.first(HealthEvent, component="feature small", detail=detail)


async def test_what_cannot_be_read_or_written_is_a_line_in_the_log(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    house = House(tmp_path, small={"team": "other"})
    with house.at_work():
        await house.told.first(HealthEvent, component="feature small", state="healthy")
        house.features.take_back("small", "by hand")
        await house.told.first(HealthEvent, component="feature small", state="degraded")
