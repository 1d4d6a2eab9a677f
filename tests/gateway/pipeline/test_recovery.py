"""One gateway ends without a word, and the next takes up what it left: the works twice, on one journal."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from firmware_bridge.link.events import (
    AudioReceived,
    DeviceConnected,
    DeviceDisconnected,
    StreamStarted,
    StreamStopped,
)
from firmware_bridge.simulator.user import ReplyShown, TranscriptShown
from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import BrokerUnavailable, Receipt
from gateway.contract.events import ReplyEvent, TranscriptionEvent
from gateway.contract.messages import DEAD_TOPIC, REPLIES_TOPIC, TranscriptionMessage
from gateway.journal import Journal
from gateway.journal.dead_letters import contents
from gateway.journal.records import DeadLetterRow, LetterKind, RequestState
from gateway.settings.journal import JournalSettings
from tests.gateway.works import Engine, Works, loud, open_works, quiet
from tests.system.house import passes


class Away(MemoryBroker):
    """A broker that can be out of reach."""

    away = False

    async def publish(self, *arguments: Any, **options: Any) -> Receipt:
        if self.away:
            raise BrokerUnavailable("out of reach")
        return await super().publish(*arguments, **options)


@asynccontextmanager
async def abandoned(journal: Path, **options: Any) -> AsyncIterator[Works]:
    """The works until they end without draining: nothing is told to anybody, as by SIGKILL."""
    async with open_works(journal=journal, **options) as works:
        yield works
        works.hush()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def left_in(journal: Path) -> tuple[list[str], list[tuple[str, bool]], int]:
    """Utterances, requests with whether their answer is due, and how many messages."""
    async with Journal(JournalSettings(path=str(journal))) as one:
        utterances = [row.utterance_id async for row in one.utterances()]
        requests = [(row.state.value, row.due) async for row in one.requests()]
        return utterances, requests, len(await one.letters(0, 100))


async def dead_letters(journal: Path) -> list[DeadLetterRow]:
    async with Journal(JournalSettings(path=str(journal))) as one:
        return [row async for row in one.dead_letters()]


@contextmanager
def in_the_way(journal: Path) -> Iterator[Callable[[], None]]:
    """A folder where the file was, until it is given back."""
    aside = journal.with_name("aside")
    journal.rename(aside)
    journal.mkdir()

    def give_back() -> None:
        journal.rmdir()
        aside.rename(journal)

    yield give_back


@contextmanager
def stuck(journal: Path) -> Iterator[None]:
    """Nothing can be written to the file meanwhile."""
    db = sqlite3.connect(journal, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        db.execute("ROLLBACK")
        db.close()


def connected(boot: int = 1, *, resumed: bool = False) -> DeviceConnected:
    return DeviceConnected("kitchen", boot, "air", "", 256, False, resumed, 0)


def started(stream: int = 1, *, begun: int | None = 0, end_on_silence: bool = False) -> StreamStarted:
    return StreamStarted("kitchen", 1, stream, end_on_silence, begun)


def audio(position: int, pcm: bytes, stream: int = 1) -> AudioReceived:
    return AudioReceived("kitchen", 1, stream, position, pcm)


async def test_speech_without_a_text_gets_it_under_the_same_ids(journal: Path) -> None:
    engine = Engine()
    engine.go.clear()
    async with abandoned(journal, engine=engine) as works:
        for event in (connected(), started(), audio(0, loud(1)), StreamStopped("kitchen", 1, 1)):
            works.pipeline.hear(event)
        (session,) = works.pipeline._hearing.sessions.sessions()
        (turn,) = session.turns.values()
        await passes(lambda: turn.durable)
        engine.go.set()
        works.hush()
    assert await left_in(journal) == ([turn.utterance_id], [], 0)
    async with open_works(journal=journal) as works:
        result = await works.result()
        assert (result.text, result.utterance_id, result.session_id) == (
            "16000", turn.utterance_id, session.session_id,
        )  # fmt: skip
        await works.reply(result, "yes")
        await passes(lambda: works.pipeline.stats().asked == 0)
    assert (await left_in(journal))[0] == []


async def test_an_utterance_is_heard_once_although_its_audio_comes_twice(journal: Path) -> None:
    events = (connected(), started(), audio(0, loud(1)), StreamStopped("kitchen", 1, 1))
    async with abandoned(journal) as works:
        for event in events:
            works.pipeline.hear(event)
        first = await works.result()
        await works.reply(first, "yes")
        await passes(lambda: works.pipeline.stats().asked == 0)
    async with open_works(journal=journal) as works:
        for event in events:
            works.pipeline.hear(event)
        works.pipeline.hear(started(2, begun=9))
        works.pipeline.hear(audio(0, loud(2), 2))
        works.pipeline.hear(StreamStopped("kitchen", 1, 2))
        assert (await works.result()).text == "32000", "and nothing of the first"
        assert len(works.results.items) == 1


async def test_a_stream_goes_on_as_the_same_session_where_it_was_heard_to(journal: Path) -> None:
    async with abandoned(journal) as works:
        begin = (connected(), started(end_on_silence=True), audio(0, loud(1)), audio(16_000, quiet(1)))
        for event in begin:
            works.pipeline.hear(event)
        first = await works.result()
    async with open_works(journal=journal) as works:
        works.pipeline.hear(connected())
        works.pipeline.hear(started(begun=None, end_on_silence=True))
        works.pipeline.hear(audio(8_000, loud(0.5)))
        works.pipeline.hear(audio(16_000, quiet(1)))
        works.pipeline.hear(audio(32_000, loud(1)))
        works.pipeline.hear(audio(48_000, quiet(1)))
        assert (await works.result()).utterance_id == first.utterance_id, "nobody had answered it"
        second = await works.result(2)
        assert second.session_id == first.session_id
        assert second.utterance_id != first.utterance_id
        assert second.audio.seconds < 3, "not the first once more"
        works.pipeline.hear(StreamStopped("kitchen", 1, 1))


async def test_a_stream_number_that_is_used_again_is_another_session(journal: Path) -> None:
    async with abandoned(journal) as works:
        for event in (connected(), started(begun=1), audio(0, loud(1))):
            works.pipeline.hear(event)
        (before,) = works.pipeline._hearing.sessions.sessions()
    async with open_works(journal=journal) as works:
        for event in (connected(), started(begun=77), audio(0, loud(1)), StreamStopped("kitchen", 1, 1)):
            works.pipeline.hear(event)
        assert (await works.result()).session_id != before.session_id


async def test_a_request_waits_for_its_answer_over_a_restart(journal: Path) -> None:
    broker = MemoryBroker()
    async with abandoned(journal, beside=broker) as works, works.board(boot=5) as kitchen:
        await kitchen.say(loud(1), patience=0)
        heard = await works.result()
    async with open_works(journal=journal, beside=broker) as works, works.board(boot=5) as kitchen:
        await kitchen.told.first(TranscriptShown, correlation_id=heard.correlation_id)
        await works.reply(heard, "here you are")
        shown = await kitchen.told.first(ReplyShown, correlation_id=heard.correlation_id)
        assert (shown.text, shown.final) == ("here you are", True)
        await works.idle()
    assert await left_in(journal) == ([], [("done", False)], 0)
    await broker.close()


@pytest.mark.slow
async def test_a_request_expires_when_its_time_is_up_restart_or_not(journal: Path) -> None:
    async with abandoned(journal, orchestrator={"timeout_seconds": 0.5}) as works:
        for event in (connected(), started(), audio(0, loud(1)), StreamStopped("kitchen", 1, 1)):
            works.pipeline.hear(event)
        await works.result()
    async with open_works(journal=journal, orchestrator={"timeout_seconds": 0.5}) as works:
        assert works.pipeline.stats().asked == 1
        await passes(lambda: works.pipeline.stats().undelivered == 1)  # its device is not there yet
        assert works.pipeline.stats().asked == 0
    async with Journal(JournalSettings(path=str(journal))) as one:
        (row,) = [row async for row in one.requests()]
        assert (row.state, row.fallback, row.due) == (RequestState.EXPIRED, True, True)


async def test_an_answer_waits_for_its_device_over_a_restart(journal: Path) -> None:
    async with abandoned(journal) as works, works.board(boot=5) as kitchen:
        await kitchen.say(loud(1), patience=0)
        heard = await works.result()
        kitchen.unplug()
        await passes(lambda: not works.carrier.owners)
        await works.reply(heard, "late but there")
        await passes(lambda: works.pipeline.stats().undelivered == 1)
    async with open_works(journal=journal) as works:
        assert works.pipeline.stats().undelivered == 1
        async with works.board(boot=5) as kitchen:
            shown = await kitchen.told.first(ReplyShown)
            assert (shown.text, shown.correlation_id) == ("late but there", heard.correlation_id)
            await works.idle()
    assert await left_in(journal) == ([], [("done", False)], 0)


async def test_an_answer_dies_with_the_boot_it_was_for(journal: Path) -> None:
    async with abandoned(journal) as works, works.board(boot=5) as kitchen:
        await kitchen.say(loud(1), patience=0)
        heard = await works.result()
        kitchen.unplug()
        await passes(lambda: not works.carrier.owners)
        await works.reply(heard, "too late")
        await passes(lambda: works.pipeline.stats().undelivered == 1)
    async with open_works(journal=journal) as works, works.board(boot=6) as kitchen:
        await kitchen.connected()
        assert works.pipeline.stats().undelivered == 0
        assert not kitchen.told.of(ReplyShown)
    assert (await left_in(journal))[1] == []


@pytest.mark.parametrize("written", [True, False])
async def test_pieces_of_an_answer_are_not_lost_with_the_gateway(journal: Path, *, written: bool) -> None:
    broker = MemoryBroker()
    async with abandoned(journal, beside=broker) as works:
        for event in (connected(), started(), audio(0, loud(1)), StreamStopped("kitchen", 1, 1)):
            works.pipeline.hear(event)
        heard = await works.result()
        await works.reply(heard, "one, ", final=False, message_id="r_1")
        await passes(lambda: works.pipeline._questions.tracker.counters.pieces == 1)
        if written:
            await passes(lambda: works.pipeline._answers._pieces._count == 0)
    async with open_works(journal=journal, beside=broker) as works, works.board(boot=1) as kitchen:
        await works.reply(heard, "one, ", final=False, message_id="r_1")  # the broker did not get the ack
        await works.reply(heard, "two", final=False, message_id="r_2")
        await works.reply(heard, "", message_id="r_3")
        assert (await kitchen.told.first(ReplyShown)).text == "one, two"
        await works.events.first(ReplyEvent, text="one, two")
        shown = [event.text for event in works.events.of(ReplyEvent)]
        assert shown == ([] if written else ["one, "]) + ["two", "one, two"]
    await broker.close()


async def test_pieces_that_come_again_after_their_end_are_not_shown(journal: Path) -> None:
    broker = MemoryBroker()
    async with abandoned(journal, beside=broker) as works:
        for event in (connected(), started(), audio(0, loud(1)), StreamStopped("kitchen", 1, 1)):
            works.pipeline.hear(event)
        heard = await works.result()
        await works.reply(heard, "one, ", final=False, message_id="r_1")
        await works.reply(heard, "", message_id="r_2")
        await passes(lambda: works.pipeline.stats().undelivered == 1)
    async with open_works(journal=journal, beside=broker) as works, works.board(boot=1) as kitchen:
        await works.reply(heard, "one, ", final=False, message_id="r_1")  # the broker did not get the acks
        await works.reply(heard, "", message_id="r_2")
        await works.reply(heard, "another's", message_id="r_9", agent="another")
        assert (await kitchen.told.first(ReplyShown)).text == "one, "
        await works.events.first(ReplyEvent, text="another's", late=True)
        assert len(works.events.of(ReplyEvent)) == 1
    await broker.close()


async def test_pieces_wait_for_no_disk_and_no_other_answer(journal: Path) -> None:
    async with open_works(journal=journal) as works:
        heard = []
        for stream in (1, 2):
            for event in (
                connected(),
                started(stream),
                audio(0, loud(1), stream),
                StreamStopped("kitchen", 1, stream),
            ):
                works.pipeline.hear(event)
            heard.append(await works.result(stream))
        await works.settled()
        with stuck(journal):
            await works.reply(heard[0], "done")
            for piece in ("one, ", "two"):
                await works.reply(heard[1], piece, final=False)
                await works.events.first(ReplyEvent, text=piece)
            assert not works.events.of(ReplyEvent, text="done"), "its end is not safe yet"
            await works.reply(heard[1], "")
        await works.events.first(ReplyEvent, text="done", final=True)
        await works.events.first(ReplyEvent, text="one, two", final=True)


async def test_messages_wait_for_a_broker_that_is_away_in_order_and_over_a_restart(journal: Path) -> None:
    broker = Away()
    broker.away = True
    async with abandoned(journal, beside=broker) as works, works.board(boot=5) as kitchen:
        for seconds in (1, 2, 3):
            await kitchen.say(loud(seconds), patience=0)
            await kitchen.told.first(TranscriptShown, count=seconds)
        await passes(lambda: works.pipeline.stats().unpublished == 3)
        await works.settled()
    assert (await left_in(journal))[2] == 3
    async with open_works(journal=journal, beside=broker) as works:
        await asyncio.sleep(0)
        assert not works.results.items
        broker.away = False
        await works.result(3)
        assert [result.text for result in works.results.items] == ["16000", "32000", "48000"]
        assert len({result.message_id for result in works.results.items}) == 3
    await broker.close()


async def test_a_device_is_not_transcribing_while_its_text_waits_for_the_broker(journal: Path) -> None:
    broker = Away()
    broker.away = True
    async with open_works(journal=journal, beside=broker) as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        assert await kitchen.statuses(1, "thinking") == ["listening", "transcribing", "thinking"]
        broker.away = False
        await works.reply(await works.result(), "yes")
        assert (await saying).reply == "yes"
    await broker.close()


async def test_a_memory_broker_s_receipt_is_none_until_the_answer_is_here(journal: Path) -> None:
    async with abandoned(journal) as works:
        for event in (connected(), started(), audio(0, loud(1)), StreamStopped("kitchen", 1, 1)):
            works.pipeline.hear(event)
        first = await works.result()
        await works.settled()
    assert (await left_in(journal))[2] == 1
    async with open_works(journal=journal) as works:
        again = await works.result()
        assert (again.message_id, again.correlation_id) == (first.message_id, first.correlation_id)
        await works.reply(again, "yes")
        await passes(lambda: works.pipeline.stats().asked == 0)
    assert (await left_in(journal))[2] == 0


async def test_listeners_are_shown_what_the_gateway_before_may_not_have_told_them(journal: Path) -> None:
    """It was understood and nobody has answered; whoever was told of it knows it by its ids."""
    async with abandoned(journal) as works:
        for event in (connected(), started(), audio(0, loud(1)), StreamStopped("kitchen", 1, 1)):
            works.pipeline.hear(event)
        await works.result()
        await works.settled()
        before = await works.events.first(TranscriptionEvent)
    async with open_works(journal=journal) as works:
        again = await works.events.first(TranscriptionEvent)
        assert abs(again.spoken_at - before.spoken_at) < 0.5, "when it was said, and not now"
        same = {"seq": 0, "timestamp": 0.0, "epoch": "", "spoken_at": 0.0}
        assert replace(again, **same) == replace(before, **same)
        await works.reply(await works.result(), "yes")
        await passes(lambda: works.pipeline.stats().asked == 0)
        assert len(works.events.of(TranscriptionEvent)) == 1
    async with open_works(journal=journal) as works:
        await works.settled()
        assert works.events.of(TranscriptionEvent) == [], "it is answered, and history"


async def end_over_it(journal: Path, **transcription: str) -> None:
    """Four gateways, each while its engine is at the one utterance."""
    engine = Engine()
    for _ in range(4):
        engine.go.clear()
        async with abandoned(journal, engine=engine, transcription=transcription) as works:
            if not works.pipeline._turns:
                for event in (connected(), started(), audio(0, loud(1)), StreamStopped("kitchen", 1, 1)):
                    works.pipeline.hear(event)
            await passes(engine.at_work.is_set)
            await works.settled()
            engine.at_work.clear()
            works.hush()
            engine.go.set()


async def test_an_utterance_over_which_gateways_end_is_given_up_after_some(journal: Path) -> None:
    await end_over_it(journal, isolation="inline")
    async with open_works(journal=journal, transcription={"isolation": "inline"}) as works:
        result = await works.result()
        assert not result.success
        assert "gateway ended each time" in (result.error or "")
    (letter,) = await dead_letters(journal)
    assert letter.kind is LetterKind.UTTERANCE
    assert len(contents(letter).audio) == 2 * 16_000  # type: ignore[union-attr]


async def test_but_not_where_it_could_not_have_ended_them(journal: Path) -> None:
    """An engine in a process of its own dies alone, and that is counted there."""
    await end_over_it(journal, isolation="process")
    async with open_works(journal=journal) as works:
        assert (await works.result()).success
    assert await dead_letters(journal) == []


async def test_a_reply_that_is_refused_is_kept_as_a_dead_letter(journal: Path) -> None:
    async with open_works(journal=journal) as works:
        for event in (connected(), started(), audio(0, loud(1)), StreamStopped("kitchen", 1, 1)):
            works.pipeline.hear(event)
        heard = await works.result()
        await works.reply(heard, "I am somebody else", session_id="s_other")
        await passes(works.broker.dead_letters)
        await works.settled()
    (letter,) = await dead_letters(journal)
    assert (letter.kind, letter.topic) == (LetterKind.INCOMING, REPLIES_TOPIC)
    assert "session" in letter.reason


async def test_audio_is_settled_when_it_is_in_the_journal_whatever_the_recognizer_does(journal: Path) -> None:
    engine = Engine()
    engine.go.clear()
    async with open_works(engine, journal=journal) as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1), patience=0))
        await passes(engine.at_work.is_set)
        await saying
        await passes(lambda: kitchen.end._ring.oldest == kitchen.end._ring.next)
        engine.go.set()
        await works.result()


async def test_without_room_for_it_audio_stays_with_its_device(tmp_path: Path) -> None:
    journal = tmp_path / "nowhere" / "journal.db"
    (tmp_path / "nowhere").write_text("in the way")
    engine = Engine()
    engine.go.clear()
    async with open_works(engine, journal=journal) as works, works.board() as kitchen:
        await kitchen.say(loud(1), patience=0)
        await passes(engine.at_work.is_set)
        assert not works.journal.state.durable
        assert kitchen.end._ring.oldest != kitchen.end._ring.next
        engine.go.set()
        assert (await works.result()).text == "16000", "it goes on without"
        await passes(lambda: kitchen.end._ring.oldest == kitchen.end._ring.next)


@pytest.mark.slow
async def test_a_journal_that_can_be_read_later_is_taken_up_then(journal: Path) -> None:
    engine = Engine()
    engine.go.clear()
    async with abandoned(journal, engine=engine) as works:
        for event in (connected(), started(), audio(0, loud(1)), StreamStopped("kitchen", 1, 1)):
            works.pipeline.hear(event)
        await passes(engine.at_work.is_set)
        await works.settled()
        works.hush()
        engine.go.set()
    with in_the_way(journal) as give_back:
        async with open_works(journal=journal) as works:
            assert not works.journal.state.durable
            give_back()
            assert (await works.result()).text == "16000"


async def test_what_nobody_can_transcribe_is_told_and_kept(journal: Path) -> None:
    engine = Engine()
    engine.poison.add(16_000)
    heard: list[TranscriptionMessage] = []
    async with open_works(engine, journal=journal) as works:
        async with works.broker.subscribe(DEAD_TOPIC):
            for event in (connected(), started(), audio(0, loud(1)), StreamStopped("kitchen", 1, 1)):
                works.pipeline.hear(event)
            heard.append(await works.result())
            works.pipeline.hear(DeviceDisconnected("kitchen", 1, "gone"))
        await works.settled()
    assert not heard[0].success
    assert (await left_in(journal))[0] == []


async def test_an_answer_that_waited_for_the_next_gateway_finds_its_request(journal: Path) -> None:
    """It is there before the journal is read, which takes longer the more there is in it."""
    broker = MemoryBroker()
    async with abandoned(journal, beside=broker) as works:
        for event in (connected(), started(), audio(0, loud(1)), StreamStopped("kitchen", 1, 1)):
            works.pipeline.hear(event)
        heard = await works.result()

    def slow(works: Works) -> None:
        streams, delivered = works.journal.streams, broker.stats

        async def all_streams() -> AsyncIterator[Any]:
            await works.reply(heard, "faster")
            await passes(lambda: any(one.topic == REPLIES_TOPIC for one in delivered()))
            await asyncio.sleep(
                0.2
            )  # twice the clock by which deadlines, and what is left to recover, are looked at
            async for row in streams():
                yield row

        works.journal.streams = all_streams  # type: ignore[method-assign]

    async with (
        open_works(journal=journal, beside=broker, on_made=slow) as works,
        works.board(boot=1) as kitchen,
    ):
        assert (await kitchen.told.first(ReplyShown, final=True)).text == "faster"
        assert works.pipeline._questions.tracker.counters.unknown == 0
        await works.idle()
    await broker.close()


async def test_what_a_session_said_before_the_restart_comes_before_what_it_says_after(journal: Path) -> None:
    engine = Engine()
    engine.go.clear()
    async with abandoned(journal, engine=engine) as works:
        begin = (connected(), started(end_on_silence=True), audio(0, loud(2)), audio(32_000, quiet(1)))
        for event in begin:
            works.pipeline.hear(event)
        (session,) = works.pipeline._hearing.sessions.sessions()
        await passes(lambda: any(turn.durable for turn in session.turns.values()))
        engine.go.set()
        works.hush()

    def slow(works: Works) -> None:
        """What is left is read late, long after what is said now was understood."""
        utterance = works.journal.utterance

        async def late(utterance_id: str) -> Any:
            works.pipeline.hear(connected())
            works.pipeline.hear(started(begun=None, end_on_silence=True))
            works.pipeline.hear(audio(48_000, loud(1)))
            works.pipeline.hear(audio(64_000, quiet(1)))
            await passes(lambda: works.engine.lengths)
            return await utterance(utterance_id)

        works.journal.utterance = late  # type: ignore[method-assign]

    async with open_works(journal=journal, on_made=slow) as works:
        await works.result(2)
        assert [int(one.text) > 30_000 for one in works.results.items] == [True, False]
        works.pipeline.hear(StreamStopped("kitchen", 1, 1))
