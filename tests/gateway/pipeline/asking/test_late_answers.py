"""The real answer that comes later: in the place of the fallback, once, and only as long as it is understood."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.simulator.user import ReplyShown
from gateway.access.principals import LOCAL
from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import RoutingKey, Subscription
from gateway.contract.agents import (
    PRESENCE_TOPIC,
    REQUESTS_TOPIC,
    AgentPresence,
    AgentRequest,
    decode_request,
)
from gateway.contract.events import DeliveryEvent, ReplyEvent
from gateway.contract.messages import REPLIES_TOPIC, OrchestratorReply, TranscriptionMessage, encode
from gateway.journal import Journal
from gateway.journal.effects import Erased
from gateway.journal.history import Selection
from gateway.journal.records import HistoryRow
from gateway.pipeline.by_name import teams
from gateway.pipeline.erasing import Whose
from gateway.pipeline.telling import announcements
from gateway.pipeline.telling.fallback_texts import TEXTS, Apology
from gateway.settings.broker import BrokerSettings
from tests.gateway.works import Works, loud, open_works
from tests.record import PATIENCE, passes
from tests.system.house import Board

pytestmark = pytest.mark.slow

IMPATIENT = {"timeout_seconds": 0.2}
AFTER_ALL = "It is 7:00."


async def apologised(works: Works, board: Board, seconds: float = 1.0) -> TranscriptionMessage:
    """Something was said, and its device told the fallback."""
    count = len(works.results.items) + 1
    said = await board.say(loud(seconds))
    assert said.fallback
    await works.idle()
    return await works.result(count)


async def remembered(works: Works) -> list[HistoryRow]:
    assert isinstance(works.journal, Journal)
    await works.settled()
    return await works.journal.history.page(Selection(), 9)


def told(board: Board) -> list[str]:
    """Outside any turn."""
    return [shown.text for shown in board.told.of(ReplyShown, stream=0)]


async def test_it_is_told_the_device_and_takes_the_place_of_the_fallback_everywhere(tmp_path: Path) -> None:
    async with (
        open_works(journal=tmp_path / "journal.db", orchestrator=IMPATIENT) as works,
        works.board() as kitchen,
    ):
        heard = await apologised(works, kitchen)
        await works.reply(heard, AFTER_ALL, agent="clock", message_id="m_1")
        await kitchen.told.first(ReplyShown, stream=0, text=AFTER_ALL)
        event = await works.events.first(ReplyEvent, late=True)
        assert (event.correlation_id, event.session_id) == (heard.correlation_id, heard.session_id)
        assert (event.text, event.agent, event.final, event.fallback) == (AFTER_ALL, "clock", True, False)
        delivery = await works.events.first(DeliveryEvent, count=2)
        assert (delivery.correlation_id, delivery.utterance_id) == (heard.correlation_id, heard.utterance_id)
        assert len(works.events.of(ReplyEvent)) == 2
        (row,) = await remembered(works)
        assert row.reply is not None
        assert (row.reply.text, row.reply.agent, row.reply.fallback) == (AFTER_ALL, "clock", False)
        assert row.speech_to_reply_ms > row.reply.text_to_reply_ms
        assert len(works.pipeline.announcements) == 0
        asyncio.get_running_loop().create_task(kitchen.say(loud(2)))
        following = await works.result(2)
        question = works.pipeline._questions.get(following.correlation_id)
        assert question is not None
        assert [(turn.reply, turn.agent) for turn in question.conversation.turns] == [(AFTER_ALL, "clock")]
        await works.reply(following, "yes")
        await works.idle()


async def test_pieces_that_are_late_are_one_answer() -> None:
    async with open_works(orchestrator=IMPATIENT) as works, works.board() as kitchen:
        heard = await apologised(works, kitchen)
        await works.reply(heard, "It is ", final=False, message_id="m_1")
        await works.reply(heard, "7:00.", final=False, message_id="m_2")
        await works.reply(heard, "", message_id="m_3")
        await kitchen.told.first(ReplyShown, stream=0, text=AFTER_ALL)
        assert len(works.events.of(ReplyEvent, late=True, final=True)) == 1


async def test_once_only_and_only_what_ended_well() -> None:
    async with open_works(orchestrator=IMPATIENT) as works, works.board() as kitchen:
        heard = await apologised(works, kitchen)
        await works.reply(heard, "what?", understood=False, message_id="m_1")
        await works.reply(heard, "", error="broken", message_id="m_2")
        await works.reply(heard, "moment", interim=True, message_id="m_3")
        await works.reply(heard, AFTER_ALL, agent="a", message_id="m_4")
        await works.reply(heard, AFTER_ALL, agent="a", message_id="m_4")
        await works.reply(heard, "It is late.", agent="b", message_id="m_5")
        await works.events.first(ReplyEvent, text="It is late.", late=True)
        await kitchen.told.first(ReplyShown, stream=0)
        await works.idle()
        assert told(kitchen) == [AFTER_ALL]


async def test_what_was_answered_in_time_has_no_better_answer_later() -> None:
    async with open_works() as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        await works.reply(heard, "yes", message_id="m_1")
        await saying
        await works.reply(heard, "no", message_id="m_2")
        await works.events.first(ReplyEvent, text="no", late=True)
        assert told(kitchen) == []


async def test_who_has_spoken_since_is_not_told() -> None:
    async with open_works(orchestrator=IMPATIENT) as works, works.board() as kitchen:
        first = await apologised(works, kitchen)
        second = await apologised(works, kitchen, 2.0)
        await works.reply(first, AFTER_ALL, message_id="m_1")
        await works.events.first(ReplyEvent, text=AFTER_ALL, late=True)
        await works.reply(second, "the second", message_id="m_2")
        await kitchen.told.first(ReplyShown, stream=0)
        assert told(kitchen) == ["the second"]


async def test_when_the_conversation_is_over_nobody_is_told() -> None:
    over = {"hints_seconds": 0.01}
    async with open_works(orchestrator=IMPATIENT, sessions=over) as works, works.board() as kitchen:
        heard = await apologised(works, kitchen)
        name = works.pipeline.asked(heard.correlation_id)
        assert name is not None
        await passes(lambda: not works.pipeline._questions.conversing.may_still_tell(name))
        await works.reply(heard, AFTER_ALL)
        await works.events.first(ReplyEvent, text=AFTER_ALL, late=True)
        assert told(kitchen) == []


async def test_a_listener_that_typed_sees_it_and_no_device_is_told(tmp_path: Path) -> None:
    async with open_works(journal=tmp_path / "journal.db", orchestrator=IMPATIENT) as works:
        await works.pipeline.say("what time is it", LOCAL)
        heard = await works.result()
        await works.events.first(ReplyEvent, fallback=True)
        await works.reply(heard, AFTER_ALL)
        await works.events.first(ReplyEvent, text=AFTER_ALL, late=True)
        assert len(works.pipeline.announcements) == 0
        (row,) = await remembered(works)
        assert row.reply is not None
        assert row.reply.text == AFTER_ALL


async def test_a_device_that_was_switched_off_meanwhile_gets_it_when_it_is_back() -> None:
    async with open_works(orchestrator=IMPATIENT) as works:
        async with works.board() as kitchen:
            heard = await apologised(works, kitchen)
        await works.reply(heard, AFTER_ALL)
        await works.events.first(ReplyEvent, late=True)
        async with works.board() as kitchen:
            await kitchen.told.first(ReplyShown, stream=0, text=AFTER_ALL)
            delivery = await works.events.first(DeliveryEvent, count=2)
            assert delivery.correlation_id == heard.correlation_id


async def test_what_the_filter_keeps_back_is_told_nobody(tmp_path: Path) -> None:
    async with (
        open_works(
            journal=tmp_path / "journal.db",
            orchestrator=IMPATIENT,
            content={"forbidden_words": ["7:00"], "forbidden": "drop"},
        ) as works,
        works.board() as kitchen,
    ):
        heard = await apologised(works, kitchen)
        await works.reply(heard, AFTER_ALL)
        event = await works.events.first(ReplyEvent, late=True)
        assert (event.text, event.error) == ("", "kept back by the content filter")
        assert told(kitchen) == []
        (row,) = await remembered(works)
        assert row.reply is not None
        assert row.reply.fallback


async def test_what_is_erased_is_not_told(tmp_path: Path) -> None:
    async with open_works(journal=tmp_path / "journal.db", orchestrator=IMPATIENT) as works:
        async with works.board() as kitchen:
            first = await apologised(works, kitchen)
            await works.pipeline.erasing.erase(Whose(correlation_id=first.correlation_id))
            await works.reply(first, AFTER_ALL)
            await passes(lambda: works.pipeline._questions.tracker.counters.unknown == 1)
            second = await apologised(works, kitchen, 2.0)
        await works.reply(second, AFTER_ALL)  # its device is away
        await works.events.first(ReplyEvent, late=True)
        await works.pipeline.erasing.erase(Whose(correlation_id=second.correlation_id))
        await works.journal.commit(Erased(second.utterance_id))
        assert len(works.pipeline.announcements) == 0
        async with works.board() as kitchen:
            await kitchen.connected()
            assert told(kitchen) == []


async def test_where_there_is_no_room_only_listeners_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcements, "MAX_WAITING", 1)
    async with open_works(orchestrator=IMPATIENT) as works, works.board() as kitchen:
        await works.pipeline.announcements.announce("hall", "home", "hello", "clock", 60.0)
        heard = await apologised(works, kitchen)
        await works.reply(heard, AFTER_ALL, agent="clock")
        await works.events.first(ReplyEvent, text=AFTER_ALL, late=True)
        assert told(kitchen) == []


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["before", "after"])
async def test_it_outlives_the_gateway_and_is_told_once(tmp_path: Path, killed: str) -> None:
    journal, broker = tmp_path / "journal.db", MemoryBroker(BrokerSettings())
    async with open_works(journal=journal, orchestrator=IMPATIENT, beside=broker) as works:
        async with works.board() as kitchen:
            heard = await apologised(works, kitchen)
            await works.settled()
        if killed == "after":
            await works.reply(heard, AFTER_ALL, message_id="m_1")
            await works.events.first(ReplyEvent, late=True)
            await works.settled()
        works.hush()
    async with open_works(journal=journal, orchestrator=IMPATIENT, beside=broker) as works:
        if killed == "before":
            await works.reply(heard, AFTER_ALL, message_id="m_1")
            await works.events.first(ReplyEvent, late=True)
        async with works.board() as kitchen:
            await kitchen.told.first(ReplyShown, stream=0, text=AFTER_ALL)
            delivery = await works.events.first(DeliveryEvent, correlation_id=heard.correlation_id)
            assert delivery.session_id == heard.session_id
            await works.reply(heard, AFTER_ALL, message_id="m_1")
            await works.reply(heard, "and another", agent="b", message_id="m_2")
            counters = works.pipeline._questions.tracker.counters
            await passes(lambda: counters.unknown or works.events.of(ReplyEvent, text="and another"))
            await works.idle()
            assert told(kitchen) == [AFTER_ALL]
            (row,) = await remembered(works)
            assert row.reply is not None
            assert row.reply.text == AFTER_ALL
    await broker.close(0.1)


# -- of a team


async def next_request(asked: Subscription) -> AgentRequest:
    async with asyncio.timeout(PATIENCE):
        return decode_request((await anext(asked)).message.payload)


async def answered_late(works: Works, request: AgentRequest, text: str, **facts: Any) -> None:
    heard = request.transcript
    reply = OrchestratorReply(
        correlation_id=heard.correlation_id, session_id=heard.session_id, request_id=request.request_id,
        agent=request.agent, text=text, **facts,
    )  # fmt: skip
    await works.broker.publish(REPLIES_TOPIC, RoutingKey("home", "kitchen", "s"), encode(reply))


@pytest.mark.slow
@pytest.mark.parametrize("restarted", [False, True])
async def test_of_a_team_that_was_too_slow(tmp_path: Path, restarted: bool) -> None:  # noqa: FBT001
    slow = {"agents": {"a": {}, "b": {}}, "timeout_seconds": 0.3}
    journal, broker = tmp_path / "journal.db", MemoryBroker(BrokerSettings())
    requests: dict[str, AgentRequest] = {}
    async with (
        open_works(journal=journal, orchestrator=slow, beside=broker) as works,
        broker.subscribe(REQUESTS_TOPIC) as asked,
    ):
        async with works.board() as kitchen:
            heard = await apologised(works, kitchen)
            for _ in range(2):
                request = await next_request(asked)
                requests[request.agent] = request
            await works.settled()
            if not restarted:
                await tell_and_check(works, kitchen, requests, heard)
        works.hush()
    if restarted:
        async with (
            open_works(journal=journal, orchestrator=slow, beside=broker) as works,
            works.board() as kitchen,
        ):
            await tell_and_check(works, kitchen, requests, heard)
    await broker.close(0.1)


async def tell_and_check(
    works: Works, kitchen: Board, requests: dict[str, AgentRequest], heard: TranscriptionMessage
) -> None:
    await answered_late(works, requests["a"], "It is ", final=False, message_id="m_1")
    await answered_late(works, requests["a"], "It is 7:00.", message_id="m_2", data={"hour": 7})
    await kitchen.told.first(ReplyShown, stream=0, text=AFTER_ALL)
    event = await works.events.first(ReplyEvent, text=AFTER_ALL, late=True, final=True)
    assert (event.agent, event.agents, event.data) == ("a", ("a",), {"hour": 7})
    await answered_late(works, requests["b"], "Seven.", message_id="m_3")
    await works.events.first(ReplyEvent, text="Seven.", late=True)
    assert told(kitchen) == [AFTER_ALL]
    delivery = await works.events.first(DeliveryEvent, correlation_id=heard.correlation_id)
    assert delivery.session_id == heard.session_id


# -- asked after all


async def say_here(works: Works, agent: str, **facts: Any) -> None:
    presence = AgentPresence(agent=agent, instance="i_1", **facts)
    await works.broker.publish(PRESENCE_TOPIC, RoutingKey(agent, "i_1", "presence"), encode(presence))


async def missed(works: Works, kitchen: Board) -> TranscriptionMessage:
    """Something was said, and nobody was there."""
    roster, now = works.pipeline.agents, asyncio.get_running_loop().time
    assert roster is not None
    await passes(
        lambda: any(row.topic == PRESENCE_TOPIC and row.subscriptions for row in works.broker.stats())
    )
    for agent in ("a", "b"):
        await say_here(works, agent, state="leaving")
    await passes(lambda: not any(roster.is_present(agent, now()) for agent in ("a", "b")))
    heard = await apologised(works, kitchen, 1.0 + len(works.results.items))
    assert kitchen.told.of(ReplyShown)[-1].text == TEXTS["en"][Apology.NOBODY]
    return heard


@pytest.mark.slow
async def test_who_comes_when_nobody_was_there_is_asked_then_and_its_answer_told() -> None:
    away = {"agents": {"a": {}, "b": {}}, "patience_seconds": 0.1}
    async with (
        open_works(orchestrator=away) as works,
        works.broker.subscribe(REQUESTS_TOPIC) as asked,
        works.board() as kitchen,
    ):
        heard = await missed(works, kitchen)
        await say_here(works, "b")
        request = await next_request(asked)
        assert (request.agent, request.transcript.text) == ("b", heard.text)
        await answered_late(works, request, AFTER_ALL, message_id="m_1")
        await kitchen.told.first(ReplyShown, stream=0, text=AFTER_ALL)
        await say_here(works, "a")
        known = works.pipeline._by_name._teams  # type: ignore[attr-defined]
        await passes(lambda: not known._missed)
        assert asked.pending == 0, "it has its answer"
        await works.idle()


@pytest.mark.slow
async def test_who_comes_when_something_else_was_said_is_asked_about_that_only() -> None:
    away = {"agents": {"a": {}, "b": {}}, "patience_seconds": 0.1}
    async with (
        open_works(orchestrator=away) as works,
        works.broker.subscribe(REQUESTS_TOPIC) as asked,
        works.board() as kitchen,
    ):
        await missed(works, kitchen)
        second = await missed(works, kitchen)
        await say_here(works, "a")
        request = await next_request(asked)
        assert request.transcript.correlation_id == second.correlation_id
        known = works.pipeline._by_name._teams  # type: ignore[attr-defined]
        await passes(lambda: not known._missed or list(known._missed) == [second.correlation_id])
        assert asked.pending == 0


async def test_only_so_many_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teams, "MOST_MISSED", 1)
    away = {"agents": {"a": {}, "b": {}}, "patience_seconds": 0.1}
    async with open_works(orchestrator=away) as works, works.board() as kitchen, works.board("hall") as hall:
        await missed(works, kitchen)
        second = await missed(works, hall)
        known = works.pipeline._by_name._teams  # type: ignore[attr-defined]
        assert list(known._missed) == [second.correlation_id]
