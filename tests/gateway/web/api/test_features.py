"""GET /features: both sides of what some sessions try; and how it is taken back, and tried again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.pipeline.agents.features import End, Side
from tests.gateway.web.api.served import open_served

PARTS: dict[str, Any] = {
    "orchestrator": {
        "agents": {"big": {}, "small": {}},
        "teams": {"house": {"agents": ["big"]}},
    },
    "features": {"cheap": {"percent": 25, "agents": {"big": "small"}}},
}


async def test_both_sides_are_seen_and_it_is_taken_back_and_tried_again(tmp_path: Path) -> None:
    async with open_served(tmp_path, **PARTS) as served:
        features = served.works.pipeline.features
        assert features is not None
        for seconds in (0.1, 0.3):
            features.ended((Side("cheap", on=True),), End.ANSWERED, seconds)
        for end in (End.FAILED, End.PUZZLED):
            features.ended((Side("cheap", on=False),), end, 1.0)
        (one,) = (await served.get("/features"))["features"]
        nothing = {"failed": 0, "puzzled": 0, "error_rate": 0.0, "no_answer_rate": 0.0}
        assert one == {
            "name": "cheap", "percent": 25.0, "team": "", "in_place_of": "", "agents": {"big": "small"},
            "taken_back": "",
            "on": {"requests": 2, **nothing, "p50_ms": 100.0, "p95_ms": 300.0},
            "off": {"requests": 2, "failed": 1, "puzzled": 1, "error_rate": 0.5, "no_answer_rate": 1.0,
                    "p50_ms": 0.0, "p95_ms": 0.0},
        }  # fmt: skip
        back = await served.call("POST", "/features/cheap/take-back", params={"reason": "it swears"})
        assert back["taken_back"] == "it swears"
        again = await served.call("POST", "/features/cheap/try")
        assert (again["taken_back"], again["on"]["requests"]) == ("", 0)
        for what in ("try", "take-back"):
            await served.call("POST", f"/features/dear/{what}", 404)
        await served.call("PATCH", "/config", json={"features": {"cheap": {"percent": 50}}})
        (one,) = (await served.get("/features"))["features"]
        assert one["percent"] == 50


async def test_where_no_agents_are_named_there_are_none(tmp_path: Path) -> None:
    async with open_served(tmp_path) as served:
        assert await served.get("/features") == {"features": []}
        await served.call("POST", "/features/cheap/try", 404)
