"""What the pipeline puts into the history, and when."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import numpy as np

from gateway.contract.events import DeliveryEvent, ReplyEvent
from gateway.journal import Journal
from gateway.journal.history import Selection
from gateway.journal.records import HistoryRow
from tests.gateway.works import Engine, Works, loud, open_works, swing
from transcription.audio import from_pcm16


async def remembered(works: Works) -> list[HistoryRow]:
    assert isinstance(works.journal, Journal)
    await works.settled()
    return await works.journal.history.page(Selection(), 9)


async def test_a_turn_is_remembered_with_all_its_timings(tmp_path: Path) -> None:
    async with open_works(journal=tmp_path / "journal.db") as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        await works.reply(heard, "yes", agent="home")
        await saying
        final = await works.events.first(ReplyEvent, final=True)
        delivery = await works.events.first(DeliveryEvent)
        (row,) = await remembered(works)
        assert (row.utterance_id, row.correlation_id) == (heard.utterance_id, heard.correlation_id)
        assert (row.text, row.timings, row.audio) == (heard.text, heard.timings, heard.audio)
        assert row.reply is not None
        assert (row.reply.text, row.reply.agent, row.reply.fallback) == ("yes", "home", False)
        assert 0 < row.publish_ms == final.publish_ms <= row.reply.text_to_reply_ms
        assert row.speech_to_reply_ms == delivery.speech_to_reply_ms
        assert row.speech_to_reply_ms >= row.timings.text_ms + row.reply.text_to_reply_ms - 1
        assert heard.timestamp - 60 < row.spoken_at < heard.timestamp
        assert not row.has_audio
        measured = msgspec.structs.astuple(row.timings)
        assert measured == tuple(round(one, 1) for one in measured), "nobody measures more finely"
        assert row.timings.text_ms > 0


async def test_speech_that_is_kept_is_found_by_its_utterance_as_it_was_heard(tmp_path: Path) -> None:
    async with (
        open_works(journal=tmp_path / "journal.db", journal_settings={"keep_audio": True}) as works,
        works.board() as kitchen,
    ):
        saying = asyncio.create_task(kitchen.say(swing(500, 16_000, offset=15_000)))
        heard = await works.result()
        await works.reply(heard, "yes")
        await saying
        (row,) = await remembered(works)
        assert row.has_audio
        assert isinstance(works.journal, Journal)
        kept = from_pcm16(await works.journal.history.audio(heard.utterance_id) or b"")
        assert len(kept) == 16_000
        assert abs(np.mean(kept)) < 600, "of the offset no more is left than of the sound"


async def test_what_failed_and_what_nobody_answered_is_remembered_as_such(tmp_path: Path) -> None:
    engine = Engine()
    engine.poison = {16_000}
    settings = {"timeout_seconds": 0.05, "fallback_text": "nobody"}
    async with (
        open_works(engine, journal=tmp_path / "journal.db", orchestrator=settings) as works,
        works.board() as kitchen,
    ):
        await kitchen.say(loud(1))
        await kitchen.say(loud(2))
        await works.events.first(DeliveryEvent)
        expired, failed = await remembered(works)
        assert (failed.success, failed.text, failed.reply) == (False, "", None)
        assert "16000 are too many" in (failed.error or "")
        assert expired.reply is not None
        assert (expired.reply.text, expired.reply.fallback, expired.reply.agent) == (
            "nobody",
            True,
            "gateway",
        )
        assert expired.publish_ms > 0


async def test_what_nobody_is_there_to_answer_is_remembered_too(tmp_path: Path) -> None:
    async with (
        open_works(journal=tmp_path / "journal.db", subscribed=False) as works,
        works.board() as kitchen,
    ):
        told = await kitchen.say(loud(1))
        await works.idle()
        (row,) = await remembered(works)
        assert row.reply is not None
        assert (row.text, row.reply.text, row.reply.fallback) == ("16000", told.reply, True)
        assert row.publish_ms > 0


async def test_a_history_that_is_switched_off_remembers_nothing(tmp_path: Path) -> None:
    async with (
        open_works(journal=tmp_path / "journal.db", history={"enabled": False}) as works,
        works.board() as kitchen,
    ):
        saying = asyncio.create_task(kitchen.say(loud(1)))
        await works.reply(await works.result(), "yes")
        await saying
        await works.events.first(DeliveryEvent)
        assert await remembered(works) == []
