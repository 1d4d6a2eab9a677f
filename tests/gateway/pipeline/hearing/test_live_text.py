"""Text while somebody speaks: who gets it, what it is called, and when there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from firmware_bridge.simulator.user import PartialShown, TranscriptShown
from gateway.contract.events import PartialEvent, Subscribe, TranscriptionEvent
from tests.gateway.works import Engine, Works, loud, open_works, quiet
from tests.system.house import Board, passes
from transcription.scheduling.drafts import DraftCounters
from transcription.transcriber import NO_HINTS, Hints, Transcript
from transcription.utterance.segmenter import Utterance

EVERY = {"transcription": {"partials": {"every_ms": 500, "share": 1.0, "longest_ms": 10_000}}}
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


class CountingEngine(Engine):
    """Says a word for each half second of speech; the last one, in a draft, is never right."""

    def __init__(self) -> None:
        super().__init__()
        self.drafts = 0

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        self.drafts += hints.draft
        said = super().transcribe(utterance, hints)
        words = WORDS[: int(said.text) // 8000]
        if hints.draft:
            words[-1] += "ish"
        return Transcript(" ".join(words), "en", 1.0, 0.0, (), self.engine, self.model, 0.0)


def speak(board: Board, stream: int, pcm: bytes) -> None:
    for start in range(0, len(pcm), 640):
        piece = pcm[start : start + 640]
        assert board.end.audio(stream, piece, len(piece) // 2)
        board._pump()


async def looked(works: Works, count: int) -> None:
    """Wait until so many looks came to an end."""
    await passes(lambda: _ended(works.recognizer.drafts) >= count)


def _ended(c: DraftCounters) -> int:
    return c.shown + c.stale + c.gave_way + c.doubted + c.failed


@asynccontextmanager
async def speaking(
    *, wants: bool = True, engine: Engine | None = None, **parts: Any
) -> AsyncIterator[tuple[Works, Board, int]]:
    """A board with its button held."""
    async with (
        open_works(engine or CountingEngine(), **{**EVERY, **parts}) as works,
        works.board(wants_partials=wants) as kitchen,
    ):
        await kitchen.connected()
        yield works, kitchen, kitchen.end.start_stream(end_on_silence=False)


def stop(board: Board, stream: int) -> None:
    board.end.stop_stream(stream)
    board._pump()


async def test_text_grows_on_the_device_and_for_listeners_until_it_is_final() -> None:
    async with speaking() as (works, kitchen, stream):
        for count in (1, 2, 3):
            speak(kitchen, stream, loud(0.55))
            await kitchen.told.first(PartialShown, count=count)
        stop(kitchen, stream)
        result = await works.result()
        await kitchen.told.first(TranscriptShown)
        shown = [(one.stream, one.stable, one.text) for one in kitchen.told.of(PartialShown)]
        assert shown == [
            (stream, "", "oneish"),
            (stream, "", "one twoish"),
            (stream, "one", "one two threeish"),
        ]
        events = works.events.of(PartialEvent)
        assert [(event.number, event.stable, event.text) for event in events] == [
            (number, stable, text) for number, (_, stable, text) in enumerate(shown, 1)
        ]
        final = await works.events.first(TranscriptionEvent)
        for event in events:
            assert (event.utterance_id, event.session_id) == (result.utterance_id, result.session_id)
            assert (event.device_id, event.user_id) == ("kitchen", "home")
            assert event.seq < final.seq
        assert (final.text, final.utterance_id) == ("one two three", result.utterance_id)
        assert works.recognizer.drafts == DraftCounters(asked=3, shown=3)


async def test_each_utterance_of_a_stream_has_its_own_partials() -> None:
    async with (
        open_works(CountingEngine(), **EVERY) as works,
        works.board(wants_partials=True) as kitchen,
    ):
        await kitchen.connected()
        stream = kitchen.end.start_stream(end_on_silence=True)
        for count in (1, 2):
            speak(kitchen, stream, loud(0.55))
            await kitchen.told.first(PartialShown, count=count, text="oneish")
            speak(kitchen, stream, quiet(1))
            await works.result(count)
        ids = [result.utterance_id for result in works.results.items]
        events = works.events.of(PartialEvent)
        assert [event.utterance_id for event in events if event.text == "oneish"] == ids
        assert [event.number for event in events if event.text == "oneish"] == [1, 1]


async def test_the_text_of_a_pause_is_shown_though_nobody_looked_again() -> None:
    async with speaking() as (works, kitchen, stream):
        speak(kitchen, stream, loud(0.4) + quiet(0.2))
        shown = await kitchen.told.first(PartialShown)
        assert (shown.text, works.recognizer.drafts.asked) == ("one", 0)


async def test_a_device_that_does_not_ask_gets_none_though_listeners_do() -> None:
    async with speaking(wants=False) as (works, kitchen, stream):
        speak(kitchen, stream, loud(0.55))
        await works.events.first(PartialEvent)
        stop(kitchen, stream)
        await kitchen.told.first(TranscriptShown)
        assert kitchen.told.of(PartialShown) == []


@pytest.mark.parametrize("listens_to", [None, "transcription"])
async def test_the_model_is_not_troubled_where_nobody_looks(listens_to: str | None) -> None:
    engine = CountingEngine()
    async with speaking(wants=False, engine=engine, watched=False) as (works, kitchen, stream):
        outbox = works.hub.attach(Subscribe(kinds=(listens_to,))) if listens_to else None
        speak(kitchen, stream, loud(2) + quiet(0.3))
        stop(kitchen, stream)
        await works.result()
        assert (engine.drafts, works.recognizer.drafts) == (0, DraftCounters())
        if outbox:
            works.hub.detach(outbox)


async def test_partials_can_be_switched_off() -> None:
    engine = CountingEngine()
    async with speaking(engine=engine, transcription={"partials": {"every_ms": 0}}) as (works, board, stream):
        speak(board, stream, loud(2))
        stop(board, stream)
        await works.result()
        assert engine.drafts == 0


async def test_what_comes_after_the_end_of_an_utterance_is_not_shown() -> None:
    engine = CountingEngine()
    engine.go.clear()
    async with speaking(engine=engine) as (works, kitchen, stream):
        speak(kitchen, stream, loud(0.55))
        assert await asyncio.to_thread(engine.at_work.wait, 20)
        stop(kitchen, stream)
        engine.go.set()
        await works.result()
        await looked(works, 1)
        assert works.recognizer.drafts == DraftCounters(asked=1, stale=1)
        assert works.events.of(PartialEvent) == kitchen.told.of(PartialShown) == []


async def test_an_utterance_says_in_the_log_how_often_it_was_shown() -> None:
    with structlog.testing.capture_logs() as lines:
        async with speaking(subscribed=False) as (works, kitchen, stream):
            speak(kitchen, stream, loud(0.55))
            await kitchen.told.first(PartialShown)
            stop(kitchen, stream)
            await works.events.first(TranscriptionEvent)
            await works.idle()
    [line] = [line for line in lines if line["event"] == "utterance"]
    assert (line["partials"], line["partials_dropped"]) == (1, 0)
    assert not any("oneish" in str(line) for line in lines), "what was said is nobody's business"


async def test_an_utterance_says_in_the_log_how_often_it_could_not_be_shown() -> None:
    engine = CountingEngine()
    engine.go.clear()
    with structlog.testing.capture_logs() as lines:
        async with speaking(engine=engine, subscribed=False) as (works, kitchen, stream):
            speak(kitchen, stream, loud(0.55))
            assert await asyncio.to_thread(engine.at_work.wait, 20)
            stop(kitchen, stream)
            engine.go.set()
            await works.events.first(TranscriptionEvent)
            await works.idle()
    [line] = [line for line in lines if line["event"] == "utterance"]
    assert (line["partials"], line["partials_dropped"]) == (0, 1)


async def test_a_stream_that_is_handed_back_is_followed_no_more() -> None:
    engine = CountingEngine()
    async with speaking(engine=engine) as (works, kitchen, stream):
        speak(kitchen, stream, loud(0.3))
        await passes(lambda: works.pipeline._hearing.in_speech)
        [heard] = works.pipeline._hearing.streams.values()
        live = heard.live
        assert live is not None
        works.pipeline._hearing.hand_back()
        assert live._over
        assert heard.live is None
