"""What is for whom: an agent answers what is its own, and each of its functions what is that one's."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.contract.messages import RESULTS_TOPIC
from gateway.orchestrators.sdk import BadOrchestrator, Heard, Orchestrator
from tests.gateway.orchestrators.played import running


def cook(**only_for: Any) -> Orchestrator:
    house = Orchestrator("cook", **only_for)

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        return heard.text

    return house


FILTERS: list[dict[str, Any]] = [
    {"users": ["bob"]},
    {"devices": ["office"]},
    {"rooms": ["Office"]},
    {"languages": ["de"]},
    {"pattern": "eggs?$"},
]


@pytest.mark.parametrize("only_for", FILTERS)
async def test_a_transcript_that_is_for_somebody_else_is_not_answered(only_for: dict[str, Any]) -> None:
    async with running(cook(**only_for)) as gateway:
        await gateway.tell("boil water", language="en", room="Kitchen")
        await gateway.settled(RESULTS_TOPIC)
        assert gateway.replies.pending == 0


@pytest.mark.parametrize("only_for", FILTERS)
async def test_a_request_that_is_for_somebody_else_goes_on_without(only_for: dict[str, Any]) -> None:
    async with running(cook(**only_for)) as gateway:
        await gateway.ask("cook", "boil water", language="en", room="Kitchen")
        reply = await gateway.reply()
        assert (reply.text, reply.understood, reply.final) == ("", False, True)


async def test_what_passes_is_answered() -> None:
    everything = {"users": ["ann"], "devices": ["kitchen"], "rooms": ["Kitchen"], "languages": ["en"]}
    async with running(cook(**everything, pattern="EGGS")) as gateway:
        await gateway.ask("cook", "boil the eggs", language="en", room="Kitchen")
        await gateway.tell("boil more eggs", language="en", room="Kitchen")
        assert {reply.text for reply in await gateway.replied(2)} == {"boil the eggs", "boil more eggs"}


async def test_the_first_function_that_it_is_for_answers_and_one_without_filters_the_rest() -> None:
    house = Orchestrator("house")

    @house.on_transcript
    async def rest(_heard: Heard) -> str:
        return "rest"

    @house.on_transcript(pattern="light")
    async def lights(_heard: Heard) -> str:
        return "lights"

    @house.on_transcript(pattern="light|door", rooms=["Hall"])
    async def hall(_heard: Heard) -> str:
        return "hall"

    @house.on_every_result(pattern="^$")
    async def silence(_heard: Heard) -> str:
        return "silence"

    async with running(house) as gateway:
        for text, room in (("light on", "Hall"), ("open the door", "Hall"), ("open the door", ""), ("", "")):
            await gateway.ask("house", text, room=room)
        assert [reply.text for reply in await gateway.replied(4)] == ["lights", "hall", "rest", "silence"]
    assert (await rest(_nothing()), await lights(_nothing())) == ("rest", "lights")


def _nothing() -> Any:
    """They stay callable."""
    return None


def test_a_second_function_for_everything_is_refused() -> None:
    house = cook()
    with pytest.raises(BadOrchestrator, match="second"):

        @house.on_every_result
        async def answer(_heard: Heard) -> str:
            return ""


@pytest.mark.parametrize(
    ("only_for", "complaint"),
    [
        ({"pattern": "("}, "not a filter"),
        ({"pattern": 3}, "not a filter"),
        ({"users": "ann"}, r"users are several: write users=\['ann'\]"),
        ({"colours": ["red"]}, "not a filter"),
    ],
)
def test_a_filter_that_is_none_is_said(only_for: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadOrchestrator, match=complaint):
        Orchestrator("house", **only_for)
    with pytest.raises(BadOrchestrator, match=complaint):
        Orchestrator("house").on_transcript(**only_for)
