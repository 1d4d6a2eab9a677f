"""What is urgent is transcribed first, nobody starves, and nobody is refused because of another class."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from tests.transcription.scheduling.test_batching import Batching
from tests.transcription.scheduling.test_scheduler import LengthEngine, States, of_length, recognizer
from transcription.errors import QueueFull
from transcription.priority import TURNS, Priority
from transcription.recognizing import BUSY, Phase, Recognized
from transcription.scheduling.engines import OpenEngine
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import TranscriptionSettings

U, N, B = Priority
CLASS = {20: U, 30: N, 40: B}
"""By the tens of its length."""


def begin(r: Recognizer, length: int, **how: Any) -> asyncio.Task[Recognized]:
    """Have an utterance transcribed, whose length says how urgent it is."""
    priority = CLASS.get(length // 10 * 10, N)
    return asyncio.create_task(r.transcribe(of_length(length), owner=f"{length}", priority=priority, **how))


async def held(r: Recognizer, engine: LengthEngine) -> asyncio.Task[Recognized]:
    """The engine is at something."""
    first = begin(r, 1)
    assert await asyncio.to_thread(engine.working.wait, 10)
    return first


async def order(*lengths: int, **how: Any) -> list[int]:
    """In which order these are done that wait together, in this one."""
    engine = LengthEngine(held=True)
    async with recognizer(engine) as r:
        waiting = [await held(r, engine), *(begin(r, length, **how) for length in lengths)]
        await asyncio.sleep(0)
        engine.go.set()
        await asyncio.gather(*waiting)
    return engine.order[1:]


async def test_the_most_urgent_is_next() -> None:
    assert await order(40, 41, 30, 20, 31, 21) == [20, 21, 30, 31, 40, 41]


async def test_so_it_is_among_recordings() -> None:
    assert await order(40, 30, 20, behind=True) == [20, 30, 40]


async def test_under_load_each_lower_class_has_its_tenth() -> None:
    """The urgent ones never end: as soon as one is done another is there."""
    engine = LengthEngine(held=True)
    async with recognizer(engine) as r:
        waiting = [await held(r, engine), *(begin(r, length) for length in (30, 31, 32, 40, 41, 42))]
        urgent = [begin(r, length) for length in range(20, 28)]
        await asyncio.sleep(0)
        engine.go.set()
        for _ in range(40):
            await urgent.pop(0)
            urgent.append(begin(r, 28))
        await asyncio.gather(*waiting, *urgent)
    turns = [CLASS[length // 10 * 10] for length in engine.order[1:]]
    assert turns[:8] == [U] * 8
    for lower in (N, B):
        own = [-1, *(turn for turn, one in enumerate(turns) if one is lower)]
        assert len(own) == 4
        assert all(after - before <= TURNS for before, after in pairwise(own))


async def test_an_urgent_guess_goes_before_what_others_have_finished_and_after_what_is_urgent() -> None:
    engine, states = LengthEngine(held=True), States()
    async with Recognizer(
        TranscriptionSettings(), states, open_engine=lambda *_settings, **_how: OpenEngine(engine)
    ) as r:
        await states.until(Phase.READY)
        waiting = [await held(r, engine), begin(r, 40)]
        guesses = [
            r.guess(of_length(length), owner="a", priority=CLASS[length // 10 * 10]) for length in (42, 22)
        ]
        waiting += [begin(r, 30), begin(r, 20)]
        await asyncio.sleep(0)
        engine.go.set()
        await asyncio.gather(*waiting, *(guess.job.answer for guess in guesses if guess))
    assert engine.order == [1, 20, 22, 30, 40, 42]


async def test_a_look_is_behind_all_that_is_finished_and_the_urgent_one_is_first() -> None:
    engine, looks = LengthEngine(held=True), []
    async with recognizer(engine) as r:
        waiting = [await held(r, engine)]
        for length in (40, 20):
            priority, owner = CLASS[length], str(length)
            draft = r.follow(owner=owner, on_text=lambda said: looks.append(said.text), priority=priority)
            draft.ask(of_length(length))
        waiting.append(begin(r, 41))
        await asyncio.sleep(0)
        engine.go.set()
        await asyncio.gather(*waiting)
        while len(looks) < 2:  # noqa: ASYNC110 - its time comes by the clock
            await asyncio.sleep(0.01)
    assert engine.order == [1, 41, 20, 40]
    assert looks == ["20", "40"]


async def test_of_a_full_queue_only_its_own_class_is_refused() -> None:
    engine = LengthEngine(held=True)
    async with recognizer(engine, queue=4) as r:
        waiting = [await held(r, engine), *(begin(r, length) for length in (40, 41, 42, 43))]
        await asyncio.sleep(0)
        assert [r.load(one) for one in Priority] == [0, 0, 1]
        with pytest.raises(QueueFull):
            await begin(r, 44)
        assert r.guess(of_length(45), owner="a", priority=B) is None, "devices of that class had better wait"
        assert r.guess(of_length(25), owner="a", priority=U) is not None
        waiting += [begin(r, length) for length in (20, 21, 22, 23, 30)]
        await asyncio.sleep(0)
        assert [r.load(one) >= BUSY for one in Priority] == [True, False, True]
        engine.go.set()
        await asyncio.gather(*waiting)


async def test_a_batch_is_of_one_class() -> None:
    engine = Batching()
    async with Recognizer(
        TranscriptionSettings(batch_utterances=4), open_engine=lambda *_settings, **_how: OpenEngine(engine)
    ) as r:
        first = begin(r, 1)
        await asyncio.to_thread(engine.working.wait, 10)
        waiting = [begin(r, length) for length in (40, 30, 31, 20, 41, 21)]
        await asyncio.sleep(0)
        engine.go.set()
        await asyncio.gather(first, *waiting)
    assert engine.given[1:] == [[20, 21], [30, 31], [40, 41]]
