"""Speech that goes on, through the recognizer: who gives way to whom, and what it costs the others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from statistics import median

import numpy as np
import pytest

from tests.transcription.scheduling.test_scheduler import (
    SOON,
    LengthEngine,
    Opener,
    States,
    of_length,
    queued,
)
from tests.transcription.speech import TEXTS, recording, utterance
from transcription.errors import EngineDied
from transcription.recognizing import Phase
from transcription.scheduling.drafts import Draft, DraftCounters
from transcription.scheduling.engines import OpenEngine
from transcription.scheduling.partial_text import PartialText
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import PartialsSettings, TranscriptionSettings
from transcription.transcriber import NO_HINTS, Hints, Transcript
from transcription.utterance.segmenter import Utterance

PASS = 0.03
"""Seconds that the paced engine is at one utterance."""


class PacedEngine(LengthEngine):
    """Takes ``PASS`` for each utterance, whatever it is, and notes when it was at a draft."""

    def __init__(self) -> None:
        super().__init__()
        self.drafts: list[tuple[float, float]] = []
        self.dies = False

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        begun = time.monotonic()
        done = super().transcribe(utterance, hints)
        threading.Event().wait(PASS)
        if hints.draft:
            self.drafts.append((begun, time.monotonic()))
        if self.dies:
            raise EngineDied("it fell")
        return done


@asynccontextmanager
async def ready(engine: LengthEngine, **partials: float) -> AsyncIterator[Recognizer]:
    """A recognizer with this engine; in its budget for drafts nothing is short unless the test says so."""
    settings = PartialsSettings(**{"share": 1.0, "longest_ms": 10_000, **partials})  # type: ignore[arg-type]
    states = States()
    async with Recognizer(
        TranscriptionSettings(partials=settings), states, open_engine=Opener(OpenEngine(engine))
    ) as r:
        await states.until(Phase.READY)
        yield r


def follow(r: Recognizer, owner: str, told: list[str] | None = None) -> Draft:
    told = [] if told is None else told
    return r.follow(owner=owner, on_text=lambda transcript: told.append(f"{owner} {transcript.text}"))


async def settled(r: Recognizer, **counters: int) -> None:
    """Wait until so many looks came to this end."""
    async with asyncio.timeout(SOON):
        while any(getattr(r.drafts, name) < count for name, count in counters.items()):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def held_at(r: Recognizer, engine: LengthEngine, draft: Draft, samples: int) -> None:
    """The engine is held at this look."""
    draft.ask(of_length(samples))
    assert await asyncio.to_thread(engine.working.wait, SOON)


# Who gives way to whom


async def test_a_look_is_told_and_is_a_draft() -> None:
    engine, told = LengthEngine(), list[str]()
    async with ready(engine) as r:
        follow(r, "a", told).ask(of_length(7))
        await settled(r, shown=1)
    assert told == ["a 7"]
    assert engine.hints == [Hints(draft=True)]


async def test_finished_utterances_and_guesses_come_before_looks() -> None:
    engine, told = LengthEngine(held=True), list[str]()
    async with ready(engine) as r:
        first, second = follow(r, "a", told), follow(r, "b", told)
        await held_at(r, engine, first, 1)
        second.ask(of_length(2))
        guess = r.guess(of_length(3), owner="c")
        finals = await queued(r, ("d", 4), ("e", 5))
        first.ask(of_length(6))  # not even taken: there are finals
        engine.go.set()
        await asyncio.gather(*finals)
        await settled(r, shown=2)
    assert guess is not None
    assert engine.order == [1, 4, 5, 3, 2]
    assert told == ["a 1", "b 2"]
    assert r.drafts == DraftCounters(asked=3, shown=2, gave_way=1)


async def test_what_is_said_of_an_utterance_that_is_over_is_told_to_nobody() -> None:
    engine, told = LengthEngine(held=True), list[str]()
    async with ready(engine) as r:
        draft = follow(r, "a", told)
        await held_at(r, engine, draft, 1)
        draft.ask(of_length(2))
        draft.drop()
        engine.go.set()
        assert (await r.transcribe(of_length(3), owner="a")).transcript.text == "3"
        assert r.drafts == DraftCounters(asked=2, stale=2)
    assert (told, engine.order) == ([], [1, 3])


async def test_without_an_engine_there_are_no_looks() -> None:
    engine = LengthEngine()
    r = Recognizer(TranscriptionSettings(), open_engine=Opener(OpenEngine(engine)))
    draft = follow(r, "a")
    draft.ask(of_length(1))
    async with r:
        pass
    draft.ask(of_length(2))
    assert r.drafts == DraftCounters(asked=2, gave_way=2)
    assert engine.order == []


@pytest.mark.parametrize("length", [13, 666])
async def test_what_the_engine_cannot_do_is_not_tried_again_while_it_goes_on(length: int) -> None:
    engine, told = LengthEngine(), list[str]()
    async with ready(engine) as r:
        bad, good = follow(r, "a", told), follow(r, "b", told)
        bad.ask(of_length(length))
        await settled(r, failed=1)
        bad.ask(of_length(1))
        good.ask(of_length(2))
        await settled(r, shown=1)
    assert (told, engine.order) == (["b 2"], [length, 2])
    assert r.drafts == DraftCounters(asked=3, shown=1, stale=1, failed=1)


async def test_an_engine_that_dies_of_a_look_is_started_again_and_does_not_do_it_again() -> None:
    engine, states = PacedEngine(), States()
    engine.dies = True
    opener = Opener(OpenEngine(engine))
    async with Recognizer(TranscriptionSettings(), states, open_engine=opener, retry_seconds=(0, 0)) as r:
        await states.until(Phase.READY)
        draft = follow(r, "a")
        draft.ask(of_length(1))
        await settled(r, failed=1)
        draft.ask(of_length(2))
        engine.dies = False
        assert (await r.transcribe(of_length(3), owner="a")).transcript.text == "3"
    assert engine.order == [1, 3]
    assert states.phases == [Phase.LOADING, Phase.READY, Phase.LOADING, Phase.READY]


async def test_the_end_does_not_wait_for_looks() -> None:
    engine, told = LengthEngine(held=True), list[str]()
    async with ready(engine) as r:
        await held_at(r, engine, follow(r, "a", told), 1)
        follow(r, "b", told).ask(of_length(2))
        await r.close()
        engine.go.set()
    assert told == []


# A guess is a look that costs nothing


async def test_a_guess_tells_its_text_too() -> None:
    engine, told = LengthEngine(), list[str]()
    async with ready(engine) as r:
        guess = r.guess(of_length(5), owner="a")
        assert guess is not None
        guess.tell(lambda transcript: told.append(transcript.text))
        await guess.job.answer
        await r.transcribe(of_length(6), owner="b")
    assert told == ["5"]


@pytest.mark.parametrize("length", [13, 5])
async def test_a_guess_that_failed_or_was_dropped_tells_nothing(length: int) -> None:
    engine, told = LengthEngine(held=True), list[str]()
    async with ready(engine) as r:
        guess = r.guess(of_length(length), owner="a")
        assert guess is not None
        guess.tell(lambda transcript: told.append(transcript.text))
        assert await asyncio.to_thread(engine.working.wait, SOON)
        if length == 5:
            guess.drop()
        engine.go.set()
        await r.transcribe(of_length(6), owner="b")
    assert told == []


# What it costs the others: an engine of a known slowness


@asynccontextmanager
async def speaking(r: Recognizer, owners: str, told: list[str]) -> AsyncIterator[None]:
    """Devices that speak on and on, and want to see it: each asks again many times in one pass."""

    async def speak(owner: str) -> None:
        draft = follow(r, owner, told)
        for samples in range(100, 10_000):
            draft.ask(of_length(samples))
            await asyncio.sleep(PASS / 6)

    tasks = [asyncio.create_task(speak(owner)) for owner in owners]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def waits(r: Recognizer, count: int) -> list[tuple[float, float]]:
    """When each of so many finals, one after the other at odd moments, was asked for and begun."""
    waited = []
    for number in range(count):
        await asyncio.sleep(PASS * (1.3 + number % 7 / 7))
        asked = time.monotonic()
        done = await r.transcribe(of_length(number + 20), owner="speaker")
        assert done.transcript.text == str(number + 20)
        waited.append((asked, asked + done.queue_seconds))
    return waited


def lengths(waited: list[tuple[float, float]]) -> list[float]:
    return [begun - asked for asked, begun in waited]


@pytest.mark.slow
async def test_a_final_waits_for_the_look_under_way_at_most() -> None:
    engine, told = PacedEngine(), list[str]()
    async with ready(engine) as r:
        async with speaking(r, "abcd", told):
            waited = await waits(r, 20)
        for asked, begun in waited:
            assert sum(since < begun and asked < to for since, to in engine.drafts) <= 1
        assert median(lengths(waited)) < PASS
        assert r.drafts.shown > 20, "they had all the time in between"
        assert r.drafts.stale > r.drafts.shown, "only the newest are looked at"


@pytest.mark.slow
async def test_at_its_share_finals_hardly_notice() -> None:
    engine, told = PacedEngine(), list[str]()
    async with ready(engine, share=0.1) as r:
        begun = time.monotonic()
        async with speaking(r, "abcd", told):
            waited = await waits(r, 20)
        elapsed = time.monotonic() - begun
        assert 0 < sum(to - since for since, to in engine.drafts) < 0.1 * elapsed + 2 * PASS
        assert median(lengths(waited)) < PASS / 3
        assert told


@pytest.mark.slow
async def test_where_a_pass_takes_long_finals_do_not_wait_at_all() -> None:
    engine, told = PacedEngine(), list[str]()
    async with ready(engine, longest_ms=int(PASS * 500)) as r:
        await waits(r, 1)
        async with speaking(r, "abcd", told):
            waited = await waits(r, 10)
        assert median(lengths(waited)) < PASS / 3
        assert (told, engine.drafts) == ([], [])
        assert r.drafts.gave_way == r.drafts.asked


@pytest.mark.slow
async def test_devices_that_speak_at_once_are_shown_as_often() -> None:
    engine, told = PacedEngine(), list[str]()
    async with ready(engine) as r, speaking(r, "abcde", told):
        await settled(r, shown=30)
    shown = Counter(line.split()[0] for line in told)
    assert set(shown) == set("abcde")
    assert max(shown.values()) - min(shown.values()) <= 1
    for owner in "abcde":
        grown = [int(line.split()[1]) for line in told if line.startswith(owner)]
        assert grown == sorted(set(grown))


# The real engine


async def test_the_text_of_a_recording_grows() -> None:
    states, samples = States(), recording("u05")
    settings = TranscriptionSettings(
        isolation="inline", partials=PartialsSettings(share=1.0, longest_ms=10_000)
    )
    async with Recognizer(settings, states) as r:
        await states.until(Phase.READY)
        live, partials = PartialText(), []
        draft = r.follow(owner="a", on_text=lambda transcript: partials.append(live.hear(transcript.text)))
        for count, end in enumerate(range(8000, len(samples), 4000), 1):
            draft.ask(utterance(samples[:end]))
            await settled(r, asked=count, shown=count - r.drafts.doubted)
        final = await r.transcribe(utterance(samples), owner="a")
    assert final.transcript.text == TEXTS["u05"]
    assert [one for one in partials if one], "something was shown"
    assert np.all([one.text.startswith(one.stable) for one in partials if one])
