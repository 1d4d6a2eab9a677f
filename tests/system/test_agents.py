"""Agents that are asked by name, on a real gateway's broker: what they are told, and what a board gets of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from firmware_bridge.simulator.user import ReplyShown
from gateway.broker.base import RoutingKey
from gateway.contract.agents import REQUESTS_TOPIC, AgentRequest, decode_request
from gateway.contract.events import ReplyEvent, StatusEvent
from gateway.contract.messages import REPLIES_TOPIC, OrchestratorReply, encode
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import Orchestrator, Reply
from tests.record import passes
from tests.system.house import RECORDINGS, House, running, text

SPEECH = RECORDINGS["u05"].path
SAID = text("u05")


def agent(name: str, answer: Any) -> Orchestrator:
    """One that answers every transcript so."""
    orchestrator = Orchestrator(name)
    orchestrator.on_transcript(answer)
    return orchestrator


def saying(name: str, words: str, **facts: Any) -> Orchestrator:
    async def answer(_heard: Heard) -> Reply:
        return Reply(words, **facts)

    return agent(name, answer)


def failing(name: str) -> Orchestrator:
    async def answer(_heard: Heard) -> str:
        raise LookupError(name)

    return agent(name, answer)


def settings(*names: str, team: dict[str, Any] | None = None, **agents: dict[str, Any]) -> dict[str, Any]:
    named = {name: agents.get(name, {}) for name in names} | agents
    teams = {} if team is None else {"house": {"agents": list(names), **team}}
    return {"agents": named, "teams": teams}


async def at_work(stack: AsyncExitStack, house: House, *agents: Orchestrator) -> None:
    """They run, and the gateway has heard of them."""
    for one in agents:
        stack.enter_context(running(one.run(house.gateway.broker)))
    roster = house.gateway.pipeline.agents
    assert roster is not None
    now = asyncio.get_running_loop().time
    await passes(lambda: all(roster._agents[one.name].copies.here(now()) for one in agents))


async def test_one_agent_is_asked_by_name_and_answers(house: Any) -> None:
    heard: list[Heard] = []

    async def answer(what: Heard) -> AsyncIterator[str]:
        heard.append(what)
        for piece in ("You ", "said ", what.text):
            yield piece

    async with (
        house(orchestrator=settings("parrot", parrot={"role": "Repeats."})) as one,
        AsyncExitStack() as stack,
    ):
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        await at_work(stack, one, agent("parrot", answer))
        said = await kitchen.say(SPEECH)
        assert (said.reply, said.error, said.fallback) == (f"You said {SAID}", False, False)
        (what,) = heard
        assert (what.text, what.role, what.addressed) == (SAID, "Repeats.", True)
        whole = await one.events.first(ReplyEvent, final=True)
        assert (whole.agents, whole.partial) == (("parrot",), False)
        assert "".join(piece.text for piece in one.events.of(ReplyEvent, final=False)) == said.reply
        await one.idle()


async def test_several_agents_make_one_reply_and_one_may_fail(house: Any) -> None:
    team = settings("a", "b", "c", team={"policy": "all"})
    async with house(orchestrator=team) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        await at_work(stack, one, saying("a", "One."), failing("b"), saying("c", "Three."))
        said = await kitchen.say(SPEECH)
        assert (said.reply, said.error) == ("One. Three.", False)
        event = await one.events.first(ReplyEvent, final=True)
        assert (event.agents, event.partial, event.missing) == (("a", "c"), True, ("b",))
        await one.idle()


@pytest.mark.slow
async def test_a_chain_and_a_combiner(house: Any) -> None:
    async def second(heard: Heard) -> str:
        return f"after {heard.answers[0].text}"

    async def both(heard: Heard) -> str:
        return " + ".join(one.text for one in heard.answers)

    team = {"policy": "all", "after": {"b": ["a"]}, "combine": "by", "combined_by": "c"}
    orchestrator = settings("a", "b", team=team) | {"agents": {"a": {}, "b": {}, "c": {}}}
    async with house(orchestrator=orchestrator) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        await at_work(stack, one, saying("a", "A"), agent("b", second), agent("c", both))
        assert (await kitchen.say(SPEECH)).reply == "A + after A"
        assert (await one.events.first(ReplyEvent, final=True)).agents == ("a", "b", "c")


@pytest.mark.slow
async def test_a_quick_answer_and_a_better_one(house: Any) -> None:
    go_on = asyncio.Event()

    async def answer(heard: Heard) -> str:
        await heard.progress("thinking it over")
        await heard.interim("About seven.")
        await go_on.wait()
        return "It is 6:58."

    async with house(orchestrator=settings("clock")) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        await at_work(stack, one, agent("clock", answer))
        asking = asyncio.create_task(kitchen.say(SPEECH))
        first = await one.events.first(ReplyEvent, interim=True)
        assert (first.text, first.final) == ("About seven.", False)
        assert (await one.events.first(StatusEvent, detail="thinking it over")).status == "thinking"
        go_on.set()
        assert (await asking).reply == "It is 6:58."
        assert [shown.text for shown in kitchen.told.of(ReplyShown)] == ["About seven.", "It is 6:58."]


@pytest.mark.slow
async def test_a_team_that_fails_has_undone_what_was_done(house: Any) -> None:
    undone: list[str] = []
    switch = saying("switch", "It is on.")

    @switch.on_compensation
    async def undo(heard: Heard, reason: str) -> None:
        undone.append(f"{heard.text}: {reason}")

    team = settings(
        "switch", "check", team={"policy": "all", "partial": False}, switch={"compensates": True}, check={}
    )  # fmt: skip
    async with house(orchestrator=team) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        await at_work(stack, one, switch, failing("check"))
        said = await kitchen.say(SPEECH)
        assert said.error
        await passes(lambda: len(undone) == 1)
        assert undone == [f"{SAID}: check failed (LookupError)"]


async def test_who_was_not_asked_has_no_answer(house: Any) -> None:
    """Not for another, not without the request's id, not for a team that it is not in."""
    async with house(orchestrator=settings("lights", "other")) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        broker = one.gateway.broker
        requests = await stack.enter_async_context(
            broker.subscribe(REQUESTS_TOPIC, "user.lights", group="lights")
        )
        asking = asyncio.create_task(kitchen.say(SPEECH))
        delivery = await anext(aiter(requests))
        request = decode_request(delivery.message.payload)
        assert isinstance(request, AgentRequest)
        assert (request.agent, request.transcript.text, request.schema) == ("lights", SAID, 2)

        async def reply(**facts: Any) -> None:
            heard = request.transcript
            made = OrchestratorReply(
                correlation_id=heard.correlation_id, session_id=heard.session_id, **facts
            )
            await broker.publish(REPLIES_TOPIC, RoutingKey("home", "kitchen", "s"), encode(made))

        await reply(agent="other", request_id=request.request_id, text="mine!", message_id="m_1")
        await reply(agent="lights", text="without", message_id="m_5")  # a guess of what is to come
        await reply(agent="lights", request_id="q_guessed", text="guessed", message_id="m_3")
        await reply(agent="stranger", request_id="q_none", text="strange", message_id="m_4")
        await reply(agent="lights", request_id=request.request_id, text="The light is on.", message_id="m_5")
        await reply(agent="lights", request_id=request.request_id, text="Twice.", message_id="m_6")
        assert (await asking).reply == "The light is on."
        await passes(lambda: len(broker.dead_letters()) == 4)
        assert {letter.reason for letter in broker.dead_letters()} == {
            "other was not asked", "lights was not asked", "stranger was not asked",
        }  # fmt: skip
        await one.idle()
