"""Listeners speak: text is put to the orchestrators as if a device had heard it, and nobody is owed anything after."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.access.principals import LOCAL, Principal, Role
from gateway.contract.events import ReplyEvent, StatusEvent, TranscriptionEvent
from gateway.contract.messages import is_token
from gateway.journal import Journal
from gateway.pipeline.asking.typed_text import MAX_CHARACTERS, BadText, CannotSay, MayNotSpeak
from gateway.settings.journal import JournalSettings
from tests.gateway.works import Works, open_works

ANNA = Principal(name="anna", role=Role.LISTENER, users=frozenset({"anna"}), devices=frozenset({"kitchen"}))


async def answered(works: Works, text: str = "hello", principal: Principal = LOCAL) -> ReplyEvent:
    """Say it, answer it; the answer as listeners see it."""
    said = await works.pipeline.say(text, principal)
    heard = await works.result(correlation_id=said.correlation_id)
    await works.reply(heard, f"you said {heard.text}")
    reply: ReplyEvent = await works.events.first(ReplyEvent, correlation_id=said.correlation_id)
    return reply


async def test_text_goes_the_way_of_speech() -> None:
    async with open_works() as works:
        said = await works.pipeline.say("  turn on the light \n", LOCAL)
        heard = await works.result()
        assert (heard.text, heard.success, heard.error) == ("turn on the light", True, None)
        assert (heard.audio.seconds, heard.audio.end_reason) == (0.0, "text")
        assert (heard.device_id, heard.user_id) == ("web-local", "home")
        assert (said.session_id, said.correlation_id) == (heard.session_id, heard.correlation_id)
        event = await works.events.first(TranscriptionEvent)
        assert (event.text, event.correlation_id) == (heard.text, said.correlation_id)
        await works.reply(heard, "The light is on.")
        reply = await works.events.first(ReplyEvent)
        assert (reply.text, reply.final, reply.correlation_id) == (
            "The light is on.",
            True,
            said.correlation_id,
        )
        await works.events.first(StatusEvent, status="idle", session_id=said.session_id)
        await works.idle()


async def test_ids_name_the_session_and_cannot_be_guessed() -> None:
    async with open_works() as works:
        one, other = [await works.pipeline.say("hello", LOCAL) for _ in range(2)]
    assert one.session_id != other.session_id
    for said in (one, other):
        assert is_token(said.correlation_id)
        assert said.correlation_id.startswith(f"web-{said.session_id}-")
        assert len(said.correlation_id.removeprefix(f"web-{said.session_id}-")) == 22


async def test_whose_words_they_are() -> None:
    async with open_works() as works:
        reply = await answered(works, "hello", ANNA)
    assert (reply.device_id, reply.user_id) == ("web-anna", "anna")
    assert ANNA.sees(user_id=reply.user_id, device_id=reply.device_id)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing to say"),
        (" \n\t ", "nothing to say"),
        ("x" * (MAX_CHARACTERS + 1), "4001 characters"),
        ("bell \x07", "control characters"),
        ("nul \x00", "control characters"),
        ("half a pair \ud800", "not Unicode"),
    ],
)
async def test_what_cannot_be_said(text: str, reason: str) -> None:
    async with open_works() as works:
        with pytest.raises(BadText, match=reason):
            await works.pipeline.say(text, LOCAL)
        await works.idle()


@pytest.mark.parametrize("text", ["x" * MAX_CHARACTERS, "<b>zwei\nZeilen</b>", "灯をつけて", "👩\u200d🚀"])
async def test_what_can(text: str) -> None:
    async with open_works() as works:
        assert (await answered(works, text)).text == f"you said {text}"


@pytest.mark.parametrize("role", [Role.DEVICE, Role.ORCHESTRATOR])
async def test_who_may_not(role: Role) -> None:
    async with open_works() as works:
        with pytest.raises(MayNotSpeak, match=role):
            await works.pipeline.say("hello", Principal(name="x", role=role))


async def test_too_many_open_sessions() -> None:
    async with open_works(sessions={"max_sessions": 1}) as works:
        await works.pipeline.say("the first", LOCAL)
        with pytest.raises(CannotSay, match="1 sessions are open"):
            await works.pipeline.say("the second", LOCAL)


async def test_who_is_refused_has_left_nothing_behind() -> None:
    async with open_works(sessions={"max_sessions": 1}) as works:
        await works.pipeline.say("the first", LOCAL)
        with pytest.raises(CannotSay, match="1 sessions are open"):
            await works.pipeline.say("the second", ANNA)
        assert works.pipeline.user(ANNA.own_device) == "home", "nobody's yet"


async def test_a_gateway_that_stops_takes_nothing_more() -> None:
    async with open_works() as works:
        works.pipeline._hearing.close()
        with pytest.raises(CannotSay, match="stopping"):
            await works.pipeline.say("hello", LOCAL)


async def test_nobody_who_could_answer() -> None:
    async with open_works(subscribed=False) as works:
        said = await works.pipeline.say("is anybody there", LOCAL)
        await works.events.first(StatusEvent, status="idle", session_id=said.session_id)
        await works.idle()


async def test_no_answer_in_time() -> None:
    async with open_works(orchestrator={"timeout_seconds": 0.05}) as works:
        await works.pipeline.say("hello", LOCAL)
        reply = await works.events.first(ReplyEvent)
        assert (reply.fallback, reply.text) == (True, works.config.orchestrator.fallback_text)
        await works.idle()


async def test_whoever_said_it_may_leave() -> None:
    """The listener that asked is gone before the text is durable: the turn goes on without it."""
    async with open_works() as works:
        saying = asyncio.create_task(works.pipeline.say("hello", LOCAL))
        await asyncio.sleep(0)
        saying.cancel()
        heard = await works.result()
        await works.reply(heard, "hello yourself")
        await works.events.first(ReplyEvent, text="hello yourself")
        await works.idle()


async def test_many_at_once() -> None:
    async with open_works() as works:
        replies = await asyncio.gather(*(answered(works, f"number {n}") for n in range(50)))
        assert [reply.text for reply in replies] == [f"you said number {n}" for n in range(50)]
        await works.idle()


async def test_a_device_of_the_same_name_disturbs_nothing() -> None:
    async with open_works() as works:
        async with works.board("web-local") as board:
            await board.connected()
            said = await works.pipeline.say("hello", LOCAL)
            heard = await works.result()
        async with works.board("web-local") as rebooted:
            await rebooted.connected()
            await works.reply(heard, "still answered")
            reply = await works.events.first(ReplyEvent, correlation_id=said.correlation_id)
        assert reply.text == "still answered"


class TestKilled:
    async def test_a_text_outlives_its_gateway(self, tmp_path: Path) -> None:
        journal = tmp_path / "journal.db"
        async with open_works(journal=journal, subscribed=False) as works:
            works.pipeline._outbox._open = False  # the broker gets nothing any more
            said = await works.pipeline.say("remember me", LOCAL)
            works.hush()
        async with open_works(journal=journal) as works:
            heard = await works.result()
            assert (heard.text, heard.correlation_id) == ("remember me", said.correlation_id)
            await works.reply(heard, "I do")
            reply = await works.events.first(ReplyEvent)
            assert (reply.text, reply.device_id) == ("I do", "web-local")
            await works.idle()
        await self.nothing_left(journal)

    async def test_an_answer_that_comes_after_the_next_start(self, tmp_path: Path) -> None:
        journal = tmp_path / "journal.db"
        async with open_works(journal=journal) as works:
            await works.pipeline.say("one", LOCAL)
            heard = await works.result()
            await works.pipeline.say("another", LOCAL)
            other = await works.result(text="another")
            works.hush()
        async with open_works(journal=journal) as works:
            for message in (heard, other):
                await works.reply(message, f"to {message.text}")
                await works.events.first(ReplyEvent, text=f"to {message.text}")
            await works.idle()
        await self.nothing_left(journal)

    @staticmethod
    async def nothing_left(journal: Path) -> None:
        async with Journal(JournalSettings(path=str(journal))) as kept:
            assert [row.due async for row in kept.requests() if row.due] == []
            assert [row async for row in kept.dead_letters()] == []
            assert await kept.letters(0, 10) == []
