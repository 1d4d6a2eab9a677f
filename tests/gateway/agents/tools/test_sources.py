"""Tools that come along, and other agents as tools: what a model may call without anything else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.agents.tools.sources import sources
from gateway.agents.tools.tool import NAME, Tool, ToolFailed
from gateway.orchestrator import BadOrchestrator, Heard, NotUnderstood, Orchestrator, Rehearsal
from gateway.settings.agents.tools import AskedAgent, ToolSettings

HOME = {"home": AskedAgent(description="Switches the lights.", confirm=True)}


def tools(settings: ToolSettings) -> dict[str, Tool]:
    return {tool.name: tool for source in sources("brain", settings) for tool in source.tools()}


def asking(tool: Tool, arguments: Mapping[str, Any]) -> Orchestrator:
    brain = Orchestrator("brain")

    @brain.on_transcript
    async def answer(heard: Heard) -> str:
        try:
            return await tool.call(arguments, heard)
        except ToolFailed as error:
            return f"failed: {error}"

    return brain


def home() -> Orchestrator:
    one = Orchestrator("home")

    @one.on_transcript
    async def answer(heard: Heard) -> str:
        if "light" not in heard.text:
            raise NotUnderstood("Which light?")
        return f"Done: {heard.text}"

    return one


def test_without_settings_there_are_none() -> None:
    assert tools(ToolSettings()) == {}


async def test_the_time() -> None:
    clock = tools(ToolSettings(builtin=("time",)))["time"]
    async with Rehearsal(asking(clock, {})) as stage:
        assert re.match(r"\w+day, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", (await stage.say("time?")).text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"text": "turn on the light"}, "Done: turn on the light"),
        ({"text": "sing"}, "failed: home did not understand: Which light?"),
        ({}, "failed: text: expected what to say, in 1 to 2000 characters"),
        ({"text": ["light"]}, "failed: text: expected what to say, in 1 to 2000 characters"),
        ({"text": "light" * 500}, "failed: text: expected what to say, in 1 to 2000 characters"),
    ],
)
async def test_another_agent_is_asked(arguments: dict[str, Any], said: str) -> None:
    ask = tools(ToolSettings(agents=HOME))["ask_home"]
    assert ask.destructive
    assert ask.description == "Switches the lights."
    async with Rehearsal(asking(ask, arguments), home()) as stage:
        assert (await stage.say("light, please")).text == said


async def test_another_agent_that_asks_already_is_not_asked_again() -> None:
    ask = tools(ToolSettings(agents=HOME))["ask_home"]
    async with Rehearsal(asking(ask, {"text": "light"})) as stage:
        said = await stage.say("light", path=("home",))
    assert said.text.startswith("failed: home is asking already")


def test_nobody_asks_itself() -> None:
    with pytest.raises(BadOrchestrator, match=r"^tools\.agents: brain cannot ask itself$"):
        tools(ToolSettings(agents={"brain": HOME["home"]}))


def test_the_names_are_what_models_take() -> None:
    every = tools(ToolSettings(builtin=("time",), agents={"a" * 60: HOME["home"], **HOME}))
    assert all(NAME.match(name) for name in every)
