"""Utterances under way at the same time: whose lane is whose, and who is to blame when the engine dies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np

from tests.record import passes
from tests.transcription.speech import utterance
from transcription.errors import EngineDied, EngineFailed, GivenUp
from transcription.recognizing import Recognized
from transcription.scheduling.engines import OpenEngine
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import PartialsSettings, TranscriptionSettings
from transcription.transcriber import NO_HINTS, BatchTranscriber, Hints, OnProgress, Task, Transcript, untold
from transcription.utterance.segmenter import Utterance

SOON = 20.0
POISON = 666


class Lanes(BatchTranscriber):
    """Does so many calls at the same time, each until its first length is let go, and knows which are under way.

    Of ``POISON`` it dies, once that is let go, and all that is under way with it.
    """

    engine, model, batches = "lanes", "none", True

    def __init__(self, lanes: int = 2) -> None:
        self.lanes = lanes
        self.given: list[list[int]] = []
        self.under_way: list[list[int]] = []
        self.most = 0
        self.hurried: list[int] = []
        self.closed = False
        self.closed_at: list[list[int]] = []
        self._free: set[int] = set()
        self._dead = False
        self._news = threading.Condition()

    def load(self, on_progress: OnProgress = untold) -> None: ...

    def close(self) -> None:
        self.closed, self.closed_at = True, [*self.under_way]

    def hurry(self, utterance: Utterance) -> None:
        self.hurried.append(len(utterance.samples))

    def let_go(self, *lengths: int) -> None:
        with self._news:
            self._free |= {*lengths}
            self._news.notify_all()

    async def dies_of_poison(self) -> None:
        """And all that is under way with it, before any of that is let go."""
        given = len(self.given)
        self.let_go(POISON)
        await passes(lambda: len(self.given) > given)

    def live_again(self) -> None:
        with self._news:
            self._dead = False

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        [outcome] = self.transcribe_all([Task(utterance, hints)])
        assert isinstance(outcome, Transcript)
        return outcome

    def transcribe_all(self, tasks: Sequence[Task]) -> list[Transcript | EngineFailed]:
        lengths = [len(task.utterance.samples) for task in tasks]
        with self._news:
            self.given.append(lengths)
            self.under_way.append(lengths)
            self.most = max(self.most, len(self.under_way))
            assert self._news.wait_for(lambda: self._dead or lengths[0] in self._free, SOON)
            self.under_way.remove(lengths)
            if POISON in lengths:
                self._dead = True
                self._news.notify_all()
            if self._dead:
                if not self.under_way:  # the last of them closes the door, and another process begins
                    self._dead = False
                raise EngineDied("it fell")
        return [self._said(length) for length in lengths]

    def _said(self, length: int) -> Transcript:
        return Transcript(str(length), "en", 1.0, 0.0, (), self.engine, self.model, 0.0)


def of_length(samples: int) -> Utterance:
    return utterance(np.zeros(samples, np.int16))


@asynccontextmanager
async def open_recognizer(engine: Lanes, **settings: object) -> AsyncIterator[Recognizer]:
    recognizer = Recognizer(
        TranscriptionSettings(**settings),  # type: ignore[arg-type]
        open_engine=lambda _settings, **_how: OpenEngine(engine),
        retry_seconds=(0.001, 0.002),
    )
    async with recognizer as r:
        yield r


def say(r: Recognizer, length: int, owner: str = "") -> asyncio.Task[Recognized]:
    return asyncio.create_task(r.transcribe(of_length(length), owner=owner or str(length)))


async def texts(*calls: asyncio.Task[Recognized]) -> list[str]:
    async with asyncio.timeout(SOON):
        return [one.transcript.text for one in await asyncio.gather(*calls)]


async def test_whoever_is_done_first_is_answered_first_and_the_lane_goes_on() -> None:
    engine = Lanes()
    async with open_recognizer(engine) as r:
        first, second = say(r, 20), say(r, 21)
        await passes(lambda: engine.under_way == [[20], [21]])
        third = say(r, 22)
        engine.let_go(21)
        assert await texts(second) == ["21"]
        await passes(lambda: engine.under_way == [[20], [22]])
        engine.let_go(20, 22)
        assert await texts(first, third) == ["20", "22"]


async def test_what_waits_is_shared_out_among_the_free_lanes() -> None:
    engine = Lanes()
    async with open_recognizer(engine, batch_utterances=4) as r:
        first = [say(r, 20), say(r, 21)]
        await passes(lambda: len(engine.under_way) == 2)
        others = [say(r, length) for length in (22, 23, 24, 25, 26)]
        await passes(lambda: r.waiting == 5)
        engine.let_go(20, 21, *range(22, 27))
        await texts(*first, *others)
    assert sorted(engine.given[2:]) == [[22, 23], [24, 25], [26]]


async def test_two_that_wait_for_two_free_lanes_have_one_each() -> None:
    engine = Lanes()
    async with open_recognizer(engine) as r:
        both = [say(r, 20), say(r, 21)]
        engine.let_go(20, 21)
        await texts(*both)
    assert sorted(engine.given) == [[20], [21]]


async def test_an_engine_of_one_lane_is_given_a_batch_at_a_time() -> None:
    engine = Lanes(1)
    async with open_recognizer(engine, batch_utterances=4) as r:
        first = say(r, 20)
        await passes(lambda: engine.under_way == [[20]])
        others = [say(r, length) for length in (21, 22, 23, 24)]
        engine.let_go(*range(20, 25))
        await texts(first, *others)
    assert (engine.given, engine.most) == ([[20], [21, 22, 23, 24]], 1)


async def test_a_look_leaves_a_lane_to_what_somebody_waits_for() -> None:
    engine = Lanes()
    partials = PartialsSettings(share=1.0)
    async with open_recognizer(engine, partials=partials) as r:
        first = say(r, 20)
        await passes(lambda: engine.under_way == [[20]])
        r.follow(owner="b", on_text=lambda _text: None).ask(of_length(30))
        second = say(r, 21)
        await passes(lambda: engine.under_way == [[20], [21]])
        engine.let_go(21)
        await texts(second)
        assert engine.given == [[20], [21]], "the free lane is the last"
        engine.let_go(20)
        await passes(lambda: engine.under_way == [[30]])
        third = say(r, 22)
        engine.let_go(22)
        assert await texts(first, third) == ["20", "22"], "beside the look"
        engine.let_go(30)


async def test_what_is_behind_all_leaves_a_lane_too() -> None:
    engine = Lanes()
    async with open_recognizer(engine) as r:
        behind = [
            asyncio.create_task(r.transcribe(of_length(length), owner="file", behind=True))
            for length in (30, 31)
        ]
        await passes(lambda: engine.under_way == [[30]])
        spoken = say(r, 20)
        engine.let_go(20)
        assert await texts(spoken) == ["20"]
        assert engine.given == [[30], [20]]
        engine.let_go(30, 31)
        assert await texts(*behind) == ["30", "31"]


async def test_it_is_told_of_which_nobody_waits_any_more() -> None:
    engine = Lanes()
    async with open_recognizer(engine) as r:
        first, second = say(r, 20), say(r, 21)
        await passes(lambda: len(engine.under_way) == 2)
        second.cancel()
        await asyncio.wait({second})
        assert engine.hurried == [21]
        engine.let_go(20, 21)
        assert await texts(first) == ["20"]


async def test_whoever_was_beside_what_it_died_of_is_done_and_the_poison_is_found() -> None:
    engine = Lanes()
    async with open_recognizer(engine, retries=1) as r:
        poison, innocent = say(r, POISON), say(r, 20)
        await passes(lambda: len(engine.under_way) == 2)
        waiting = say(r, 21)
        await engine.dies_of_poison()
        engine.let_go(20, 21)
        outcomes = await asyncio.gather(poison, innocent, waiting, return_exceptions=True)
    assert isinstance(outcomes[0], GivenUp)
    assert outcomes[0].times == 2
    assert [one.transcript.text for one in outcomes[1:] if isinstance(one, Recognized)] == ["20", "21"]
    assert engine.given.count([POISON]) == 3, "once beside another, and as often as it may alone"
    assert engine.given.count([20]) == 2


async def test_what_may_be_to_blame_has_the_engine_to_itself() -> None:
    engine = Lanes()
    async with open_recognizer(engine, retries=1) as r:
        poison, innocent = say(r, POISON), say(r, 20)
        await passes(lambda: len(engine.under_way) == 2)
        others = [say(r, length) for length in range(21, 27)]
        engine.most = 0
        beside: list[list[list[int]]] = []
        taken = engine.transcribe_all

        def noted(tasks: Sequence[Task]) -> list[Transcript | EngineFailed]:
            beside.append([*engine.under_way, [len(task.utterance.samples) for task in tasks]])
            return taken(tasks)

        engine.transcribe_all = noted  # type: ignore[method-assign]
        await engine.dies_of_poison()
        engine.let_go(*range(20, 27))
        await asyncio.gather(poison, innocent, *others, return_exceptions=True)
    suspects = [one for one in beside if [POISON] in one or [20] in one]
    assert len(suspects) == 3
    assert all(len(one) == 1 for one in suspects)


async def test_a_guess_beside_what_it_died_of_is_not_made_again() -> None:
    engine = Lanes()
    async with open_recognizer(engine, retries=0) as r:
        poison = say(r, POISON)
        await passes(lambda: engine.under_way == [[POISON]])
        guess = r.guess(of_length(20), owner="a")
        assert guess is not None
        await passes(lambda: len(engine.under_way) == 2)
        engine.let_go(POISON, 21)
        assert await texts(say(r, 21)) == ["21"]
        assert isinstance(guess.job.answer.exception(), EngineDied)
        await asyncio.wait({poison})
        assert isinstance(poison.exception(), GivenUp)
    assert engine.given.count([20]) == 1


async def test_who_gave_up_waiting_for_a_lone_try_is_not_done() -> None:
    engine = Lanes(3)
    async with open_recognizer(engine, retries=1) as r:
        poison, beside = say(r, POISON), {length: say(r, length) for length in (20, 22)}
        await passes(lambda: len(engine.under_way) == 3)
        engine.let_go(POISON)
        await passes(lambda: engine.given.count([20]) + engine.given.count([22]) == 3)
        [waits] = [length for length in beside if engine.given.count([length]) == 1]
        beside.pop(waits).cancel()
        engine.let_go(20, 21, 22)
        await texts(*beside.values())
        await asyncio.wait({poison})
        assert isinstance(poison.exception(), GivenUp)
        assert await texts(say(r, 21)) == ["21"]
    assert engine.given.count([waits]) == 1


async def test_another_engine_waits_for_all_lanes() -> None:
    engine, other = Lanes(), Lanes()
    opened = [engine]
    recognizer = Recognizer(
        TranscriptionSettings(),
        open_engine=lambda _settings, **_how: OpenEngine(opened[-1]),
        retry_seconds=(0.001, 0.002),
    )
    async with recognizer as r:
        first, second = say(r, 20), say(r, 21)
        await passes(lambda: len(engine.under_way) == 2)
        opened.append(other)
        r.change(TranscriptionSettings(beam_size=2))
        engine.let_go(21)
        assert await texts(second) == ["21"]
        assert not engine.closed
        third = say(r, 22)
        engine.let_go(20, 22)  # whichever of the two has the third
        other.let_go(22)
        assert await texts(first, third) == ["20", "22"]
        await passes(lambda: engine.closed)
    assert engine.closed_at == []
