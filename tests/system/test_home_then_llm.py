"""``examples/home_then_llm``: Home Assistant first and a language model behind it, with a whole gateway and a board."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.config.loading import load_config
from gateway.config.strict_yaml import parse
from gateway.contract.events import ReplyEvent
from tests.gateway.agents.openai.scripted import words
from tests.gateway.agents.test_home_assistant import done
from tests.servers.unruly_http import Told, UnrulyServer, as_events, as_json, unruly
from tests.system.house import RECORDINGS, Board, House

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "home_then_llm"
WAYS = ("in_turn", "both_at_once")
SPEECH = RECORDINGS["u05"].path
ON = done("Turned on the light")
PUZZLED = done("Sorry, I couldn't understand that", "error", "no_intent_match")


class Servers:
    """Home Assistant and the model, played."""

    def __init__(self, home: UnrulyServer, brain: UnrulyServer) -> None:
        self.home = home
        self.brain = brain
        self.brain.usual = words("The moon", " is far.")


@pytest.fixture
async def servers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Servers]:
    monkeypatch.setenv("EARSHOT_AGENT_HOME_TOKEN", "t0ken")
    async with unruly() as home, unruly() as brain:
        yield Servers(home, brain)


def orchestrator(way: str, servers: Servers) -> dict[str, Any]:
    """The example's own settings, at the servers that are played; the model is not warmed up, so that none counts."""
    settings: dict[str, Any] = parse((EXAMPLE / f"{way}.yaml").read_text()).data["orchestrator"]
    settings["agents"]["home"]["url"] = servers.home.url
    settings["agents"]["brain"]["url"] = f"{servers.brain.url}/v1"
    settings["agents"]["brain"]["openai"]["warm_up"] = False
    settings["agents"]["home"]["breaker"] = {"failures": 0}
    return settings


async def said(one: House, board: Board) -> tuple[str, tuple[str, ...]]:
    """What the board is told of the next thing that it hears, and whose answer that is."""
    before = len(one.events.of(ReplyEvent, final=True))
    shown = await board.say(SPEECH)
    await one.events.until(lambda: len(one.events.of(ReplyEvent, final=True)) > before)
    return shown.reply, one.events.of(ReplyEvent, final=True)[-1].agents


@pytest.mark.parametrize("way", WAYS)
def test_each_is_a_right_configuration(way: str) -> None:
    assert list(load_config(EXAMPLE / f"{way}.yaml", {}).orchestrator.agents) == ["home", "brain"]


@pytest.mark.parametrize("way", WAYS)
async def test_home_assistant_goes_before_and_what_it_does_not_know_the_model_does(
    house: Any, servers: Servers, way: str
) -> None:
    brains, homes = ("The moon is far.", ("brain",)), ("Turned on the light", ("home",))
    async with house(orchestrator=orchestrator(way, servers)) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        servers.home.usual = ON
        assert await said(one, kitchen) == homes
        assert len(servers.brain.asked) == (way == "both_at_once")
        assert servers.home.asked[0].headers["Authorization"] == "Bearer t0ken"
        for failing in (
            PUZZLED,
            as_json({"message": "broken"}, 500),
            Told([b"<html>"], content_type="text/html"),
        ):
            servers.home.usual = failing
            assert await said(one, kitchen) == brains
        servers.home.usual = ON
        servers.brain.usual = as_events("cut", cut=True)
        assert await said(one, kitchen) == homes
        await one.idle()


@pytest.mark.parametrize("way", WAYS)
async def test_when_neither_knows_home_assistants_words_are_told(
    house: Any, servers: Servers, way: str
) -> None:
    servers.home.usual, servers.brain.usual = PUZZLED, as_json({}, 500)
    async with house(orchestrator=orchestrator(way, servers)) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        shown = await kitchen.say(SPEECH)
        assert (shown.reply, shown.error, shown.fallback) == (
            "Sorry, I couldn't understand that",
            True,
            False,
        )


async def test_both_at_once_home_assistant_is_waited_for_though_the_model_was_faster(
    house: Any, servers: Servers
) -> None:
    servers.home.usual = Told([b" ", *done("Turned on the light").parts], pause=0.3)
    settings = orchestrator("both_at_once", servers)
    async with house(orchestrator=settings) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        assert await said(one, kitchen) == ("Turned on the light", ("home",))


async def test_both_at_once_nobody_waits_for_a_house_that_hangs(house: Any, servers: Servers) -> None:
    servers.home.usual = Told(silent=True)
    settings = orchestrator("both_at_once", servers)
    settings["teams"]["house"]["prefer_seconds"] = 0.3
    async with house(orchestrator=settings) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        assert await said(one, kitchen) == ("The moon is far.", ("brain",))
        await servers.home.asked[0].gone.wait()
