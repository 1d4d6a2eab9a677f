"""What the recognizer does when its engine's process dies: nothing is lost, and nothing is tried for ever."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import pairwise

import pytest
from msgspec import structs

from tests.transcription import breakable
from tests.transcription.breakable import BreakableEngine
from tests.transcription.scheduling.test_scheduler import (
    AT_ONCE,
    MISSING,
    SOON,
    LengthEngine,
    Opener,
    States,
    of_length,
)
from tests.transcription.speech import TEXTS, recording, utterance
from transcription.errors import EngineDied, GivenUp, ModelUnavailable, RecognizerClosed
from transcription.process.process import ProcessTranscriber
from transcription.recognizing import Phase, Recognized
from transcription.scheduling.engines import OpenEngine
from transcription.scheduling.keeper import LOAD_DEATHS, LOAD_DEATHS_ONCE_LOADED
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import TranscriptionSettings
from transcription.transcriber import NO_HINTS, Hints, OnProgress, Transcript
from transcription.utterance.segmenter import Utterance
from transcription.whisper.engine import WhisperTranscriber

pytestmark = pytest.mark.slow


class Processes:
    """Opens an engine in a process, and remembers them all; ``models`` are those of the first ones."""

    def __init__(
        self, make: Callable[[TranscriptionSettings], WhisperTranscriber | BreakableEngine], *models: str
    ) -> None:
        self.make = make
        self.models = deque(models)
        self.opened: list[ProcessTranscriber] = []
        self.loaded = threading.Event()

    def __call__(
        self, settings: TranscriptionSettings, *, fallback: bool, patient: bool, on_progress: OnProgress
    ) -> OpenEngine:
        if self.models:
            settings = structs.replace(settings, model=self.models.popleft())
        engine = ProcessTranscriber(self.make, settings)
        engine.load()
        self.opened.append(engine)
        self.loaded.set()
        return OpenEngine(engine, None, engine.ended)

    def kill(self) -> None:
        os.kill(self.opened[-1].pid, signal.SIGKILL)


class MortalEngine(LengthEngine):
    """Dies of each length so often; what it is at when it is ``held`` waits until it is let go."""

    def __init__(self, dies_of: dict[int, int], *, held: bool = False) -> None:
        super().__init__(held=held)
        self.dies_of = dies_of

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        done = super().transcribe(utterance, hints)
        length = len(utterance.samples)
        if self.dies_of.get(length, 0):
            self.dies_of[length] -= 1
            raise EngineDied("it fell")
        return done


def mortal(engine: MortalEngine, states: States, **settings: object) -> Recognizer:
    """Every attempt to open gives this engine."""
    return Recognizer(
        TranscriptionSettings(**settings),  # type: ignore[arg-type]
        states,
        open_engine=Opener(OpenEngine(engine)),
        retry_seconds=AT_ONCE,
    )


# Real processes


async def test_ten_utterances_and_a_kill_in_the_middle_of_them() -> None:
    states, processes = States(), Processes(WhisperTranscriber)
    names = sorted(TEXTS)[:10]
    async with Recognizer(TranscriptionSettings(), states, open_engine=processes) as r:
        await states.until(Phase.READY)
        calls = [asyncio.create_task(r.transcribe(utterance(recording(name)), owner=name)) for name in names]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        processes.kill()
        done = await asyncio.gather(*calls)
    assert [d.transcript.text for d in done] == [TEXTS[name] for name in names]
    assert len(processes.opened) == 2
    assert states.phases == [Phase.LOADING, Phase.READY, Phase.LOADING, Phase.READY]
    assert "was killed (SIGKILL)" in states.seen[2].reason


async def test_a_poison_utterance_fails_and_the_others_do_not() -> None:
    states, processes = States(), Processes(BreakableEngine)
    lengths = [101, breakable.KILL, 102, 103]
    settings = TranscriptionSettings(retries=1)
    async with Recognizer(settings, states, open_engine=processes, retry_seconds=AT_ONCE) as r:
        calls = [r.transcribe(of_length(n), owner=str(n)) for n in lengths]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    poisoned = answers.pop(1)
    assert isinstance(poisoned, GivenUp)
    assert poisoned.times == 2
    assert str(poisoned).startswith("tried 2 times, and each time the recognizer's process was killed")
    assert [a.transcript.text.split()[0] for a in answers if isinstance(a, Recognized)] == [
        "101",
        "102",
        "103",
    ]


async def test_a_death_without_work_is_repaired_without_being_asked() -> None:
    states, processes = States(), Processes(BreakableEngine)
    async with Recognizer(TranscriptionSettings(), states, open_engine=processes) as r:
        await states.until(Phase.READY)
        processes.kill()
        await states.until(Phase.LOADING)
        await states.until(Phase.READY)
        assert (await r.transcribe(of_length(5), owner="a")).transcript.text.startswith("5 ")
    assert len(processes.opened) == 2


async def test_who_is_killed_while_it_loads_is_started_again_and_the_utterances_wait() -> None:
    states, processes = States(), Processes(BreakableEngine, "fine", "killed", "killed", "fine")
    async with Recognizer(TranscriptionSettings(), states, open_engine=processes, retry_seconds=AT_ONCE) as r:
        await states.until(Phase.READY)
        processes.kill()
        await states.until(Phase.LOADING)
        calls = [r.transcribe(of_length(n), owner=str(n)) for n in (101, 102)]
        done = await asyncio.gather(*calls)
    assert [d.transcript.text.split()[0] for d in done] == ["101", "102"]
    assert {d.transcript.engine for d in done} == {"breakable"}
    assert Phase.UNAVAILABLE not in states.phases
    assert any(state.reason.startswith("while it loaded, the recognizer's process") for state in states.seen)


async def test_close_does_not_wait_for_a_process_that_hangs() -> None:
    states, processes = States(), Processes(BreakableEngine)
    async with Recognizer(TranscriptionSettings(), states, open_engine=processes) as r:
        await states.until(Phase.READY)
        call = asyncio.create_task(r.transcribe(of_length(breakable.HANG), owner="a"))
        await asyncio.sleep(0)
        began = time.monotonic()
        await r.close(0.01)
        with pytest.raises(RecognizerClosed):
            await call
    processes.opened[0].ended.result(SOON)
    assert time.monotonic() - began < SOON  # its limit is longer


async def test_what_is_loaded_too_late_is_closed() -> None:
    states, processes = States(), Processes(BreakableEngine)
    r = Recognizer(TranscriptionSettings(), states, open_engine=processes)
    async with r:
        await asyncio.sleep(0)  # the opener is at it
    assert await asyncio.to_thread(processes.loaded.wait, SOON)
    await asyncio.wrap_future(processes.opened[0].ended)


# The rules


async def test_what_died_is_its_owners_next_but_others_go_first() -> None:
    engine, states = MortalEngine({20: 1}, held=True), States()
    async with mortal(engine, states) as r:
        calls = [
            asyncio.create_task(r.transcribe(of_length(n), owner=owner))
            for owner, n in (("a", 20), ("a", 21), ("b", 30))
        ]
        assert await asyncio.to_thread(engine.working.wait, SOON)
        engine.go.set()
        texts = [done.transcript.text for done in await asyncio.gather(*calls)]
    assert texts == ["20", "21", "30"]
    assert engine.order == [20, 30, 20, 21]


async def test_retries_are_counted_for_each_utterance() -> None:
    engine, states = MortalEngine({20: 2, 30: 3}), States()
    async with mortal(engine, states, retries=2) as r:
        first, second = await asyncio.gather(
            *(r.transcribe(of_length(n), owner=str(n)) for n in (20, 30)), return_exceptions=True
        )
    assert isinstance(first, Recognized)
    assert isinstance(second, EngineDied)
    assert str(second) == "tried 3 times, and each time it fell"


async def test_a_guess_that_dies_is_dropped_and_its_utterance_done() -> None:
    engine, states = MortalEngine({20: 1}), States()
    async with mortal(engine, states, retries=0) as r:
        await states.until(Phase.READY)
        guess = r.guess(of_length(20), owner="a")
        assert guess is not None
        await asyncio.wait([guess.job.answer])
        done = await r.transcribe(of_length(20), owner="a", guess=guess)
    assert (done.transcript.text, done.ahead, engine.order) == ("20", False, [20, 20])


async def test_a_guess_that_was_taken_is_done_again() -> None:
    engine, states = MortalEngine({20: 1}, held=True), States()
    async with mortal(engine, states) as r:
        await states.until(Phase.READY)
        guess = r.guess(of_length(20), owner="a")
        assert await asyncio.to_thread(engine.working.wait, SOON)
        call = asyncio.create_task(r.transcribe(of_length(20), owner="a", guess=guess))
        await asyncio.sleep(0)
        engine.go.set()
        assert (await call).transcript.text == "20"
    assert engine.order == [20, 20]


async def test_an_utterance_that_nobody_waits_for_any_more_is_not_done_again() -> None:
    engine, states = MortalEngine({20: 1}, held=True), States()
    async with mortal(engine, states) as r:
        call = asyncio.create_task(r.transcribe(of_length(20), owner="a"))
        assert await asyncio.to_thread(engine.working.wait, SOON)
        call.cancel()
        engine.go.set()
        await r.transcribe(of_length(30), owner="a")
    assert engine.order == [20, 30]


async def test_the_deadline_counts_anew_when_it_is_done_again_and_holds_when_no_engine_comes() -> None:
    engine, states = MortalEngine({20: 1}, held=True), States()
    opener = Opener(OpenEngine(engine), MISSING)
    async with Recognizer(TranscriptionSettings(), states, open_engine=opener, retry_seconds=AT_ONCE) as r:
        call = asyncio.create_task(r.transcribe(of_length(20), owner="a", deadline=0.05))
        assert await asyncio.to_thread(engine.working.wait, SOON)
        await asyncio.sleep(0.1)  # longer than the deadline, which does not matter to what is under way
        engine.go.set()
        with pytest.raises(ModelUnavailable, match=r"it is not here|it fell"):
            await call
    assert Phase.LOADING in states.phases[1:]


async def test_a_fallback_that_dies_is_opened_again_and_the_wanted_one_still_looked_for() -> None:
    states, wanted = States(), LengthEngine()
    ended: Future[str] = Future()
    ended.set_running_or_notify_cancel()
    opener = Opener(
        OpenEngine(LengthEngine(), MISSING, ended), OpenEngine(LengthEngine(), MISSING), OpenEngine(wanted)
    )
    settings = TranscriptionSettings()
    async with Recognizer(settings, states, open_engine=opener, retry_seconds=(0.05, 0.05)) as r:
        await states.until(Phase.DEGRADED)
        ended.set_result("it fell")
        await states.until(Phase.READY)
        assert (await r.transcribe(of_length(5), owner="a")).transcript.text == "5"
    assert states.phases == [Phase.LOADING, Phase.DEGRADED, Phase.LOADING, Phase.DEGRADED, Phase.READY]
    assert opener.fallbacks == [True, True, False]


async def test_who_dies_again_and_again_is_started_ever_more_rarely() -> None:
    """Nothing in between succeeds, so the pauses double; the deaths of one poison utterance are six."""
    engine, states = MortalEngine({20: 6}), States()
    loop = asyncio.get_running_loop()
    opened: list[float] = []

    def open_engine(
        settings: TranscriptionSettings, *, fallback: bool, patient: bool, on_progress: OnProgress
    ) -> OpenEngine:
        opened.append(loop.time())
        return OpenEngine(engine)

    r = Recognizer(
        TranscriptionSettings(retries=5), states, open_engine=open_engine, retry_seconds=(0.02, 0.08)
    )
    async with r:
        with pytest.raises(EngineDied, match="tried 6 times"):
            await r.transcribe(of_length(20), owner="a")
        await r.transcribe(of_length(21), owner="a")
    pauses = [b - a for a, b in pairwise(opened)]
    assert all(p >= least for p, least in zip(pauses, (0, 0.02, 0.04, 0.08, 0.08, 0.08), strict=True))


# Deaths while loading


DIED = EngineDied("it fell")


async def test_a_model_of_which_processes_die_while_loading_is_missing_after_a_few() -> None:
    states, instead = States(), LengthEngine()
    opener = Opener(*[DIED] * (LOAD_DEATHS - 1), OpenEngine(instead, MISSING), MISSING)
    async with Recognizer(TranscriptionSettings(), states, open_engine=opener, retry_seconds=AT_ONCE) as r:
        await states.until(Phase.DEGRADED)
        assert (await r.transcribe(of_length(5), owner="a")).transcript.text == "5"
    assert opener.patience[:LOAD_DEATHS] == [True] * (LOAD_DEATHS - 1) + [False]
    assert opener.fallbacks[:LOAD_DEATHS] == [True] * LOAD_DEATHS
    assert set(states.phases) == {Phase.LOADING, Phase.DEGRADED}


async def test_a_model_that_was_loaded_before_gets_more_patience() -> None:
    states, engine, again = States(), MortalEngine({20: 1}), LengthEngine()
    deaths = [DIED] * (LOAD_DEATHS_ONCE_LOADED - 1)
    opener = Opener(OpenEngine(engine), *deaths, OpenEngine(again))
    async with Recognizer(TranscriptionSettings(), states, open_engine=opener, retry_seconds=AT_ONCE) as r:
        assert (await r.transcribe(of_length(20), owner="a")).transcript.text == "20"
    assert again.order == [20]
    assert opener.patience == [True] * LOAD_DEATHS_ONCE_LOADED + [False]
    assert set(states.phases) == {Phase.LOADING, Phase.READY}


async def test_a_load_that_succeeds_ends_the_count() -> None:
    states, engines = States(), [MortalEngine({20: 1}), MortalEngine({30: 1}), LengthEngine()]
    most = [DIED] * (LOAD_DEATHS - 1)
    opener = Opener(
        *most, OpenEngine(engines[0]), *most, OpenEngine(engines[1]), *most, OpenEngine(engines[2])
    )
    async with Recognizer(TranscriptionSettings(), states, open_engine=opener, retry_seconds=AT_ONCE) as r:
        texts = [(await r.transcribe(of_length(n), owner="a")).transcript.text for n in (20, 30)]
    assert texts == ["20", "30"]
    assert opener.patience[LOAD_DEATHS:] == [True] * (len(opener.patience) - LOAD_DEATHS)
    assert set(states.phases) == {Phase.LOADING, Phase.READY}


async def test_each_death_while_loading_waits_longer_than_the_one_before() -> None:
    loop = asyncio.get_running_loop()
    opened: list[float] = []
    states = States()

    def open_engine(
        settings: TranscriptionSettings, *, fallback: bool, patient: bool, on_progress: OnProgress
    ) -> OpenEngine:
        opened.append(loop.time())
        if len(opened) == 1:
            return OpenEngine(MortalEngine({20: 1}))
        if len(opened) < 5:
            raise DIED
        return OpenEngine(LengthEngine())

    settings = TranscriptionSettings()
    async with Recognizer(settings, states, open_engine=open_engine, retry_seconds=(0.02, 0.08)) as r:
        await r.transcribe(of_length(20), owner="a")
    pauses = [b - a for a, b in pairwise(opened)]
    assert all(p >= least for p, least in zip(pauses, (0, 0.02, 0.04, 0.08), strict=True))
