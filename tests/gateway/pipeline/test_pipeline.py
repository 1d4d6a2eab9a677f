"""The pipeline's finer points: order, failures, overload, and that nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge.link import device_end
from firmware_bridge.link.events import (
    AudioReceived,
    DeviceConnected,
    DeviceDisconnected,
    DeviceStatus,
    LinkChanged,
    StreamStarted,
    StreamStopped,
)
from firmware_bridge.simulator.user import ReplyShown, TranscriptShown
from gateway.broker.base import BufferPolicy
from gateway.contract.events import DeliveryEvent, ReplyEvent, StatusEvent, TranscriptionEvent
from gateway.contract.messages import (
    DEAD_TOPIC,
    RESULTS_TOPIC,
    DeadUtterance,
    TranscriptionMessage,
    WantedHints,
    WordTime,
)
from gateway.pipeline.pipeline import Pipeline
from gateway.pipeline.sessions import session
from gateway.pipeline.sessions.requests import CUT_OFF, MAX_TEXT_BYTES
from gateway.pipeline.telling.fallback_texts import TEXTS, Apology
from tests.gateway.works import Engine, Works, loud, open_works, quiet, swing
from tests.record import passes
from tests.system.house import Board
from transcription.recognizing import BUSY
from transcription.transcriber import Hints, Word

FAILED = "Sorry, something went wrong."


@pytest.fixture(autouse=True)
def impatient_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_end, "REFUSED_PAUSE", 0.1)


def ring_is_free(board: Board) -> bool:
    return board.end._ring.oldest == board.end._ring.next


async def answer_all(works: Works, count: int) -> None:
    """Answers the first ``count`` results, whatever they say."""
    for number in range(1, count + 1):
        heard = await works.result(number)
        await works.reply(heard, f"{heard.text}!")


# -- turns


async def test_one_turn_from_speech_to_delivery() -> None:
    async with open_works() as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        await answer_all(works, 1)
        said = await saying
        assert (said.transcript, said.reply) == ("16000", "16000!")
        assert await kitchen.statuses(1, "idle") == ["listening", "transcribing", "thinking", "idle"]
        delivery = await works.events.first(DeliveryEvent)
        assert delivery.correlation_id == said.correlation_id
        await works.idle()
        await passes(lambda: ring_is_free(kitchen))


async def test_a_stream_is_listened_to_while_its_first_words_wait_for_their_answer() -> None:
    async with open_works() as works, works.board() as kitchen:
        speech = loud(1) + quiet(1)
        saying = asyncio.create_task(kitchen.say(speech + speech, end_on_silence=True))
        first, second = await works.result(1), await works.result(2)
        assert first.session_id == second.session_id
        await passes(lambda: works.pipeline.stats().streams == 0)
        await works.reply(second, "second")
        await kitchen.told.first(ReplyShown, text="second")
        assert "idle" not in kitchen.story(1), "the first is still waited for"
        await works.reply(first, "first")
        await kitchen.statuses(1, "idle")
        assert kitchen.story(1)[-2:] == ["reply: first", "idle"]
        await saying
        await works.idle()


async def test_between_two_turns_an_open_stream_is_listening() -> None:
    async with open_works() as works, works.board() as kitchen:
        stream = kitchen.end.start_stream(end_on_silence=True)
        for count in (1, 2):
            speak(kitchen, stream, loud(1) + quiet(1))
            await works.reply(await works.result(count), "yes")
            await kitchen.statuses(stream, "listening")
            await kitchen.told.first(ReplyShown, count=count)
        statuses = ["listening", *(["transcribing", "thinking", "listening"] * 2)]
        assert await kitchen.statuses(stream, "listening") == statuses
        kitchen.end.stop_stream(stream)
        kitchen._pump()
        assert await kitchen.statuses(stream, "idle") == [*statuses, "idle"]
        await works.idle()


# -- hints


async def test_a_device_is_heard_as_the_settings_and_its_orchestrator_say() -> None:
    transcription = {"devices": {"kitchen": {"prompt": "At home."}}, "segmenter": {"pause_ms": 0}}
    async with open_works(transcription=transcription) as works, works.board() as kitchen:
        stream = kitchen.end.start_stream(end_on_silence=True)
        speak(kitchen, stream, loud(1) + quiet(1))
        wanted = WantedHints(hotwords="Aoife", word_timestamps=True)
        await works.reply(await works.result(1), "Whom?", hints=wanted)
        await kitchen.told.first(ReplyShown, text="Whom?")
        speak(kitchen, stream, loud(1) + quiet(1))
        second = await works.result(2)
        await works.reply(second, "late", hints=WantedHints(prompt=""))
        await works.reply(second, "later", final=True, hints=WantedHints(hotwords=""), message_id="m_2")
        await passes(lambda: len(works.pipeline._questions) == 0)
        kitchen.end.stop_stream(stream)
        kitchen._pump()
        await works.idle()
    assert works.engine.hints == [
        Hints("en", "At home."),
        Hints("en", "At home.", "Aoife", word_timestamps=True),
    ]


class SomeNames:
    """Those that a test has put down, and where somebody began to speak."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.rooms: list[str] = []

    def told(self, room: str) -> tuple[str, ...]:
        self.rooms.append(room)
        return self.names


async def test_names_of_the_house_are_those_that_were_known_when_somebody_began_to_speak() -> None:
    names = SomeNames("Vitamix")
    devices = {"rooms": {"kitchen": "Cookhouse"}}
    async with (
        open_works(devices=devices, transcription={"hotwords": "Aoife"}) as works,
        works.board() as kitchen,
    ):
        works.pipeline._hearing._house_names = names
        stream = kitchen.end.start_stream(end_on_silence=True)
        for count, now in enumerate((("Nuki",), ()), 1):
            speak(kitchen, stream, loud(1))
            await passes(lambda: works.pipeline._hearing.in_speech)
            names.names = now  # too late for what is being said: what was guessed at its pause is its text
            speak(kitchen, stream, quiet(1))
            await works.reply(await works.result(count), "yes")
        kitchen.end.stop_stream(stream)
        kitchen._pump()
        await works.idle()
    assert works.engine.hints == [
        Hints("en", hotwords="Aoife", names=("Vitamix",)),
        Hints("en", hotwords="Aoife", names=("Nuki",)),
    ]
    assert set(names.rooms) == {"Cookhouse"}


@pytest.mark.parametrize(("seconds", "prompts"), [(60, ["", "Whom?", "Whom?", ""]), (0, ["", "", "", ""])])
async def test_hints_hold_for_the_next_push_of_the_button(seconds: float, prompts: list[str]) -> None:
    async with (
        open_works(
            sessions={"hints_seconds": seconds}, transcription={"segmenter": {"pause_ms": 0}}
        ) as works,
        works.board() as kitchen,
        works.board("hall") as hall,
    ):
        asked = {0: WantedHints(prompt="Whom?"), 2: WantedHints(prompt="")}
        for count, speaker in enumerate([kitchen, kitchen, kitchen, kitchen, hall]):
            saying = asyncio.create_task(speaker.say(loud(1)))
            await works.reply(await works.result(count + 1), "yes", hints=asked.get(count))
            await saying
    assert [hints.prompt for hints in works.engine.hints] == [*prompts, ""]


async def test_a_detected_language_holds_for_the_next_push_of_the_button() -> None:
    engine = Engine()
    engine.says = replace(engine.says, language="de", language_probability=0.9)
    transcription = {"model": "base", "language": "auto", "segmenter": {"pause_ms": 0}}
    async with open_works(engine, transcription=transcription) as works, works.board() as kitchen:
        for count in (1, 2):
            saying = asyncio.create_task(kitchen.say(loud(1.5)))
            await works.reply(await works.result(count), "ja")
            await saying
    assert [hints.language for hints in engine.hints] == ["auto", "de"]


async def test_without_an_answer_the_device_is_told_so_in_the_language_that_was_spoken() -> None:
    engine = Engine()
    engine.says = replace(engine.says, language="de")
    async with open_works(engine, orchestrator={"timeout_seconds": 0.2}) as works, works.board() as kitchen:
        late = await kitchen.say(loud(1))
        assert (late.reply, late.fallback) == (TEXTS["de"][Apology.LATE], True)
        assert (await works.events.first(ReplyEvent, fallback=True)).text == late.reply
        saying = asyncio.create_task(kitchen.say(loud(1)))
        await works.reply(await works.result(2), "", error="broken")
        failed = await saying
        assert (failed.reply, failed.error) == (TEXTS["de"][Apology.FAILED], True)


async def test_a_foreign_session_is_not_told_how_to_hear() -> None:
    async with open_works(transcription={"segmenter": {"pause_ms": 0}}) as works, works.board() as kitchen:
        stream = kitchen.end.start_stream(end_on_silence=True)
        speak(kitchen, stream, loud(1) + quiet(1))
        heard = await works.result(1)
        forged = {"session_id": heard.session_id, "correlation_id": "c_forged"}
        await works.reply(heard, "ha", hints=WantedHints(prompt="forged"), **forged)
        await works.reply(heard, "yes")
        await kitchen.told.first(ReplyShown, text="yes")
        speak(kitchen, stream, loud(1) + quiet(1))
        await works.reply(await works.result(2), "yes")
        kitchen.end.stop_stream(stream)
        kitchen._pump()
        await works.idle()
    assert {hints.prompt for hints in works.engine.hints} == {""}


async def test_the_language_is_detected_once_in_a_session_and_told() -> None:
    engine = Engine()
    engine.says = replace(engine.says, language="de", language_probability=0.9, no_speech_probability=0.1)
    transcription = {"model": "base", "language": "auto", "segmenter": {"pause_ms": 0}}
    async with open_works(engine, transcription=transcription) as works, works.board() as kitchen:
        stream = kitchen.end.start_stream(end_on_silence=True)
        for count in (1, 2):
            speak(kitchen, stream, loud(1.5) + quiet(1))
            await works.reply(await works.result(count), "ja")
            await kitchen.told.first(ReplyShown, count=count)
        kitchen.end.stop_stream(stream)
        kitchen._pump()
        await works.idle()
        event = await works.events.first(TranscriptionEvent)
    assert [hints.language for hints in engine.hints] == ["auto", "de"]
    first = works.results.of(TranscriptionMessage)[0]
    for told in (first, event):
        assert (told.language, told.language_probability, told.no_speech_probability) == ("de", 0.9, 0.1)


async def test_the_words_of_an_utterance_are_told() -> None:
    engine = Engine()
    engine.says = replace(engine.says, words=(Word("yes", 35 * 0.02, 0.75, 0.9),))
    async with open_works(engine) as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        await works.reply(heard, "yes")
        await saying
        event = await works.events.first(TranscriptionEvent)
    word = WordTime(word="yes", start=0.7, end=0.75, probability=0.9)
    assert (heard.words, event.words) == ((word,), (word,))


def speak(board: Board, stream: int, pcm: bytes) -> None:
    for start in range(0, len(pcm), 640):
        piece = pcm[start : start + 640]
        assert board.end.audio(stream, piece, len(piece) // 2)
        board._pump()


async def test_an_answer_that_breaks_off_is_an_error_with_what_had_come() -> None:
    async with open_works() as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        await works.reply(heard, "I think ", final=False)
        await works.reply(heard, "", error="it fainted")
        said = await saying
        assert (said.reply, said.error) == ("I think ", True)
        events = [(e.text, e.final, e.error) for e in works.events.of(ReplyEvent)]
        assert events == [("I think ", False, None), ("I think ", True, "it fainted")]
        await works.idle()


async def test_an_error_reply_is_a_failed_turn_in_the_log() -> None:
    with structlog.testing.capture_logs() as lines:
        async with open_works() as works, works.board() as kitchen:
            saying = asyncio.create_task(kitchen.say(loud(1)))
            await works.reply(await works.result(), "", error="it fainted")
            await saying
            await works.idle()
    [line] = [line for line in lines if line["event"] == "utterance"]
    assert (line["outcome"], line["error"]) == ("failed", "it fainted")


async def test_where_nobody_could_answer_nobody_is_kept_waiting() -> None:
    async with open_works(subscribed=False) as works, works.board() as kitchen:
        said = await kitchen.say(loud(1))
        assert (said.reply, said.fallback) == (TEXTS["en"][Apology.NOBODY], True)
        assert await kitchen.statuses(1, "idle") == ["listening", "transcribing", "thinking", "idle"]
        event = await works.events.first(TranscriptionEvent)
        assert (event.success, event.text) == (True, "16000")
        assert (await works.events.first(ReplyEvent)).fallback
        await works.idle()
        tracker = works.pipeline._questions.tracker
        assert (tracker.live, tracker.counters.expired) == (0, 1), "nobody is waited for"


async def test_a_stream_number_may_be_used_again_before_its_answer_came() -> None:
    async with open_works() as works, works.board() as kitchen:
        for _ in range(2):
            kitchen.end._last_stream = 0  # as firmware does that counts nothing
            asyncio.get_running_loop().create_task(kitchen.say(loud(1)))
            await works.result(len(works.results.items) + 1)
        first, second = works.results.items
        assert first.session_id != second.session_id
        await works.reply(second, "b")
        await works.reply(first, "a")
        await kitchen.told.first(ReplyShown, count=2)
        shown = [(reply.stream, reply.correlation_id) for reply in kitchen.told.of(ReplyShown)]
        assert shown == [(1, second.correlation_id), (1, first.correlation_id)]
        await works.idle()


# -- what fails


async def test_what_the_engine_cannot_do_is_a_failure_of_that_utterance_only() -> None:
    engine = Engine()
    engine.poison.add(16_000)
    async with open_works(engine) as works, works.board() as kitchen:
        failed = await kitchen.say(loud(1))
        assert (failed.reply, failed.error, failed.transcript) == (
            TEXTS["en"][Apology.NOT_TRANSCRIBED],
            True,
            None,
        )
        assert await kitchen.statuses(1, "idle") == ["listening", "transcribing", "error", "idle"]
        result = await works.result()
        assert (result.success, result.text, result.error) == (False, "", "16000 are too many")
        event = await works.events.first(TranscriptionEvent)
        assert (event.success, event.error) == (False, result.error)
        await passes(lambda: ring_is_free(kitchen))
        saying = asyncio.create_task(kitchen.say(loud(2)))
        await works.reply(await works.result(2), "fine")
        assert (await saying).reply == "fine"
        await works.idle()


async def test_an_utterance_that_waited_too_long_fails() -> None:
    engine = Engine()
    engine.go.clear()
    async with (
        open_works(engine, transcription={"wait_seconds": 0.5}) as works,
        works.board() as kitchen,
        works.board("hall") as hall,
    ):
        await works.ready()  # so that the first one does not wait too long, too
        saying = asyncio.create_task(kitchen.say(loud(1)))
        await engine.working()
        late = await hall.say(loud(1))
        assert (late.reply, late.error) == (TEXTS["en"][Apology.NOT_TRANSCRIBED], True)
        engine.go.set()
        await works.reply(await works.result(device_id="kitchen"), "here")
        assert (await saying).reply == "here"
        assert [result.success for result in works.results.items] == [False, True]
        await works.idle()


async def test_a_broker_that_refuses_ends_the_turn_and_the_device_is_told() -> None:
    async with (
        open_works(broker={"buffer_messages": 1}, orchestrator={"timeout_seconds": 0.3}) as works,
        works.board() as kitchen,
        works.broker.subscribe(RESULTS_TOPIC, policy=BufferPolicy.REFUSE) as stuck,
    ):
        saying = asyncio.create_task(kitchen.say(loud(1)))
        await works.reply(await works.result(), "one")
        assert (await saying).reply == "one"
        refused = await kitchen.say(loud(2))
        assert (refused.transcript, refused.reply, refused.error) == ("32000", FAILED, True)
        assert len(works.results.items) == 1
        await works.idle()
        await passes(lambda: works.pipeline._questions.tracker.live == 0)
        assert len(works.events.of(ReplyEvent)) == 1, "no second answer when its time would have been up"
        assert stuck.pending == 1
        await passes(lambda: ring_is_free(kitchen))


async def test_audio_is_settled_when_its_text_is_published_and_not_before() -> None:
    async with (
        open_works(broker={"buffer_messages": 1}) as works,
        works.board() as kitchen,
        works.broker.subscribe(RESULTS_TOPIC) as slow,
    ):
        await kitchen.say(loud(1), patience=0)
        await works.result()
        delivery = await anext(slow)
        await passes(lambda: ring_is_free(kitchen))
        await kitchen.say(loud(2), patience=0)
        await kitchen.told.first(TranscriptShown, text="32000")
        await passes(lambda: works.pipeline.stats().turns == 0)
        assert works.pipeline.stats().unpublished == 1, "the broker has no room"
        assert not ring_is_free(kitchen)
        await delivery.ack()
        await passes(lambda: works.pipeline.stats().unpublished == 0)
        await passes(lambda: ring_is_free(kitchen))


async def test_who_is_told_to_keep_its_speech_keeps_it_and_is_heard_once_there_is_room() -> None:
    async with (
        open_works(sessions={"max_sessions": 1}) as works,
        works.board() as kitchen,
        works.board("hall") as hall,
    ):
        await kitchen.say(loud(1), patience=0)
        heard = await works.result()
        await hall.say(loud(1), patience=0)
        assert await hall.statuses(1, "busy") == ["busy"]
        await hall.say(loud(3), patience=0)  # behind what it said before
        assert await hall.statuses(2, "busy") == ["busy"]
        assert not ring_is_free(hall)
        await works.reply(heard, "yes")
        for count, said in ((2, 16_000), (3, 3 * 16_000)):
            kept = await works.result(count)
            assert (kept.device_id, kept.text) == ("hall", str(said))
            await works.reply(kept, f"{count}")
        await hall.told.first(ReplyShown, text="3")
        await works.idle()
        await passes(lambda: ring_is_free(hall))
        assert len(works.results.items) == 3


@pytest.mark.slow
async def test_who_keeps_nothing_is_told_that_it_was_not_heard() -> None:
    async with (
        open_works(sessions={"max_sessions": 1}) as works,
        works.board() as kitchen,
        works.board("hall", ring_frames=0) as hall,
    ):
        await kitchen.say(loud(1), patience=0)
        heard = await works.result()
        await hall.say(loud(1), patience=0)
        assert await hall.statuses(1, "error") == ["error"]
        await works.reply(heard, "yes")
        await works.idle()


async def test_an_utterance_beyond_the_turns_that_may_be_open_is_refused_audibly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "MAX_OPEN_TURNS", 1)
    async with open_works() as works, works.board() as kitchen:
        sentence = loud(1) + quiet(1)
        saying = asyncio.create_task(kitchen.say(sentence + sentence, end_on_silence=True))
        refused = await kitchen.told.first(ReplyShown)
        assert (refused.text, refused.error, refused.correlation_id) == (
            TEXTS["en"][Apology.NOT_TRANSCRIBED],
            True,
            "",
        )
        await works.reply(await works.result(), "first")
        await kitchen.told.first(ReplyShown, text="first")
        await saying
        assert len(works.results.items) == 1
        await works.idle()


# -- poison


async def test_an_utterance_that_is_given_up_is_a_dead_letter_and_its_device_hears_of_it() -> None:
    engine = Engine()
    engine.deadly.add(16_000)
    async with (
        open_works(engine, transcription={"retries": 2, "segmenter": {"pause_ms": 0}}) as works,
        works.board() as kitchen,
        works.broker.subscribe(DEAD_TOPIC) as dead,
    ):
        said = await kitchen.say(loud(1))
        assert (said.reply, said.error) == (TEXTS["en"][Apology.NOT_TRANSCRIBED], True)
        result = await works.result()
        assert not result.success
        delivery = await anext(dead)
        letter = msgspec.json.decode(delivery.message.payload, type=DeadUtterance)
        assert (letter.reason, letter.attempts) == (result.error, 3)
        assert "tried 3 times" in letter.reason
        assert (letter.utterance_id, letter.correlation_id) == (result.utterance_id, result.correlation_id)
        assert (letter.device_id, letter.session_id, letter.audio.seconds) == (
            "kitchen",
            result.session_id,
            1.0,
        )
        assert delivery.message.routing_key.session == result.session_id
        await delivery.ack()
        event = await works.events.first(TranscriptionEvent)
        assert (event.success, event.error) == (False, result.error)
        await passes(lambda: ring_is_free(kitchen))
        saying = asyncio.create_task(kitchen.say(loud(2)))
        await works.reply(await works.result(2), "yes")
        assert (await saying).transcript == "32000", "the next is none the worse"
        await works.idle()


async def test_a_plain_failure_is_no_dead_letter() -> None:
    engine = Engine()
    engine.poison.add(16_000)
    async with (
        open_works(engine) as works,
        works.board() as kitchen,
        works.broker.subscribe(DEAD_TOPIC) as dead,
    ):
        assert (await kitchen.say(loud(1))).error
        await works.idle()
        assert dead.pending == 0


# -- overload


async def test_an_overloaded_recognizer_makes_devices_wait_and_fails_none() -> None:
    engine = Engine()
    engine.go.clear()
    async with open_works(engine, transcription={"queue_utterances": 4}) as works:
        boards = [works.board(f"board{n}") for n in range(6)]
        patient = works.board("patient")
        async with asyncio.TaskGroup() as tasks, _all(*boards, patient):
            stream = patient.end.start_stream(end_on_silence=True)
            speak(patient, stream, quiet(0.1))
            await patient.statuses(stream, "listening")
            for board in boards[:5]:  # one is worked on, four wait
                await board.say(loud(1), patience=0)
            await patient.statuses(stream, "busy")
            sent = patient.end.counters.sent
            await boards[5].say(loud(1), patience=0)
            speak(patient, stream, loud(1) + quiet(1))
            assert patient.end.counters.sent == sent, "it keeps what it records"
            assert boards[5].story(1) == ["speaks"]

            engine.go.set()
            tasks.create_task(answer_all(works, 7))
            await patient.statuses(stream, "listening")
            for board in (*boards, patient):
                await board.told.first(ReplyShown)
            patient.end.stop_stream(stream)
            patient._pump()
            await works.idle()
    devices = [result.device_id for result in works.results.items]
    assert sorted(devices) == sorted(board.device_id for board in (*boards, patient))
    assert all(result.success for result in works.results.items)
    assert "busy" in [event.status for event in works.events.of(StatusEvent, device_id="patient")]
    assert patient.story(stream)[:3] == ["listening", "busy", "listening"]


async def test_of_too_many_at_once_those_that_keep_their_speech_wait_and_none_fails() -> None:
    """Twenty devices against room for two, and an engine that takes its time."""
    engine = Engine()
    engine.go.clear()
    async with open_works(engine, transcription={"queue_utterances": 2}) as works:
        boards = [works.board(f"board{n}") for n in range(20)]
        async with _all(*boards):
            saying = [asyncio.create_task(board.say(loud(1), patience=60)) for board in boards]
            await engine.working()
            await passes(lambda: works.recognizer.load() >= BUSY)
            for event in works.events.of(StatusEvent, status="error"):
                pytest.fail(f"{event.device_id} was refused")
            engine.go.set()
            for number in range(1, 21):
                heard = await works.result(number)
                assert heard.success
                await works.reply(heard, f"yes, {heard.device_id}")
            said = await asyncio.gather(*saying)
            await works.idle()
            for board in boards:
                await passes(lambda board=board: ring_is_free(board))  # type: ignore[misc]
    assert [one.reply for one in said] == [f"yes, {board.device_id}" for board in boards]
    assert len(works.results.items) == 20, "each exactly one"


async def test_one_device_with_more_than_its_share_waits_too() -> None:
    engine = Engine()
    engine.go.clear()
    async with (
        open_works(engine, transcription={"queue_utterances": 2, "segmenter": {"pause_ms": 0}}) as works,
        works.board() as kitchen,
    ):
        stream = kitchen.end.start_stream(end_on_silence=True)
        for _ in range(4):
            speak(kitchen, stream, loud(1) + quiet(1))
        kitchen.end.stop_stream(stream)
        kitchen._pump()
        await engine.working()
        engine.go.set()
        for count in range(1, 5):
            heard = await works.result(count)
            assert heard.success
            await works.reply(heard, "yes")
        await works.idle()
        await passes(lambda: ring_is_free(kitchen))


async def test_of_too_many_at_once_each_that_keeps_nothing_is_answered_or_told_that_it_is_not() -> None:
    engine = Engine()
    engine.go.clear()
    async with open_works(engine, transcription={"queue_utterances": 2}) as works:
        boards = [works.board(f"board{n}", ring_frames=0) for n in range(8)]
        async with _all(*boards):
            streams = [board.end.start_stream(end_on_silence=False) for board in boards]
            for board, stream in zip(boards, streams, strict=True):
                speak(board, stream, loud(1))
            for board, stream in zip(boards, streams, strict=True):
                board.end.stop_stream(stream)
                board._pump()
            await works.result(success=False)
            engine.go.set()
            for number in range(1, 9):
                heard = await works.result(number)
                if heard.success:
                    await works.reply(heard, "here")
            for board in boards:
                await board.told.first(ReplyShown)
            await works.idle()
    results = {result.device_id: result for result in works.results.items}
    assert len(results) == len(works.results.items) == 8, "each exactly one"
    for board in boards:
        (reply,) = board.told.of(ReplyShown)
        result = results[board.device_id]
        assert (reply.text, reply.error) == (
            ("here", False) if result.success else (TEXTS["en"][Apology.NOT_TRANSCRIBED], True)
        )
        assert result.success or "wait already" in result.error
    assert 0 < sum(result.success for result in results.values()) < 8


@asynccontextmanager
async def _all(*boards: Board) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for board in boards:
            await stack.enter_async_context(board)
            await board.connected()
        yield


# -- answers nobody can take


async def test_the_answer_of_a_boot_that_is_gone_is_not_waited_for() -> None:
    async with open_works() as works:
        async with works.board(boot=1) as kitchen:
            await kitchen.say(loud(1), patience=0)
            first = await works.result()
            await kitchen.say(loud(1), patience=0)
            second = await works.result(2)
            kitchen.unplug()
            await passes(lambda: not works.carrier.owners)
            await works.reply(first, "before the reboot")
            await works.events.first(ReplyEvent)
            assert works.pipeline.stats().undelivered == 1
        async with works.board(boot=2) as rebooted:
            await rebooted.connected()
            assert works.pipeline.stats().undelivered == 0
            await works.reply(second, "after the reboot")
            await works.events.first(ReplyEvent, count=2)
            await works.idle()
            await works.pipeline.drain(20)
            assert not rebooted.told.of(ReplyShown)


async def test_answers_for_devices_that_never_come_back_are_bounded() -> None:
    async with open_works(orchestrator={"max_pending": 2}) as works:
        for count in (1, 2, 3):
            async with works.board(f"board{count}") as board:
                await board.say(loud(1), patience=0)
                heard = await works.result(count)
            await works.reply(heard, "too late")
            await works.events.first(ReplyEvent, count=count)
        stats = works.pipeline.stats()
        assert (stats.sessions, stats.asked, stats.undelivered) == (0, 0, 2)
        assert stats.dropped_answers == 1


async def test_the_end_of_an_answer_that_streams_too_late_has_all_of_its_text() -> None:
    async with open_works(orchestrator={"timeout_seconds": 0.2}) as works, works.board() as kitchen:
        said = await kitchen.say(loud(1))
        assert said.fallback
        heard = await works.result()
        for text, final in (("It is ", False), ("noon.", False), ("", True)):
            await works.reply(heard, text, final=final)
        late = await works.events.first(ReplyEvent, late=True, final=True)
        assert late.text == "It is noon."
        pieces = works.events.of(ReplyEvent, late=True, final=False)
        assert [event.text for event in pieces] == ["It is ", "noon."]


# -- answers longer than a frame, or than a window


async def test_the_longest_answer_reaches_a_device_that_takes_little_at_a_time() -> None:
    answer = "to be or not to be " * (MAX_TEXT_BYTES // 19)
    async with open_works() as works, works.board(max_payload=64) as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        await works.reply(await works.result(), answer)
        said = await saying
        assert said.reply == answer
        await works.idle()
        assert works.bridge.devices()[0].counters.outbox_full == 0


async def test_an_answer_that_is_cut_off_ends_with_a_word_about_it() -> None:
    async with open_works() as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        await works.reply(await works.result(), "x" * (MAX_TEXT_BYTES + 1))
        said = await saying
        assert said.reply == "x" * MAX_TEXT_BYTES + CUT_OFF
        assert (await works.events.first(ReplyEvent)).text == said.reply
        assert works.pipeline._questions.tracker.counters.truncated == 1


async def test_an_answer_for_which_its_device_has_no_room_follows_when_there_is_some() -> None:
    async with open_works() as works, works.board() as kitchen:
        await kitchen.say(loud(1), patience=0)
        heard = await works.result()
        kitchen.unplug()
        await passes(lambda: not works.carrier.owners)
        while works.bridge.send_status("kitchen", kitchen.end.boot, 9, DeviceStatus.IDLE):
            pass
        await works.reply(heard, "at last")
        await works.events.first(ReplyEvent)
        kitchen.replug()
        await kitchen.told.first(ReplyShown, text="at last", final=True)
        await works.idle()


# -- the end


async def test_leaving_does_not_wait_for_an_engine_that_is_stuck() -> None:
    engine = Engine()
    engine.go.clear()
    async with open_works(engine) as works:
        async with works.board() as kitchen:
            await kitchen.say(loud(1), patience=0)
            await engine.working()
            await works.pipeline.drain(0.1)
            async with asyncio.timeout(5):
                await works.pipeline.__aexit__()
            assert not ring_is_free(kitchen), "it is the next gateway's"
            assert works.results.items == []
        engine.go.set()
        await works.pipeline.__aenter__()


# -- facts no board of ours makes


def audio(stream: int, position: int, samples: int, lost: int = 0, boot: int = 1) -> AudioReceived:
    return AudioReceived("kitchen", boot, stream, position, swing(12_000, samples), lost)


def connected(boot: int = 1, *, resumed: bool = False, ring: int = 1500) -> DeviceConnected:
    return DeviceConnected("kitchen", boot, "air", "1.0", ring, False, resumed, 0)


def hear(pipeline: Pipeline, *events: Any) -> None:
    for event in events:
        pipeline.hear(event)


async def test_holes_are_counted_wherever_they_are() -> None:
    async with open_works() as works:
        hear(
            works.pipeline,
            connected(),
            StreamStarted("kitchen", 1, 1, end_on_silence=False),
            audio(1, 800, 8_000, lost=800),
            audio(1, 10_400, 8_000, lost=1_600),
            StreamStopped("kitchen", 1, 1, lost_samples=400),
        )
        result = await works.result()
        assert result.text == "18800"
        assert (result.audio.gaps, result.audio.lost_ms) == (3, (800 + 1_600 + 400) / 16)


async def test_a_device_that_stays_away_too_long_many_times_is_remembered_so_often_only() -> None:
    async with open_works(sessions={"max_sessions": 2, "resume_seconds": 0.01}) as works:
        for stream in (1, 2, 3):
            hear(
                works.pipeline,
                connected(resumed=stream > 1),
                StreamStarted("kitchen", 1, stream, end_on_silence=True),
                AudioReceived("kitchen", 1, stream, 0, quiet(0.1)),
                DeviceDisconnected("kitchen", 1, "gone"),
            )
            await passes(lambda: works.pipeline.stats().streams == 0)
        assert len(works.pipeline._hearing.former.lapsed) == 2
        hear(works.pipeline, connected(resumed=True))
        hear(works.pipeline, AudioReceived("kitchen", 1, 3, 1_600, quiet(0.1)))
        assert works.pipeline.stats().streams == 1
        hear(works.pipeline, StreamStopped("kitchen", 1, 3), connected(2))
        assert not works.pipeline._hearing.former.lapsed
        assert works.pipeline.stats().streams == 0


async def test_a_link_that_is_down_shows_with_its_remedy() -> None:
    async with open_works() as works:
        hear(works.pipeline, LinkChanged("ttyUSB0", up=False, reason="unplugged", remedy="plug it in"))
        health = works.health.report().components["ttyUSB0"]
        assert (health.state, health.reason, health.remedy) == ("degraded", "unplugged", "plug it in")
        hear(works.pipeline, LinkChanged("ttyUSB0", up=True))
        assert works.health.report().components["ttyUSB0"].state == "healthy"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "speak", "pause", "stop", "vanish", "return", "reboot", "reply", "lapse"]),
        st.integers(1, 2),
    ),
    min_size=5,
    max_size=40,
)


class Walk:
    """One device that does anything in any order, as its link would report it."""

    def __init__(self, works: Works) -> None:
        self.works = works
        self.boot = 1
        self.there = True
        self.open: dict[int, int] = {}  # stream -> position
        self.answered = 0
        hear(works.pipeline, connected())

    async def step(self, step: str, stream: int) -> None:
        match step:
            case "start" if self.there:
                self._stop(stream)
                self.open[stream] = 0
                self._tell(StreamStarted("kitchen", self.boot, stream, end_on_silence=stream == 1))
            case "speak" | "pause" if self.there and stream in self.open:
                pcm = loud(0.3) if step == "speak" else quiet(0.8)
                self._tell(AudioReceived("kitchen", self.boot, stream, self.open[stream], pcm))
                self.open[stream] += len(pcm) // 2
            case "stop" if self.there:
                self._stop(stream)
            case "vanish" if self.there:
                self._vanish()
            case "return" if not self.there:
                self._tell(connected(self.boot, resumed=True))
                self.there = True
            case "reboot":
                if self.there:
                    self._vanish()
                self.boot += 1
                self.open.clear()
                self._tell(connected(self.boot))
                self.there = True
            case "reply" if len(self.works.results.items) > self.answered:
                heard = self.works.results.items[self.answered]
                self.answered += 1
                await self.works.reply(heard, "yes")
            case "lapse" if not self.there:
                await passes(lambda: self.works.pipeline.stats().streams == 0)
        await asyncio.sleep(0)

    async def end(self) -> None:
        """The device stops whatever it says, and everything is answered."""
        await self.step("reboot", 1)
        await passes(lambda: self.works.pipeline.stats().turns == 0)
        published = sum(t.published for t in self.works.broker.stats() if t.topic == RESULTS_TOPIC)
        await passes(lambda: len(self.works.results.items) == published)
        while len(self.works.results.items) > self.answered:
            await self.step("reply", 1)

    def _stop(self, stream: int) -> None:
        if self.open.pop(stream, None) is not None:
            self._tell(StreamStopped("kitchen", self.boot, stream))

    def _vanish(self) -> None:
        self._tell(DeviceDisconnected("kitchen", self.boot, "gone"))
        self.there = False

    def _tell(self, event: Any) -> None:
        self.works.pipeline.hear(event)  # whatever it raises fails the test


def sessions_with(works: Works, **facts: Any) -> set[str]:
    return {event.session_id for event in works.events.of(StatusEvent, **facts)}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
@pytest.mark.slow
def test_whatever_a_device_does_every_turn_ends_and_nothing_is_left(steps: list[tuple[str, int]]) -> None:
    async def walk() -> None:
        async with open_works(sessions={"resume_seconds": 0.02}) as works:
            walk = Walk(works)
            for step, stream in steps:
                await walk.step(step, stream)
            await walk.end()
            await works.idle()
            ids = [result.correlation_id for result in works.results.items]
            assert len(ids) == len(set(ids))
            await works.events.until(lambda: sessions_with(works) == sessions_with(works, status="idle"))

    asyncio.run(walk())
