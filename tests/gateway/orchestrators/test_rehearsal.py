"""Agents tried out without a gateway, as their authors do it: the example with tools, and what a rehearsal shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from examples.orchestrators.kitchen import kitchen, lights
from gateway.contract.agents import AgentAnswer
from gateway.contract.messages import WantedHints
from gateway.orchestrators.rehearsal import Rehearsal
from gateway.orchestrators.sdk import BadOrchestrator, Heard, Orchestrator


def weather() -> Orchestrator:
    agent = Orchestrator("weather")

    @agent.on_transcript
    async def answer(_heard: Heard) -> str:
        return "It rains from noon on."

    return agent


async def test_the_example_has_tools() -> None:
    async with Rehearsal(kitchen, weather()) as stage:
        forecast = await stage.say("how is the weather", device_id="tablet")
        assert forecast.first_answers == ["I look out of the window. It is dry."]
        assert forecast.progress == ["asking the weather agent"]
        assert forecast.text == "It rains from noon on."

        again = await stage.say("say that again", device_id="tablet")
        assert again.text == "It rains from noon on."
        elsewhere = await stage.say("say that again", device_id="phone")
        assert (elsewhere.text, elsewhere.end.understood) == ("I only know about the kitchen.", False)


async def test_what_the_example_did_can_be_undone() -> None:
    async with Rehearsal(kitchen) as stage:
        said = await stage.say("turn on the light", room="Kitchen")
        assert (said.text, said.end.data) == (
            "The light of the Kitchen is on.",
            {"room": "Kitchen", "light": True},
        )
        assert lights == {"Kitchen": True}
        undone = await stage.undo(said, "the heating failed")
        assert (undone.text, undone.end.error) == ("", None)
        assert lights == {}


async def test_the_example_tells_when_its_timer_is_over() -> None:
    async with Rehearsal(kitchen) as stage:
        assert (await stage.say("set a timer")).text == "For how long?"
        said = await stage.say("set a timer for 0 seconds", device_id="tablet")
        assert (said.text, said.end.confidence) == ("A timer of 0 seconds is set.", 0.9)
        announced = await stage.announced()
        assert (announced.device_id, announced.text) == ("tablet", "The timer is over.")


async def test_without_the_other_agent_the_example_says_so() -> None:
    broken = Orchestrator("weather")

    @broken.on_transcript
    async def answer(_heard: Heard) -> str:
        raise OSError

    async with Rehearsal(kitchen, broken) as stage:
        said = await stage.say("how is the weather")
        assert said.text == "It is dry, but I cannot reach the forecast."


async def test_a_rehearsal_shows_all_that_was_said_and_gives_all_that_is_known() -> None:
    house, seen = Orchestrator("house"), []

    @house.on_transcript
    async def answer(heard: Heard) -> AsyncIterator[str]:
        seen.append(heard)
        yield "one "
        await heard.hints(WantedHints(language="de"))
        yield "two"

    async with Rehearsal(weather(), house) as stage:
        said = await stage.say(
            "go", agent="house", user_id="ann", role="Counts.", answers=(AgentAnswer(agent="x", text="y"),)
        )
        assert (said.pieces, said.text, said.end.hints) == (
            ["one ", "two"],
            "one two",
            WantedHints(language="de"),
        )
        both = await asyncio.gather(stage.say("a"), stage.say("b", device_id="other"))
        assert {one.text for one in both} == {"It rains from noon on."}
    (heard,) = seen
    assert (heard.user_id, heard.role, heard.answers["x"].text) == ("ann", "Counts.", "y")


async def test_what_never_answers_is_not_waited_for_for_ever() -> None:
    async with Rehearsal(weather()) as stage:
        with pytest.raises(TimeoutError):
            await stage.say("hello", agent="nobody", seconds=-0.99)


async def test_an_agent_that_cannot_run_is_said() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with Rehearsal(Orchestrator("empty")) as stage:
            await stage.announced()
    assert isinstance(caught.value.exceptions[0], BadOrchestrator)
