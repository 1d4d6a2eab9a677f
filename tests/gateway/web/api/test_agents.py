"""GET /agents: who is there and how they do; an agent's own words only for who may read them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from gateway.access.principals import Role
from gateway.broker.base import RoutingKey
from gateway.contract.agents import PRESENCE_TOPIC, AgentAnswer, AgentPresence
from gateway.contract.messages import encode
from gateway.contract.redaction import FAILED
from gateway.pipeline.agents.answer_cache import Inquired
from gateway.pipeline.agents.roster import AgentRoster
from tests.gateway.access.keyring import Keyring
from tests.gateway.web.api.served import Served, open_served
from tests.gateway.web.house import bearer
from tests.record import passes

SECRET = "cannot open the safe 1234"
AGENTS: dict[str, Any] = {
    "agents": {"lights": {}, "weather": {"app": "builtin"}, "judge": {"breaker": {"failures": 1}}},
    "teams": {
        "house": {"agents": ["lights", "weather"]},
        "all": {"agents": ["lights"], "combine": "by", "combined_by": "judge"},
    },
}


def roster(served: Served) -> AgentRoster:
    assert served.works.pipeline.agents is not None
    return served.works.pipeline.agents


async def come(served: Served, agent: str, instance: str = "i_1", **facts: Any) -> None:
    presence = AgentPresence(agent=agent, instance=instance, timestamp=time.time(), **facts)
    await served.works.broker.publish(
        PRESENCE_TOPIC, RoutingKey(agent, instance, "presence"), encode(presence)
    )


async def test_who_is_there_and_how_they_do(tmp_path: Path) -> None:
    async with open_served(tmp_path, orchestrator=AGENTS) as served:
        agents, now = roster(served), served.works.pipeline._now
        assert [one["state"] for one in (await served.get("/agents"))["agents"]] == ["unknown"] * 3
        await come(served, "lights", version="1.4", description="The lights.", answering=1, concurrency=16)
        await come(served, "lights", "i_2")
        await come(served, "light")
        await passes(lambda: agents.strangers(now()) == ("light",))
        for seconds in (0.1, 0.3):
            agents.asked("lights", now())
            agents.answered("lights", seconds, now())
        agents.failed("judge", SECRET, timed_out=False, now=now())
        told = await served.get("/agents")
        lights, weather, judge = told["agents"]
        first, second = lights.pop("instances")
        assert abs(first.pop("seen") - time.time()) < 60
        assert first == {
            "instance": "i_1", "version": "1.4", "description": "The lights.", "answering": 1, "concurrency": 16,
            "answered": 0, "failed": 0,
        }  # fmt: skip
        assert second["instance"] == "i_2"
        assert abs(lights.pop("seen") - time.time()) < 60
        assert lights == {
            "name": "lights", "state": "here", "inside": False, "breaker": "closed", "teams": ["house", "all"],
            "asked": 2, "answered": 2, "failed": 0, "timed_out": 0, "p50_ms": 100.0, "p95_ms": 300.0,
            "last_error": "", "unreadable": "", "cache": None,
        }  # fmt: skip
        assert (weather["inside"], weather["state"], weather["teams"], weather["seen"]) == (
            True, "unknown", ["house"], 0.0,
        )  # fmt: skip
        assert (judge["breaker"], judge["failed"], judge["last_error"], judge["teams"]) == (
            "open", 1, SECRET, ["all"],
        )  # fmt: skip
        assert told["strangers"] == ["light"]


async def test_where_none_are_named_there_are_none(tmp_path: Path) -> None:
    async with open_served(tmp_path) as served:
        assert await served.get("/agents") == {"agents": [], "strangers": []}


async def test_an_agents_own_words_are_for_nobody_where_words_are_not(tmp_path: Path) -> None:
    async with open_served(tmp_path, orchestrator=AGENTS, privacy={"redact": True}) as served:
        roster(served).failed("judge", SECRET, timed_out=False, now=served.works.pipeline._now())
        told = (await served.get("/agents"))["agents"]
        assert [one["last_error"] for one in told] == ["", "", FAILED]


async def test_they_are_for_nobody_whose_part_of_the_house_is_bounded(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    async with open_served(tmp_path, orchestrator=AGENTS, web={"require_token": True}) as served:
        roster(served).failed("judge", SECRET, timed_out=False, now=served.works.pipeline._now())
        for scope, error in (((), SECRET), (("ann",), "")):
            headers = bearer(keyring.token(f"somebody{len(scope)}", Role.LISTENER, users=scope))
            told = (await served.get("/agents", headers=headers))["agents"]
            assert [one["last_error"] for one in told] == ["", "", error]


async def test_a_hundred_agents_are_a_short_answer(tmp_path: Path) -> None:
    agents = {f"a{number}": {} for number in range(100)}
    async with open_served(tmp_path, orchestrator={"agents": agents}) as served:
        for name in agents:
            await come(served, name)
        await passes(
            lambda: all(one.copies for one in roster(served).standings(served.works.pipeline._now()))
        )
        told = (await served.get("/agents"))["agents"]
        assert [one["name"] for one in told] == list(agents)
        assert {one["state"] for one in told} == {"here"}


async def test_what_is_given_again_is_seen_and_forgotten(tmp_path: Path) -> None:
    agents = {"agents": {"clock": {"cache": {"seconds": 60}}, "lights": {}}}
    async with open_served(tmp_path, orchestrator=agents) as served:
        cache = roster(served).answers.of("clock")
        assert cache is not None

        def keep(*texts: str) -> None:
            for text in texts:
                asked = Inquired(
                    text=text, language="en", user_id="ann", device_id="radio", room="", begun=False
                )
                cache.keep(asked, (), AgentAnswer(agent="clock", text="Noon."), 0.0)
                assert cache.find(asked, (), 1.0)

        keep("What time is it?", "what day is it", "what year is it")
        kept = (await served.get("/agents"))["agents"][0]["cache"]
        assert (kept["hits"], kept["misses"], kept["entries"]) == (3, 0, 3)
        assert kept["bytes"] > 0
        path = "/agents/clock/cache"
        assert await served.call("DELETE", path, params={"text": "what time is it"}) == {"forgotten": 1}
        assert await served.call("DELETE", path) == {"forgotten": 2}
        await served.call("DELETE", "/agents/lights/cache", 404)
        await served.call("DELETE", "/agents/nobody/cache", 404)
        keep("what time is it")
        await served.call("POST", "/config/reload", 404)  # no file
        await served.call("PATCH", "/config", json={"devices": {"default_user": "all"}})
        assert cache.figures().entries == 0
