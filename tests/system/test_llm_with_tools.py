"""``examples/home_then_llm/by_tool.yaml``: a language model that has the house as its tool, in a whole gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.access.principals import Principal, Role
from gateway.config.loading import load_config
from gateway.config.strict_yaml import parse
from gateway.contract.events import ReplyEvent
from tests.gateway.agents.openai.scripted import call, calls, words
from tests.gateway.agents.test_home_assistant import done
from tests.servers.unruly_http import UnrulyServer, unruly
from tests.system.house import House

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "home_then_llm" / "by_tool.yaml"
ANN = Principal(name="ann", role=Role.LISTENER, users=frozenset({"ann"}))


@pytest.fixture
async def servers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[UnrulyServer, UnrulyServer]]:
    monkeypatch.setenv("EARSHOT_AGENT_HOME_TOKEN", "t0ken")
    async with unruly() as home, unruly() as brain:
        home.usual = done("Turned on the light")
        brain.usual = words("There is light.")
        yield home, brain


def orchestrator(home: UnrulyServer, brain: UnrulyServer, *, confirm: bool) -> dict[str, Any]:
    """The example's own settings, at the servers that are played."""
    settings: dict[str, Any] = parse(EXAMPLE.read_text()).data["orchestrator"]
    settings["agents"]["home"]["url"] = home.url
    settings["agents"]["brain"]["url"] = f"{brain.url}/v1"
    chat = settings["agents"]["brain"]["openai"]
    chat["warm_up"] = False
    chat["tools"]["agents"]["home"]["confirm"] = confirm
    return settings


async def said(one: House, text: str) -> str:
    """What is answered to it on the page."""
    before = len(one.events.of(ReplyEvent, final=True))
    await one.gateway.pipeline.say(text, ANN)
    await one.events.until(lambda: len(one.events.of(ReplyEvent, final=True)) > before)
    reply = one.events.of(ReplyEvent, final=True)[-1]
    return str(reply.text)


def audited(folder: Path) -> list[tuple[str, str]]:
    """The tools in the audit log, and what became of each."""
    (file,) = folder.rglob("audit.log")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    tools = [line for line in lines if line["event"] == "tool called by an agent"]
    assert {(line["agent"], line["user"]) for line in tools} == {("brain", "ann")}
    assert not any("dark" in json.dumps(line) or "light" in json.dumps(line) for line in tools)
    return [(line["tool"], line["outcome"]) for line in tools]


def test_it_is_a_right_configuration() -> None:
    assert list(load_config(EXAMPLE, {}).orchestrator.agents) == ["home", "brain"]


async def test_the_model_has_the_house_do_it(
    house: Any, servers: tuple[UnrulyServer, UnrulyServer], tmp_path: Path
) -> None:
    home, brain = servers
    brain.next.append(calls(call("ask_home", {"text": "turn on the light"})))
    async with house(orchestrator=orchestrator(home, brain, confirm=False)) as one:
        assert await said(one, "it is dark in here") == "There is light."
        assert home.asked[0].json["text"] == "turn on the light"
        assert brain.asked[1].json["messages"][-1]["content"] == "Turned on the light"
        await one.gateway.audit.written()
        assert audited(tmp_path) == [("ask_home", "done")]


async def test_what_is_to_be_confirmed_is_by_a_word_on_the_page(
    house: Any, servers: tuple[UnrulyServer, UnrulyServer], tmp_path: Path
) -> None:
    home, brain = servers
    async with house(orchestrator=orchestrator(home, brain, confirm=True)) as one:
        for answer, done_then in (("no", 0), ("yes", 1)):
            brain.next.append(calls(call("ask_home", {"text": "turn on the light"})))
            asked = await said(one, "it is dark in here")
            assert asked == "Shall I really do this: ask home, turn on the light?"
            assert len(home.asked) == 0
            await said(one, answer)
            assert len(home.asked) == done_then
        await one.gateway.audit.written()
        assert audited(tmp_path) == [
            ("ask_home", outcome)
            for outcome in ("to be confirmed", "not confirmed", "to be confirmed", "confirmed", "done")
        ]
