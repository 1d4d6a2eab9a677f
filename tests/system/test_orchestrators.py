"""Orchestrators of every temper on a real gateway's broker, and what a board and a listener get from them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from firmware_bridge.simulator.user import ReplyShown
from gateway.broker.base import RoutingKey
from gateway.contract.events import DeliveryEvent, ReplyEvent, TranscriptionEvent
from gateway.contract.messages import REPLIES_TOPIC, OrchestratorReply, TranscriptionMessage, encode
from gateway.orchestrators.sdk import Orchestrator
from tests.record import passes
from tests.system.house import RECORDINGS, Board, House, running, text

SPEECH = RECORDINGS["u05"].path
NOBODY = {"app": ""}
"""No orchestrator but the test's own."""


async def publish(house: House, payload: bytes) -> None:
    await house.gateway.broker.publish(REPLIES_TOPIC, RoutingKey("home", "kitchen", "s"), payload)


async def reply(house: House, heard: TranscriptionMessage, words: str, **fields: Any) -> None:
    """What an orchestrator written without our SDK publishes."""
    facts = {"correlation_id": heard.correlation_id, "session_id": heard.session_id, "text": words, **fields}
    await publish(house, encode(OrchestratorReply(**facts)))


async def ask(house: House, board: Board, count: int = 1) -> tuple[asyncio.Task[Any], TranscriptionMessage]:
    """Speech that waits for its answer; the ``count``-th result."""
    saying = asyncio.create_task(board.say(SPEECH))
    return saying, await house.results.first(TranscriptionMessage, count=count)


async def test_an_answer_in_pieces_streams_to_listeners_and_reaches_the_device_whole(house: Any) -> None:
    poet = Orchestrator("poet")

    @poet.on_transcript
    async def answer(heard: TranscriptionMessage) -> AsyncIterator[str]:
        for piece in ("You ", "said ", heard.text):
            yield piece

    async with house(orchestrator=NOBODY) as one, one.board("kitchen") as kitchen:
        with running(poet.run(one.gateway.broker)):
            said = await kitchen.say(SPEECH)
            assert said.reply == f"You said {text('u05')}"
            assert len(kitchen.told.of(ReplyShown)) == 1
            await one.events.first(DeliveryEvent)
        pieces = one.events.of(ReplyEvent, final=False)
        (whole,) = one.events.of(ReplyEvent, final=True)
        assert "".join(piece.text for piece in pieces) == whole.text == said.reply
        assert {event.agent for event in (*pieces, whole)} == {"poet"}
        await one.idle()


@pytest.mark.slow
async def test_an_orchestrator_that_fails_is_an_error_reply_at_once(house: Any) -> None:
    broken = Orchestrator("broken")

    @broken.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        raise LookupError(heard.text)

    async with house(orchestrator=NOBODY) as one, one.board("kitchen") as kitchen:
        with running(broken.run(one.gateway.broker)):
            said = await kitchen.say(SPEECH)
        assert (said.transcript, said.error, said.fallback) == (text("u05"), True, False)
        assert said.reply == "Sorry, something went wrong."
        event = await one.events.first(ReplyEvent)
        assert event.error == "broken failed (LookupError)"
        await one.idle()


@pytest.mark.slow
async def test_when_nobody_answers_in_time_the_device_is_told_and_later_the_answer_after_all(
    house: Any,
) -> None:
    slow = {"app": "", "timeout_seconds": 0.2, "fallback_text": "One moment."}
    async with house(orchestrator=slow) as one, one.board("kitchen") as kitchen:
        said = await kitchen.say(SPEECH)
        assert (said.reply, said.fallback, said.error) == ("One moment.", True, False)
        (heard,) = one.results.items
        await one.events.first(ReplyEvent, fallback=True, agent="gateway")
        await one.idle()

        await reply(one, heard, "Sorry for the wait.", agent="snail")
        late = await one.events.first(ReplyEvent, agent="snail")
        assert (late.text, late.late, late.fallback) == ("Sorry for the wait.", True, False)
        assert late.correlation_id == heard.correlation_id
        await kitchen.told.first(ReplyShown, stream=0, text="Sorry for the wait.")
        delivery = await one.events.first(DeliveryEvent, count=2)
        assert delivery.correlation_id == heard.correlation_id
        assert one.gateway.pipeline.stats().sessions == 0


@pytest.mark.slow
async def test_the_fallback_may_be_silence(house: Any) -> None:
    quiet = {"app": "", "timeout_seconds": 0.2, "fallback_text": ""}
    async with house(orchestrator=quiet) as one, one.board("kitchen") as kitchen:
        said = await kitchen.say(SPEECH)
        assert (said.reply, said.fallback) == ("", True)


@pytest.mark.slow
async def test_a_forged_reply_is_a_dead_letter_and_the_right_one_still_counts(house: Any) -> None:
    async with house(orchestrator=NOBODY) as one, one.board("kitchen") as kitchen:
        saying, heard = await ask(one, kitchen)
        await reply(one, heard, "I am in your house.", session_id="s_of_somebody_else", agent="thief")
        await reply(one, heard, "Right.", agent="honest")
        said = await saying
        assert said.reply == "Right."
        (letter,) = one.gateway.broker.dead_letters()
        assert letter.reason == "the session is not the request's"
        assert b"I am in your house." in letter.message.payload
        await one.events.first(DeliveryEvent)
        assert [event.agent for event in one.events.of(ReplyEvent)] == ["honest"]


@pytest.mark.slow
async def test_garbage_and_strangers_do_not_stop_the_replies(house: Any) -> None:
    async with house(orchestrator=NOBODY) as one, one.board("kitchen") as kitchen:
        saying, heard = await ask(one, kitchen)
        for garbage in (b"", b"\xff\xfe", b"[" * 5000, b'{"text": "no ids"}', b'{"correlation_id": 7}'):
            await publish(one, garbage)
        stranger = OrchestratorReply(correlation_id="c_unknown", session_id="s_unknown", text="Who?")
        await publish(one, encode(stranger))
        await reply(one, heard, "Here I am.")
        assert (await saying).reply == "Here I am."
        letters = one.gateway.broker.dead_letters()
        assert len(letters) == 5
        assert all(letter.reason.startswith("not an orchestrator reply") for letter in letters)
        (replies,) = [row for row in one.gateway.broker.stats() if row.topic == REPLIES_TOPIC]
        assert (replies.rejected, replies.buffered_messages) == (5, 0)


@pytest.mark.slow
async def test_a_reply_that_comes_again_is_given_once(house: Any) -> None:
    async with house(orchestrator=NOBODY) as one, one.board("kitchen") as kitchen:
        saying, heard = await ask(one, kitchen)
        for _ in range(3):
            await reply(one, heard, "Once.", message_id="m_same")
        await reply(one, heard, "Twice.", message_id="m_other", agent="echo")
        assert (await saying).reply == "Once."
        late = await one.events.first(ReplyEvent, agent="echo")
        assert late.late
        assert [event.text for event in one.events.of(ReplyEvent)] == ["Once.", "Twice."]
        await one.idle()
        assert [shown.text for shown in kitchen.told.of(ReplyShown)] == ["Once."]


@pytest.mark.slow
async def test_two_that_compete_answer_each_transcript_once(house: Any) -> None:
    asked: list[str] = []

    def worker() -> Orchestrator:
        orchestrator = Orchestrator("team")

        @orchestrator.on_transcript
        async def answer(heard: TranscriptionMessage) -> str:
            asked.append(heard.correlation_id)
            return "Done."

        return orchestrator

    async with house(orchestrator=NOBODY) as one, one.board("kitchen") as kitchen:
        broker = one.gateway.broker
        with running(worker().run(broker), worker().run(broker)):
            for _ in range(3):
                assert (await kitchen.say(SPEECH)).reply == "Done."
        await one.idle()
    assert len(asked) == len(set(asked)) == 3


@pytest.mark.slow
async def test_more_requests_than_may_wait_are_refused_with_their_text_published(house: Any) -> None:
    full = {"app": "", "max_pending": 1, "fallback_text": "Too busy."}
    async with (
        house(orchestrator=full) as one,
        one.board("kitchen") as kitchen,
        one.board("hall") as hall,
    ):
        saying, heard = await ask(one, kitchen)
        refused = await hall.say(SPEECH)
        assert (refused.reply, refused.error, refused.transcript) == ("Too busy.", True, text("u05"))
        result = await one.result(device_id="hall")
        assert (result.text, result.success) == (text("u05"), True), "the text itself is not lost"
        await reply(one, heard, "Hello, kitchen.")
        assert (await saying).reply == "Hello, kitchen."
        assert (await hall.statuses(1, "idle"))[-3:] == ["transcribing", "error", "idle"]
        await one.idle()


@pytest.mark.slow
async def test_an_orchestrator_hears_of_silence_and_failure_when_it_asks_to(house: Any) -> None:
    heard: list[tuple[bool, str]] = []
    nurse = Orchestrator("nurse")

    @nurse.on_every_result
    async def answer(result: TranscriptionMessage) -> None:
        heard.append((result.success, result.text))

    async with house(orchestrator=NOBODY) as one, one.board("kitchen") as kitchen:
        with running(nurse.run(one.gateway.broker)):
            await kitchen.say(bytes(16_000), patience=0)
            event = await one.events.first(TranscriptionEvent)
            assert (event.text, event.success) == ("", True)
            await passes(lambda: heard)  # nobody waits for it: the gateway may be idle before
            await one.idle()
    assert heard == [(True, "")]
