"""A conversation on the whole way: over pushes of a button, typed words, reboots, restarts, and what is erased."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.access.principals import LOCAL, Principal, Role
from gateway.broker.backends.memory import MemoryBroker
from gateway.contract.events import DeliveryEvent, ReplyEvent, TranscriptionEvent
from gateway.contract.messages import RESULTS_TOPIC, TranscriptionMessage
from gateway.contract.tracing import traceparent
from gateway.journal import Journal
from gateway.journal.effects import Erased
from gateway.journal.records import TurnRow
from gateway.pipeline.erasing import Whose
from gateway.pipeline.sessions.conversations import Conversation
from tests.gateway.works import Engine, Works, loud, open_works
from tests.system.house import Board, passes


class Talk:
    """Who says something, and is answered."""

    def __init__(self, works: Works) -> None:
        self.works = works
        self._heard = 0

    async def heard(self) -> TranscriptionMessage:
        """What was said next."""
        self._heard += 1
        return await self.works.result(self._heard)

    def before(self, heard: TranscriptionMessage) -> Conversation:
        """What an agent would be told of the conversation."""
        question = self.works.pipeline._questions.get(heard.correlation_id)
        assert question is not None
        return question.conversation

    async def push(self, board: Board, seconds: float, answer: str = "") -> TranscriptionMessage:
        """One push of a button."""
        saying = asyncio.create_task(board.say(loud(seconds)))
        heard = await self.heard()
        await self.works.reply(heard, answer or f"{heard.text} it is", agent="house")
        await saying
        await self.works.idle()
        return heard

    async def type(self, text: str, principal: Principal = LOCAL) -> TranscriptionMessage:
        await self.works.pipeline.say(text, principal)
        heard = await self.heard()
        await self.works.reply(heard, f"{text}, too", agent="house")
        await self.works.idle()
        return heard


def words(conversation: Conversation) -> list[tuple[str, str, str]]:
    return [(turn.text, turn.reply, turn.agent) for turn in conversation.turns]


async def test_two_pushes_are_one_conversation_and_whoever_is_asked_knows_what_was_said() -> None:
    async with open_works(devices={"rooms": {"kitchen": "ground floor"}}) as works, works.board() as kitchen:
        talk = Talk(works)
        first = await talk.push(kitchen, 1)
        saying = asyncio.create_task(kitchen.say(loud(2)))
        second = await talk.heard()
        assert first.conversation_id.startswith("v_")
        assert second.conversation_id == first.conversation_id
        assert second.session_id != first.session_id
        assert second.room == "ground floor"
        before = talk.before(second)
        assert (before.id, words(before)) == (first.conversation_id, [("16000", "16000 it is", "house")])
        assert before.turns[0].timestamp == first.timestamp
        await works.reply(second, "and off")
        await saying
        await works.idle()
        for kind in (TranscriptionEvent, ReplyEvent, DeliveryEvent):
            assert {event.conversation_id for event in works.events.of(kind)} == {first.conversation_id}


async def test_each_listener_has_a_conversation_of_its_own() -> None:
    anna = Principal(name="anna", role=Role.LISTENER, users=frozenset({"anna"}))
    async with open_works() as works:
        talk = Talk(works)
        mine, hers, again = await talk.type("one"), await talk.type("two", anna), await talk.type("three")
        assert mine.conversation_id == again.conversation_id != hers.conversation_id


async def test_what_a_listener_types_and_says_is_one_conversation() -> None:
    async with open_works() as works, works.board("web-local") as page:
        talk = Talk(works)
        ids = [(await talk.push(page, 1)).conversation_id, (await talk.type("and now")).conversation_id]
        saying = asyncio.create_task(page.say(loud(2)))
        third = await talk.heard()
        assert {*ids, third.conversation_id} == {ids[0]}
        assert [turn.text for turn in talk.before(third).turns] == ["16000", "and now"]
        await works.reply(third, "yes")
        await saying


async def test_what_is_remembered_is_what_the_word_in_between_has_left_of_it() -> None:
    masked = {"personal_data": "mask"}
    async with open_works(content=masked) as works:
        talk = Talk(works)
        await talk.type("my card is 4111 1111 1111 1111")
        await works.pipeline.say("and now", LOCAL)
        (before,) = talk.before(await talk.heard()).turns
        assert (before.text, before.reply) == ("my card is [card number]", "my card is [card number], too")


async def test_the_trace_of_an_utterance_goes_with_its_message_and_in_its_header() -> None:
    async with open_works(subscribed=False) as works, works.broker.subscribe(RESULTS_TOPIC) as results:
        said = await works.pipeline.say("hello", LOCAL)
        message = (await anext(aiter(results))).message
        trace = traceparent(said.correlation_id)
        assert (message.headers["traceparent"], json.loads(message.payload)["traceparent"]) == (trace, trace)


async def test_it_ends_when_nothing_was_said_for_its_window() -> None:
    async with open_works(sessions={"hints_seconds": 0.0}) as works:
        talk = Talk(works)
        first, second = await talk.type("one"), await talk.type("two")
        assert first.conversation_id != second.conversation_id
        await passes(lambda: len(works.pipeline._questions.conversing._conversations) == 1)


async def test_a_fallback_and_an_error_are_no_part_of_what_was_said() -> None:
    async with open_works(orchestrator={"timeout_seconds": 0.2}) as works:
        talk = Talk(works)
        await works.pipeline.say("one", LOCAL)
        await talk.heard()
        await works.events.first(ReplyEvent, fallback=True)
        await works.pipeline.say("two", LOCAL)
        await works.reply(await talk.heard(), "it is broken", error="broken")
        await works.events.first(ReplyEvent, error="broken")
        await works.pipeline.say("three", LOCAL)
        assert words(talk.before(await talk.heard())) == [("one", "", ""), ("two", "", "")]


async def test_it_ends_when_its_device_becomes_another_users() -> None:
    async with open_works(devices={"users": {"kitchen": "ann"}}) as works, works.board() as kitchen:
        talk = Talk(works)
        first = await talk.push(kitchen, 1)
        devices = structs.replace(works.config.devices, users={"kitchen": "bob"})
        works.pipeline._announce.reconfigure(devices)
        works.pipeline.reconfigure(structs.replace(works.config, devices=devices))
        saying = asyncio.create_task(kitchen.say(loud(2)))
        second = await talk.heard()
        assert (first.user_id, second.user_id) == ("ann", "bob")
        assert second.conversation_id != first.conversation_id
        assert talk.before(second).turns == ()
        await works.reply(second, "yes")
        await saying


async def test_a_reboot_of_the_device_does_not_end_it() -> None:
    async with open_works() as works:
        talk = Talk(works)
        ids = []
        for boot in (1, 2):
            async with works.board(boot=boot) as kitchen:
                ids.append((await talk.push(kitchen, boot)).conversation_id)
        assert ids[0] == ids[1]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def turns(works: Works) -> list[TurnRow]:
    assert isinstance(works.journal, Journal)
    return [row async for row in works.journal.turns()]


async def test_it_goes_on_with_its_memory_after_the_gateway_was_killed_and_so_does_an_open_question(
    journal: Path,
) -> None:
    broker = MemoryBroker()
    async with open_works(journal=journal, beside=broker, sessions={"hints_seconds": 3600}) as works:
        talk = Talk(works)
        first = await talk.type("one")
        await works.pipeline.say("two", LOCAL)
        asked = await talk.heard()
        works.hush()
    async with open_works(journal=journal, beside=broker, sessions={"hints_seconds": 3600}) as works:
        talk = Talk(works)
        assert (await talk.heard()).conversation_id == asked.conversation_id == first.conversation_id
        assert words(talk.before(asked)) == [("one", "one, too", "house")]
        await works.reply(asked, "2", agent="house")
        reply = await works.events.first(ReplyEvent, final=True)
        assert reply.conversation_id == first.conversation_id
        await works.pipeline.say("three", LOCAL)
        third = await talk.heard()
        assert third.conversation_id == first.conversation_id
        assert words(talk.before(third)) == [("one", "one, too", "house"), ("two", "2", "house")]
    await broker.close()


async def test_speech_that_the_gateway_before_had_not_transcribed_is_said_in_its_conversation(
    journal: Path,
) -> None:
    engine = Engine()
    async with open_works(engine, journal=journal) as works, works.board(boot=1) as kitchen:
        first = await Talk(works).push(kitchen, 1)
        engine.go.clear()
        saying = asyncio.create_task(kitchen.say(loud(2)))
        await passes(lambda: works.pipeline.stats().turns == 1)
        await works.settled()
        works.hush()
        engine.go.set()
        saying.cancel()
    async with open_works(journal=journal) as works:
        assert (await works.result(text="32000")).conversation_id == first.conversation_id


Erase = Callable[[Works, TranscriptionMessage], Any]


async def erase_one(works: Works, heard: TranscriptionMessage) -> None:
    await works.pipeline.erasing.erase(
        Whose(correlation_id=heard.correlation_id, utterance_id=heard.utterance_id)
    )
    await works.journal.commit(Erased(heard.utterance_id))


async def erase_user(works: Works, heard: TranscriptionMessage) -> None:
    await works.pipeline.erasing.erase(Whose(user_id=heard.user_id))
    assert isinstance(works.journal, Journal)
    while some := await works.journal.history.belongings(heard.user_id, 50):
        await works.journal.commit(*some.effects())


@pytest.mark.parametrize(("erase", "left"), [(erase_one, ["two"]), (erase_user, [])])
@pytest.mark.parametrize("remembers", [True, False], ids=["with a history", "without"])
async def test_what_is_erased_is_not_handed_to_anybody_any_more(
    journal: Path,
    erase: Erase,
    left: list[str],
    remembers: bool,  # noqa: FBT001
) -> None:
    async with open_works(journal=journal, history={"enabled": remembers}) as works:
        talk = Talk(works)
        first = await talk.type("one")
        await talk.type("two")
        if erase is erase_one:  # a question that is open already would be put to another agent with it
            await works.pipeline.say("open", LOCAL)
            asked = await talk.heard()
            assert [turn.text for turn in talk.before(asked).turns] == ["one", "two"]
            await erase(works, first)
            assert [turn.text for turn in talk.before(asked).turns] == ["two"]
            left = [*left, "open"]
        else:
            await erase(works, first)
        assert [row.text for row in await turns(works)] == (left if remembers else [""] * len(left))
        await works.pipeline.say("three", LOCAL)
        third = await talk.heard()
        assert third.conversation_id == first.conversation_id
        assert [turn.text for turn in talk.before(third).turns] == left


@pytest.mark.parametrize(
    ("parts", "known"),
    [({"privacy": {"redact": True}}, []), ({"history": {"enabled": False}}, [("one", "one, too", "house")])],
)
async def test_where_words_are_not_kept_no_file_has_them_and_ids_go_on(
    journal: Path, parts: dict[str, Any], known: list[tuple[str, str, str]]
) -> None:
    async with open_works(journal=journal, **parts) as works:
        talk = Talk(works)
        first = await talk.type("one")
        assert [(row.text, row.reply, row.agent) for row in await turns(works)] == [("", "", "")]
        await works.pipeline.say("two", LOCAL)
        second = await talk.heard()
        assert second.conversation_id == first.conversation_id
        assert words(talk.before(second)) == known
        await works.reply(second, "yes")
        await works.idle()
        await works.settled()
    async with open_works(journal=journal, **parts) as works:
        talk = Talk(works)
        assert (await talk.type("three")).conversation_id == first.conversation_id


async def test_what_is_committed_of_a_turn_is_committed_with_its_transcript_and_its_answer(
    journal: Path,
) -> None:
    async with open_works(journal=journal) as works:
        talk = Talk(works)
        heard = await talk.type("one")
        (row,) = await turns(works)
        assert structs.replace(row, age=0.0) == TurnRow(
            correlation_id=heard.correlation_id, conversation_id=heard.conversation_id, session_id=heard.session_id,
            user_id="home", device_id="web-local", boot=-1, stream=0, utterance_id=heard.utterance_id,
            text="one", reply="one, too", agent="house", timestamp=heard.timestamp,
        )  # fmt: skip
