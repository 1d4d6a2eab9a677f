"""What a handler can do beside returning an answer: say more, say it better later, and say it for programs."""

from __future__ import annotations

import asyncio
import gc
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from gateway.contract.messages import TranscriptionMessage, WantedHints, decode_transcription, encode
from gateway.orchestrators.heard import TurnOver, heard
from gateway.orchestrators.sdk import Heard, NotUnderstood, Orchestrator, Reply, Say
from gateway.orchestrators.speaking import Speaking
from tests.gateway.orchestrators.played import running, transcript, until

Answering = Callable[[Heard], Awaitable[Any]]


def agent(answer: Any, **options: Any) -> Orchestrator:
    house = Orchestrator("house", **options)
    house.on_transcript(answer)
    return house


async def test_pieces_may_be_said_and_what_is_returned_is_the_last() -> None:
    async def answer(heard: Heard) -> str:
        await heard.say("Let me see. ")
        await heard.say("It is ")
        return "noon."

    async with running(agent(answer)) as gateway:
        await gateway.ask("house", "what time is it")
        replies = await gateway.replied(3)
        assert [(reply.text, reply.final, reply.interim) for reply in replies] == [
            ("Let me see. ", False, False),
            ("It is ", False, False),
            ("Let me see. It is noon.", True, False),
        ]
        assert len({reply.message_id for reply in replies}) == 3


async def test_they_may_also_come_from_a_transcript_and_beside_a_stream() -> None:
    async def answer(heard: Heard) -> AsyncIterator[str]:
        await heard.say("one ")
        yield "two "
        await heard.say("three")

    async with running(agent(answer)) as gateway:
        await gateway.tell("count")
        assert [reply.text for reply in await gateway.replied(4)] == [
            "one ",
            "two ",
            "three",
            "one two three",
        ]


@pytest.mark.parametrize(
    ("returned", "ends"),
    [("It is 21 degrees.", "It is 21 degrees."), (None, "It is warm."), ("", "It is warm.")],
)
async def test_a_first_answer_is_shown_and_a_better_one_follows_or_it_stays(
    returned: str | None, ends: str
) -> None:
    async def answer(heard: Heard) -> str | None:
        await heard.interim("It is warm.")
        return returned

    async with running(agent(answer)) as gateway:
        await gateway.ask("house", "how warm is it")
        first, last = await gateway.replied(2)
        assert (first.text, first.final, first.interim) == ("It is warm.", False, True)
        assert (last.text, last.final, last.interim) == (ends, True, False)


async def test_what_is_being_done_is_told_and_is_no_text() -> None:
    async def answer(heard: Heard) -> str:
        await heard.progress("looking it up")
        return "Found."

    async with running(agent(answer)) as gateway:
        await gateway.ask("house", "find it")
        sign, last = await gateway.replied(2)
        assert (sign.text, sign.final, sign.progress) == ("", False, "looking it up")
        assert (last.text, last.progress) == ("Found.", "")


async def test_hints_and_data_travel_with_the_end() -> None:
    async def answer(heard: Heard) -> str:
        await heard.hints(WantedHints(hotwords="Aoife"))
        await heard.attach({"light": "kitchen", "on": False})
        await heard.attach({"on": True})
        return "Whom shall I call?"

    async with running(agent(answer)) as gateway:
        await gateway.ask("house", "call somebody")
        reply = await gateway.reply()
        assert reply.hints == WantedHints(hotwords="Aoife")
        assert reply.data == {"light": "kitchen", "on": True}


async def test_a_reply_has_more_than_its_text() -> None:
    async def answer(heard: Heard) -> Reply:
        await heard.attach({"room": "kitchen", "on": False})
        return Reply("Done.", WantedHints(language="de"), {"on": True}, 0.8)

    async with running(agent(answer)) as gateway:
        await gateway.ask("house", "light on")
        reply = await gateway.reply()
        assert (reply.text, reply.confidence, reply.understood) == ("Done.", 0.8, True)
        assert reply.data == {"room": "kitchen", "on": True}
        assert reply.hints == WantedHints(language="de")


async def not_understood(heard: Heard) -> Reply:
    if heard.text == "returned":
        return Reply("I do not know that.", understood=False)
    raise NotUnderstood("I do not know that.")


@pytest.mark.parametrize("how", ["returned", "raised"])
async def test_what_was_not_understood_is_no_failure(how: str) -> None:
    async with running(agent(not_understood)) as gateway:
        await gateway.ask("house", how)
        reply = await gateway.reply()
        assert (reply.text, reply.understood, reply.error) == ("I do not know that.", False, None)


async def test_not_understood_between_pieces() -> None:
    async def answer(_heard: Heard) -> AsyncIterator[str]:
        yield "Hm. "
        raise NotUnderstood("What?")

    async with running(agent(answer)) as gateway:
        await gateway.ask("house", "mumble")
        _, last = await gateway.replied(2)
        assert (last.text, last.understood, last.error) == ("Hm. What?", False, None)


# -- what cannot be said


async def attaches_too_much(heard: Heard) -> str:
    await heard.attach({"much": "x" * 70_000})
    return ""


async def attaches_what_is_no_json(heard: Heard) -> str:
    await heard.attach({"what": object()})
    return ""


async def says_no_text(heard: Heard) -> str:
    await heard.say(42)  # type: ignore[arg-type]
    return ""


async def says_too_much(heard: Heard) -> str:
    for _ in range(3):
        await heard.say("x" * 500_000)
    return ""


async def streams_too_much(_heard: Heard) -> AsyncIterator[str]:
    while True:
        yield "x" * 500_000


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Reply("", confidence=2), "BadMessage"),
        (Reply("", confidence="much"), "BadMessage"),  # type: ignore[arg-type]
        (Reply("", data={"much": "x" * 70_000}), "BadMessage"),
        (Reply("", data={"what": object()}), "TypeError"),
        (Reply("", data=["no object"]), "BadMessage"),  # type: ignore[arg-type]
        (Reply("", hints=WantedHints(prompt="x" * 2_000)), "BadMessage"),
        (Reply(b"no text"), "TypeError"),  # type: ignore[arg-type]
        (Reply("x" * 1_100_000), "BadMessage"),
        (Say(None, WantedHints()), "TypeError"),  # type: ignore[arg-type]
        (attaches_too_much, "ValueError"),
        (attaches_what_is_no_json, "TypeError"),
        (says_no_text, "TypeError"),
        (says_too_much, "ValueError"),
        (streams_too_much, "ValueError"),
    ],
)
async def test_what_would_be_refused_at_the_other_end_is_a_failure_here(answer: Any, error: str) -> None:
    async def returned(_heard: Heard) -> Any:
        return answer

    async with running(agent(answer if callable(answer) else returned)) as gateway:
        await gateway.ask("house", "go")
        reply = await gateway.reply()
        while not reply.final:
            reply = await gateway.reply()
        assert reply.error == f"house failed ({error})"


async def test_after_the_end_nothing_can_be_said() -> None:
    seen: list[Heard] = []

    async def answer(heard: Heard) -> str:
        seen.append(heard)
        if heard.text == "for ever":
            await asyncio.Event().wait()
        return "That is all."

    async with running(agent(answer)) as gateway:
        await gateway.ask("house", "go")
        await gateway.reply()
        for tool in (seen[0].say, seen[0].interim, seen[0].progress):
            with pytest.raises(TurnOver, match="ended"):
                await tool("more")
        with pytest.raises(TurnOver):
            await seen[0].attach({})
        with pytest.raises(TurnOver):
            await seen[0].hints(WantedHints())
        await gateway.ask("house", "for ever", request={"seconds": 0.01})
        assert (await gateway.reply()).error is not None
        with pytest.raises(TurnOver):
            await seen[1].say("more")


async def test_the_time_that_is_left_is_known() -> None:
    async def answer(heard: Heard) -> str:
        return str(heard.seconds_left())

    async with running(agent(answer, timeout_seconds=7.0)) as gateway:
        await gateway.ask("house", "of the request", request={"seconds": 3.0})
        assert 2 < float((await gateway.reply()).text) <= 3
        await gateway.ask("house", "of the agent", request={"seconds": 60.0})
        assert 6 < float((await gateway.reply()).text) <= 7


async def test_ten_thousand_pieces_are_one_answer() -> None:
    async def answer(_heard: Heard) -> AsyncIterator[str]:
        for number in range(10_000):
            yield f"{number} "

    async with running(agent(answer)) as gateway:
        await gateway.ask("house", "count")
        replies = await gateway.replied(10_001)
        assert replies[-1].text == "".join(reply.text for reply in replies[:-1])
        assert len({reply.message_id for reply in replies}) == 10_001


async def test_what_was_answered_is_gone_at_once_without_a_collection() -> None:
    async def answer(heard: Heard) -> str:
        await heard.say("one ")
        return "two"

    def left() -> int:
        return sum(isinstance(one, (Heard, Speaking)) for one in gc.get_objects())

    async with running(agent(answer)) as gateway:
        gc.collect()
        before = left()
        gc.disable()
        try:
            for number in range(50):
                await gateway.ask("house", "go", session_id=f"s_{number}")
            await gateway.replied(100)
            await gateway.settled()
            await until(lambda: left() <= before + 1)  # the reader holds the last until the next
        finally:
            gc.enable()


# -- what was heard, by itself


async def test_outside_an_orchestrator_it_has_no_tools() -> None:
    said = heard(transcript("hello"))
    assert said.seconds_left() == math.inf
    with pytest.raises(TurnOver, match="handler"):
        await said.say("more")


def test_it_is_a_transcript_still() -> None:
    said = transcript("hello")
    whole = heard(said, role="echo")
    assert isinstance(whole, TranscriptionMessage)
    assert decode_transcription(encode(whole)) == said
    assert msgspec.structs.replace(whole, text="bye").text == "bye"


async def test_who_announces_something_or_asks_others_has_acted() -> None:
    async def answer(heard: Heard) -> Reply:
        if heard.text == "remind me":
            await heard.announce("Do it!")
        if heard.text == "ask":
            await heard.ask("somebody", seconds=0.05)
        return Reply("Yes.", acted=heard.text == "switch it on")

    async with running(agent(answer)) as gateway:
        acted = []
        for text in ("what is it", "switch it on", "remind me", "ask"):
            await gateway.ask("house", text)
            acted.append((await gateway.reply()).acted)
        assert acted == [False, True, True, True]
