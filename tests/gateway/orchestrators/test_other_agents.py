"""Agents that ask each other: each answer reaches who asked, and nobody waits for what cannot come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import BrokerUnavailable, Receipt, RoutingKey, Subscription
from gateway.contract.agents import (
    ANSWERS_TOPIC,
    MOST_ASKERS,
    REQUESTS_TOPIC,
    AgentAnswer,
    AgentRequest,
    ConversationTurn,
    Wanted,
    decode_request,
)
from gateway.contract.messages import OrchestratorReply, encode
from gateway.orchestrators.heard import CannotAsk
from gateway.orchestrators.other_agents import _Open
from gateway.orchestrators.sdk import Heard, NotUnderstood, Orchestrator, Reply
from tests.gateway.orchestrators.played import running, soon

KEY = RoutingKey("boss", "kitchen", "s_1")


def boss(asked: str = "helper", *, got: list[AgentAnswer], **options: Any) -> Orchestrator:
    house = Orchestrator("boss")

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        got.append(await heard.ask(asked, **options))
        return got[-1].text or got[-1].error or "nothing"

    return house


def helper(answer: Any) -> Orchestrator:
    house = Orchestrator("helper")
    house.on_transcript(answer)
    return house


async def test_another_agent_is_asked_the_same_and_its_answer_comes_back() -> None:
    got: list[AgentAnswer] = []
    seen: list[Heard] = []

    async def answer(heard: Heard) -> Reply:
        seen.append(heard)
        return Reply(f"helper heard {heard.text}", data={"n": 1}, confidence=0.5)

    async with running(boss(got=got), helper(answer)) as gateway:
        turns = (ConversationTurn(text="before"),)
        await gateway.ask("boss", "hello", request={"conversation": turns, "team": "house"}, room="Kitchen")
        reply = await gateway.reply()
        assert (reply.agent, reply.text) == ("boss", "helper heard hello")
        await gateway.settled()
        assert gateway.replies.pending == 0
    assert got == [AgentAnswer(agent="helper", text="helper heard hello", confidence=0.5, data={"n": 1})]
    (heard,) = seen
    assert (heard.path, heard.conversation, heard.team, heard.room) == (("boss",), turns, "house", "Kitchen")
    assert heard.traceparent == reply.traceparent


async def test_it_may_be_asked_something_else_and_by_who_was_told_a_transcript() -> None:
    got: list[AgentAnswer] = []

    async def answer(heard: Heard) -> str:
        return heard.text

    async with running(boss(got=got, text="and the weather?"), helper(answer)) as gateway:
        await gateway.tell("hello")
        said = {reply.agent: reply.text for reply in await gateway.replied(2)}
        assert said == {"boss": "and the weather?", "helper": "hello"}


async def test_one_after_another_and_many_at_once() -> None:
    house = Orchestrator("boss")

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        answers = await asyncio.gather(*(heard.ask("helper", str(number)) for number in range(20)))
        return " ".join(answer.text for answer in answers)

    async def repeat(heard: Heard) -> str:
        return heard.text

    async with running(house, helper(repeat)) as gateway:
        for _ in range(2):
            await gateway.ask("boss", "count")
            assert (await gateway.reply()).text == " ".join(map(str, range(20)))


async def streams(_heard: Heard) -> AsyncIterator[str]:
    yield "one "
    yield "two"


async def fails(_heard: Heard) -> str:
    raise ValueError


async def does_not_know(_heard: Heard) -> str:
    raise NotUnderstood("What?")


async def thinks_first(heard: Heard) -> str:
    await heard.interim("perhaps")
    await heard.progress("thinking")
    return "certainly"


@pytest.mark.parametrize(
    ("answer", "text", "error"),
    [
        (streams, "one two", None),
        (fails, "", "helper failed (ValueError)"),
        (does_not_know, "What?", "helper did not understand"),
        (thinks_first, "certainly", None),
    ],
)
async def test_each_way_to_answer_is_one_answer(answer: Any, text: str, error: str | None) -> None:
    got: list[AgentAnswer] = []
    async with running(boss(got=got), helper(answer)) as gateway:
        await gateway.ask("boss", "hello")
        await gateway.reply()
    assert [(one.text, one.error) for one in got] == [(text, error)]


async def test_who_is_not_there_is_waited_for_so_long() -> None:
    got: list[AgentAnswer] = []
    async with running(boss(got=got, seconds=0.02)) as gateway:
        await gateway.ask("boss", "hello")
        assert (await gateway.reply()).text == "helper did not answer within 0.02 s"


async def test_who_is_too_slow_is_told_to_stop() -> None:
    got: list[AgentAnswer] = []
    ended = asyncio.Event()

    async def answer(_heard: Heard) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    async with running(boss(got=got, seconds=0.05), helper(answer)) as gateway:
        await gateway.ask("boss", "hello")
        assert "did not answer" in (await gateway.reply()).text
        await soon(ended.wait())


async def test_whoever_is_stopped_stops_those_it_asked() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def answer(_heard: Heard) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    async with running(boss(got=[]), helper(answer)) as gateway:
        asked = await gateway.ask("boss", "hello")
        await soon(begun.wait())
        await gateway.stop(asked)
        await soon(ended.wait())


async def test_another_has_nine_tenths_of_its_own_time() -> None:
    async def answer(heard: Heard) -> str:
        return str(heard.seconds_left())

    async with running(boss(got=[], seconds=60), helper(answer)) as gateway:
        await gateway.ask("boss", "hello", request={"seconds": 3.0})
        assert 2 < float((await gateway.reply()).text) <= 2.7


@pytest.mark.parametrize(
    ("asked", "path", "complaint"),
    [
        ("boss", (), "boss cannot ask itself"),
        ("first", ("first", "second"), "first is asking already: first asks second asks boss asks first"),
        ("helper", tuple(f"a{number}" for number in range(MOST_ASKERS)), "are asking each other already"),
        ("no name", (), "an agent's name is"),
    ],
)
async def test_whom_it_makes_no_sense_to_ask_is_not_asked(
    asked: str, path: tuple[str, ...], complaint: str
) -> None:
    house, said = Orchestrator("boss"), []

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        with pytest.raises(CannotAsk) as caught:
            await heard.ask(asked)
        said.append(str(caught.value))
        return "fine"

    async with running(house) as gateway:
        await gateway.ask("boss", "hello", request={"path": path})
        assert (await gateway.reply()).text == "fine"
    assert complaint in said[0]


async def test_a_cycle_of_agents_ends_at_once() -> None:
    async def asks_back(heard: Heard) -> str:
        return (await heard.ask("boss")).text

    got: list[AgentAnswer] = []
    async with running(boss(got=got), helper(asks_back)) as gateway:
        await gateway.ask("boss", "hello")
        assert (await gateway.reply()).text == "helper failed (CannotAsk)"


async def test_two_that_are_asked_and_ask_each_other_do_not_wait_for_each_other() -> None:
    """Each answers the conversation in turn, but what the other asks is no turn of it."""

    def one(name: str, other: str) -> Orchestrator:
        house = Orchestrator(name)

        @house.on_transcript
        async def answer(heard: Heard) -> str:
            if heard.path:
                return f"{name} helps"
            return (await heard.ask(other)).text

        return house

    async with running(one("left", "right"), one("right", "left")) as gateway:
        for name in ("left", "right"):
            await gateway.ask(name, "hello", conversation_id="v_1")
        assert {reply.text for reply in await gateway.replied(2)} == {"left helps", "right helps"}


async def requested(requests: Subscription, wanted: Wanted = Wanted.ASK) -> AgentRequest:
    while True:
        delivery = await soon(anext(requests))
        await delivery.ack()
        request = decode_request(delivery.message.payload)
        if request.kind is wanted:
            return request


async def test_forged_late_doubled_and_unreadable_answers_are_passed_over() -> None:
    got: list[AgentAnswer] = []
    broker = MemoryBroker()

    async def say(request: AgentRequest, **changes: Any) -> None:
        reply = OrchestratorReply(
            correlation_id="c_1", session_id="s_1", agent="helper", request_id=request.request_id
        )
        await broker.publish(ANSWERS_TOPIC, KEY, encode(msgspec.structs.replace(reply, **changes)))

    async with (
        broker.subscribe(REQUESTS_TOPIC, "user.helper", group="helper") as requests,
        running(boss(got=got), broker=broker) as gateway,
    ):
        await gateway.ask("boss", "hello")
        request = await requested(requests)
        await say(request, agent="somebody", text="forged")
        await say(request, request_id="q_guessed", text="forged")
        await broker.publish(ANSWERS_TOPIC, KEY, b"no reply")
        await say(request, text="real")
        await say(request, text="again")
        assert (await gateway.reply()).text == "real"
        await say(request, text="late")
        await gateway.settled(ANSWERS_TOPIC)
    assert [answer.text for answer in got] == ["real"]


class AwayBroker(MemoryBroker):
    """Is away for requests."""

    tries = 0

    async def publish(self, topic: str, key: RoutingKey, *args: Any, **kwargs: Any) -> Receipt:
        if topic == REQUESTS_TOPIC and key.user == "helper":
            self.tries += 1
            if self.tries < 3:
                raise BrokerUnavailable("away")
        return await super().publish(topic, key, *args, **kwargs)


async def test_a_request_waits_for_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.orchestrators.sdk.RETRY_SECONDS", 0.0)

    async def answer(heard: Heard) -> str:
        return heard.text

    async with running(boss(got=[]), helper(answer), broker=AwayBroker()) as gateway:
        await gateway.ask("boss", "hello")
        assert (await gateway.reply()).text == "hello"


async def test_only_so_many_are_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.orchestrators.other_agents.MOST_OPEN", 1)
    house = Orchestrator("boss")

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        first = asyncio.create_task(heard.ask("helper", seconds=0.05))
        await asyncio.sleep(0)
        second = await heard.ask("helper")
        await first
        return second.error or ""

    async with running(house) as gateway:
        await gateway.ask("boss", "hello")
        assert (await gateway.reply()).text == "boss asks 1 others already"


@pytest.mark.parametrize(
    ("replies", "answer"),
    [
        ([{"error": "broken", "final": False}], AgentAnswer(agent="helper", error="broken")),
        (
            [{"text": "About seven.", "interim": True}, {"text": "6:58"}],
            AgentAnswer(agent="helper", text="6:58"),
        ),
    ],
    ids=["an error is the end", "a first answer is none"],
)
async def test_a_program_is_understood_as_the_gateway_would(
    replies: list[dict[str, Any]], answer: AgentAnswer
) -> None:
    opened = _Open("helper")
    for reply in replies:
        opened.take(OrchestratorReply(correlation_id="c_1", session_id="s_1", agent="helper", **reply))
    assert opened.answer.done()
    assert await opened.answer == answer
