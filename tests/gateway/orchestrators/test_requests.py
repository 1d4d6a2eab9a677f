"""Requests by name: each is answered once, in its time, in its conversation's order, or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import msgspec
import pytest
import structlog

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import BufferFull, Delivery, Receipt, RoutingKey
from gateway.contract.agents import REQUESTS_TOPIC, AgentAnswer, ConversationTurn, Wanted
from gateway.contract.messages import REPLIES_TOPIC, RESULTS_TOPIC, TranscriptionMessage
from gateway.orchestrators.sdk import BadOrchestrator, Heard, Orchestrator
from tests.gateway.orchestrators.played import running, soon


def echo(name: str = "echo", **options: Any) -> Orchestrator:
    house = Orchestrator(name, **options)

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        return heard.text

    return house


async def test_a_request_is_answered_with_its_id_and_what_is_known_around_it() -> None:
    house, seen = Orchestrator("lights"), []

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        seen.append(heard)
        return f"It is off, {heard.answers['weather'].text}"

    around = {
        "role": "Switches the lights.", "team": "house", "attempt": 2,
        "conversation": (ConversationTurn(text="turn it on", reply="It is on.", agent="lights"),),
        "answers": (AgentAnswer(agent="weather", text="and it is dark."),),
    }  # fmt: skip
    async with running(house) as gateway:
        asked = await gateway.ask("lights", "turn it off", request=around, room="Kitchen")
        reply = await gateway.reply()
        assert (reply.request_id, reply.text, reply.final) == (
            asked.request_id, "It is off, and it is dark.", True,
        )  # fmt: skip
        assert (reply.agent, reply.error, reply.understood) == ("lights", None, True)
        await gateway.settled()
    (heard,) = seen
    assert isinstance(heard, TranscriptionMessage)
    assert (heard.role, heard.team, heard.attempt, heard.room) == (
        "Switches the lights.",
        "house",
        2,
        "Kitchen",
    )
    assert heard.conversation == asked.conversation
    assert (heard.answers.get("nobody"), heard.answers[0]) == (None, heard.answers["weather"])
    with pytest.raises(KeyError):
        heard.answers["nobody"]


async def test_a_transcript_is_only_told_where_agents_are_asked_by_name() -> None:
    async with running(echo()) as gateway:
        await gateway.tell("told", addressed=True, name="c_1")
        await gateway.ask("echo", "asked", addressed=True, name="c_2")
        assert (await gateway.reply()).correlation_id == "c_2"
        await gateway.settled(RESULTS_TOPIC)
        assert gateway.replies.pending == 0


async def test_a_request_is_only_for_the_agent_that_it_names() -> None:
    async with running(echo("one"), echo("two")) as gateway:
        await gateway.ask("two", "hello")
        assert (await gateway.reply()).agent == "two"
        assert gateway.replies.pending == 0


async def test_the_same_agent_may_go_by_another_name() -> None:
    house = echo()
    async with running(house, house.renamed("other")) as gateway:
        await gateway.ask("other", "hello")
        assert (await gateway.reply()).agent == "other"
    with pytest.raises(BadOrchestrator, match="name"):
        house.renamed("no name")


@pytest.mark.parametrize(
    "changes",
    [
        {"request_id": ""},
        {"reply_to": "transcription.results"},
        {"transcript": {"user_id": "an n"}},
        {"agent": "another"},
    ],
)
async def test_what_is_no_request_to_it_is_a_dead_letter(changes: dict[str, Any]) -> None:
    async with running(echo()) as gateway:
        asked = await gateway.ask("echo", "first")
        await gateway.reply()
        if "transcript" in changes:
            changes = {"transcript": msgspec.structs.replace(asked.transcript, **changes["transcript"])}
        bad = msgspec.json.encode(msgspec.structs.replace(asked, **changes))
        await gateway.broker.publish(REQUESTS_TOPIC, RoutingKey("echo", "kitchen", "s_1"), bad)
        await gateway.ask("echo", "still there")
        assert (await gateway.reply()).text == "still there"
        assert len(gateway.broker.dead_letters()) == 1


async def test_none_of_a_request_lets_the_team_go_on() -> None:
    house = Orchestrator("house")

    @house.on_transcript
    async def answer(_heard: Heard) -> None:
        return None

    async with running(house) as gateway:
        await gateway.ask("house", "what?")
        reply = await gateway.reply()
        assert (reply.text, reply.understood, reply.final, reply.error) == ("", False, True, None)
        await gateway.ask("house", "  ")
        assert not (await gateway.reply()).understood


# -- once


class Counting:
    """An agent that counts how often it was asked."""

    def __init__(self, name: str = "house", **options: Any) -> None:
        self.agent = Orchestrator(name, **options)
        self.asked: list[str] = []
        self.undone: list[tuple[str, str]] = []
        self.going = asyncio.Event()
        self.fails = False
        self.agent.on_transcript(self.answer)

    async def answer(self, heard: Heard) -> AsyncIterator[str]:
        self.asked.append(heard.text)
        yield "so "
        await self.going.wait()
        if self.fails:
            raise ValueError("not today")
        yield heard.text

    async def undo(self, heard: Heard, reason: str) -> None:
        self.undone.append((heard.text, reason))
        if self.fails:
            raise ValueError("not today")


async def test_a_request_that_comes_again_gets_the_same_reply_and_is_not_worked_on_again() -> None:
    house = Counting()
    house.going.set()
    async with running(house.agent) as gateway:
        asked = await gateway.ask("house", "once")
        first = (await gateway.replied(3))[-1]
        await gateway.put(asked)
        assert await gateway.reply() == first
        await gateway.put(asked, attempt=2)
        assert await gateway.reply() == first
        assert house.asked == ["once"]


async def test_one_that_comes_again_while_it_is_worked_on_waits_for_that_answer() -> None:
    house = Counting()
    async with running(house.agent) as gateway:
        asked = await gateway.ask("house", "once")
        await gateway.put(asked)
        assert (await gateway.reply()).text == "so "
        house.going.set()
        _, first, again = await gateway.replied(3)
        assert first == again
        assert house.asked == ["once"]


async def test_a_failure_is_said_again_but_asked_anew_it_is_worked_on() -> None:
    house = Counting()
    house.fails = True
    house.going.set()
    async with running(house.agent) as gateway:
        asked = await gateway.ask("house", "twice")
        _, failed = await gateway.replied(2)
        assert failed.error == "house failed (ValueError)"
        await gateway.put(asked)
        assert await gateway.reply() == failed
        house.fails = False
        await gateway.put(asked, attempt=2)
        answered = (await gateway.replied(3))[-1]
        assert (answered.text, answered.error) == ("so twice", None)
        assert answered.message_id != failed.message_id
        assert house.asked == ["twice", "twice"]


async def test_a_copy_that_takes_over_says_it_under_the_same_ids() -> None:
    """The first may have died between its reply and its acknowledgement."""
    ids = []
    for _ in range(2):
        house = Counting()
        house.going.set()
        async with running(house.agent) as gateway:
            await gateway.ask("house", "again", request={"request_id": "q_known"})
            ids.append([reply.message_id for reply in await gateway.replied(3)])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3


class FullBroker(MemoryBroker):
    """Is full for so many replies that have these words."""

    words = b""
    times = 0

    async def publish(self, topic: str, key: RoutingKey, payload: bytes, **more: Any) -> Receipt:
        if topic == REPLIES_TOPIC and self.times and self.words in payload:
            self.times -= 1
            raise BufferFull("full")
        return await super().publish(topic, key, payload, **more)


@pytest.mark.parametrize(
    ("words", "ends"), [(b'"so "', "house failed (BufferFull)"), (b'"final":true', None)]
)
async def test_it_is_not_worked_on_again_because_the_broker_refuses_a_reply(
    monkeypatch: pytest.MonkeyPatch, words: bytes, ends: str | None
) -> None:
    """Of a transcript, which has no id of its own, that is another matter."""
    monkeypatch.setattr("gateway.orchestrators.sdk.RETRY_SECONDS", 0.0)
    house, broker = Counting(), FullBroker()
    house.going.set()
    broker.words, broker.times = words, 1
    async with running(house.agent, broker=broker) as gateway:
        await gateway.ask("house", "once")
        reply = await gateway.reply()
        while not reply.final:
            reply = await gateway.reply()
        assert reply.error == ends
        await gateway.settled()
        assert house.asked == ["once"]


async def test_what_it_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.orchestrators.past_replies.MOST", 2)
    house = Counting()
    house.going.set()
    async with running(house.agent) as gateway:
        first = await gateway.ask("house", "one")
        for text in ("two", "three"):
            await gateway.ask("house", text)
        await gateway.put(first)
        await gateway.replied(12)
        assert house.asked == ["one", "two", "three", "one"]


# -- in time


async def test_a_request_has_the_time_that_is_waited_for_it() -> None:
    house = Counting()
    async with running(house.agent) as gateway:
        await gateway.ask("house", "slow", request={"seconds": 0.05})
        _, late = await gateway.replied(2)
        assert late.error == "house took longer than 0.05 s"


async def test_nobody_waits_for_what_is_stale() -> None:
    """By its own clock, as the gateway knows it, with two seconds for what is not known of it."""
    with structlog.testing.capture_logs() as logs:
        async with running(echo()) as gateway:
            now = time.time()
            await gateway.ask("echo", "stale", request={"asked_at": now - 8, "seconds": 5.0})
            await gateway.ask("echo", "nearly", request={"asked_at": now - 6, "seconds": 5.0})
            await gateway.ask("echo", "ahead", request={"asked_at": now + 3600, "seconds": 5.0})
            assert [reply.text for reply in await gateway.replied(2)] == ["nearly", "ahead"]
            await gateway.settled()
    assert [entry["request_id"] for entry in logs if "too late" in entry["event"]] == ["q_1"]


async def test_waiting_for_its_turn_takes_of_its_time() -> None:
    house = Counting(concurrency=1)
    async with running(house.agent) as gateway:
        await gateway.ask("house", "first", request={"seconds": 0.05})
        await gateway.ask("house", "second", request={"seconds": 0.01})
        _, late = await gateway.replied(2)
        assert late.error is not None
        await gateway.settled()
        assert house.asked == ["first"]


async def test_a_function_that_does_not_end_is_left_behind() -> None:
    house, ends = Orchestrator("house", concurrency=1), asyncio.Event()

    house.ending_seconds = 0.01

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        while not ends.is_set() and heard.text == "stay":
            try:
                await ends.wait()
            except asyncio.CancelledError:
                continue
        return "fine"

    async with running(house) as gateway:
        await gateway.ask("house", "stay", request={"seconds": 0.01})
        assert (await gateway.reply()).error == "house took longer than 0.01 s"
        await gateway.ask("house", "go")
        assert (await gateway.reply()).text == "fine"
        ends.set()


# -- in order


async def test_a_conversation_is_answered_in_turn_over_its_sessions() -> None:
    house, slow = Orchestrator("house"), asyncio.Event()

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        if heard.text == "first":
            await slow.wait()
        return heard.text

    async with running(house) as gateway:
        for text, session in (("first", "s_1"), ("second", "s_2")):
            await gateway.ask("house", text, session_id=session, conversation_id="v_1")
        await gateway.ask("house", "elsewhere", session_id="s_3", conversation_id="v_2")
        assert (await gateway.reply()).text == "elsewhere"
        slow.set()
        assert [reply.text for reply in await gateway.replied(2)] == ["first", "second"]


async def test_transcripts_and_requests_share_the_places() -> None:
    house = Counting(concurrency=1)
    async with running(house.agent) as gateway:
        await gateway.tell("told", session_id="s_1")
        assert (await gateway.reply()).text == "so "
        await gateway.ask("house", "asked", session_id="s_2")
        for _ in range(10):
            await asyncio.sleep(0)
        assert house.asked == ["told"]
        house.going.set()
        await gateway.replied(5)
        assert house.asked == ["told", "asked"]


@pytest.mark.parametrize("named", [False, True])
async def test_what_is_urgent_is_answered_next(*, named: bool) -> None:
    house = Counting(concurrency=2)
    async with running(house.agent) as gateway:
        for number, priority in enumerate(["normal", "normal", "background", "normal", "urgent"]):
            said = {"session_id": f"s_{number}", "priority": priority, "name": f"c_{number}"}
            await (gateway.ask("house", priority, **said) if named else gateway.tell(priority, **said))
            if number < 2:
                await gateway.reply()
        house.going.set()
        await gateway.replied(13)
        assert house.asked == ["normal", "normal", "urgent", "normal", "background"]
        assert sorted(set(gateway.priorities)) == ["background", "normal", "urgent"]


# -- stopped


async def test_a_request_is_stopped_while_it_is_worked_on() -> None:
    house, ended = Orchestrator("house"), asyncio.Event()

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        try:
            if heard.text == "wait":
                await heard.say("I am at it.")
                await asyncio.Event().wait()
        finally:
            ended.set()
        return heard.text

    async with running(house) as gateway:
        asked = await gateway.ask("house", "wait")
        assert not (await gateway.reply()).final
        await gateway.stop(asked)
        await soon(ended.wait())
        await gateway.ask("house", "next")
        assert (await gateway.reply()).text == "next"
        await gateway.settled()


async def test_a_request_is_stopped_while_it_waits_and_asked_anew_it_is_answered() -> None:
    house = Counting(concurrency=1)
    async with running(house.agent) as gateway:
        await gateway.ask("house", "first", session_id="s_1")
        asked = await gateway.ask("house", "second", session_id="s_2")
        await gateway.stop(asked)
        await gateway.reply()
        house.going.set()
        await gateway.replied(2)
        await gateway.settled()
        assert house.asked == ["first"]
        await gateway.put(asked, attempt=2)
        assert (await gateway.replied(3))[-1].request_id == asked.request_id


async def test_a_stop_may_come_before_what_it_stops() -> None:
    async with running(echo()) as gateway:
        asked = await gateway.ask("echo", "first")
        await gateway.put(asked, request_id="q_9", kind=Wanted.STOP)
        await gateway.settled()
        await gateway.put(asked, request_id="q_9")
        await gateway.ask("echo", "last")
        assert [reply.text for reply in await gateway.replied(2)] == ["first", "last"]
        await gateway.settled()


@pytest.mark.parametrize("attempt", [0, -1, 2**40])
async def test_who_counts_otherwise_is_answered_all_the_same(attempt: int) -> None:
    async with running(echo()) as gateway:
        await gateway.ask("echo", "hello", request={"attempt": attempt})
        assert (await gateway.reply()).text == "hello"


# -- undone


@pytest.mark.parametrize("fails", [False, True])
async def test_what_was_done_is_undone_once(*, fails: bool) -> None:
    house = Counting()
    house.fails = fails
    house.agent.on_compensation(house.undo)
    house.going.set()
    async with running(house.agent) as gateway:
        asked = await gateway.ask("house", "light on")
        replies = await gateway.replied(2 if fails else 3)
        for _ in range(2):
            await gateway.put(asked, kind=Wanted.COMPENSATE, reason="the others failed")
        undone, again = await gateway.replied(2)
        assert undone == again
        assert (undone.final, undone.request_id) == (True, asked.request_id)
        assert undone.compensation
        assert not any(reply.compensation for reply in replies)
        assert undone.error == ("house failed (ValueError)" if fails else None)
        assert undone.message_id not in {reply.message_id for reply in replies}
        assert house.undone == [("light on", "the others failed")]


async def test_a_stop_that_is_late_does_not_stop_the_undoing() -> None:
    house, begun, going = echo(), asyncio.Event(), asyncio.Event()

    @house.on_compensation
    async def undo(_heard: Heard, _reason: str) -> None:
        begun.set()
        await going.wait()

    async with running(house) as gateway:
        asked = await gateway.ask("echo", "light on")
        await gateway.reply()
        await gateway.put(asked, kind=Wanted.COMPENSATE)
        await soon(begun.wait())
        await gateway.stop(asked)
        await gateway.ask("echo", "elsewhere", session_id="s_2")
        await gateway.reply()
        going.set()
        assert (await gateway.reply()).request_id == asked.request_id


async def test_who_cannot_undo_says_so() -> None:
    async with running(echo()) as gateway:
        asked = await gateway.ask("echo", "light on")
        await gateway.put(asked, kind=Wanted.COMPENSATE)
        assert [reply.error for reply in await gateway.replied(2)] == [None, "cannot be undone"]


def test_what_undoes_is_one_async_function() -> None:
    house = Counting()
    with pytest.raises(BadOrchestrator, match="not an async function"):
        house.agent.on_compensation(lambda _heard, _reason: None)  # type: ignore[arg-type, return-value]
    assert house.agent.on_compensation(house.undo) == house.undo
    with pytest.raises(BadOrchestrator, match="second"):
        house.agent.on_compensation(house.undo)


async def test_the_gateway_has_its_say_before_each_answer() -> None:
    """Where it runs the agent itself, which may have ended it before."""
    house, seen = echo(), []

    def turn(delivery: Delivery, heard: Heard) -> AbstractAsyncContextManager[bool]:
        seen.append((delivery.message.topic, heard.request_id))
        return nullcontext(enter_result=False)

    house.turn = turn
    async with running(house) as gateway:
        asked = await gateway.ask("echo", "deadly")
        assert (await gateway.reply()).error == "echo gave it up"
    assert seen == [(REQUESTS_TOPIC, asked.request_id)]


async def test_the_log_carries_the_trace() -> None:
    house, seen = Orchestrator("house"), {}

    @house.on_transcript
    async def answer(_heard: Heard) -> str:
        seen.update(structlog.contextvars.get_contextvars())
        return ""

    async with running(house) as gateway:
        await gateway.ask("house", "hello")
        reply = await gateway.reply()
    assert seen["traceparent"] == reply.traceparent
