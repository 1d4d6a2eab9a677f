"""The recognizer: its states, whose turn it is, deadlines, failures and the end."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.transcription.speech import TEXTS, recording, utterance
from transcription.errors import (
    EngineDied,
    EngineFailed,
    ModelUnavailable,
    QueueFull,
    RecognizerClosed,
    TranscriptionError,
    WaitedTooLong,
)
from transcription.models.models import BUNDLED
from transcription.recognizing import BUSY, Phase, Recognized, RecognizerState
from transcription.scheduling.engines import OpenEngine
from transcription.scheduling.jobs import Guess
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import TranscriptionSettings
from transcription.transcriber import NO_HINTS, Hints, OnProgress, Transcript
from transcription.utterance.segmenter import Utterance

SOON = 10.0
AT_ONCE = (0.005, 0.02)
MISSING = ModelUnavailable("it is not here", remedy="bring it")


class LengthEngine:
    """Says how long an utterance is. Held, it waits before each until it is let go; some lengths are poison."""

    engine = "length"
    model = "none"

    def __init__(self, *, held: bool = False) -> None:
        self.order: list[int] = []
        self.hints: list[Hints] = []
        self.closed = False
        self.working = threading.Event()
        self.go = threading.Event()
        if not held:
            self.go.set()

    def load(self) -> None: ...

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        self.working.set()
        assert self.go.wait(SOON)
        length = len(utterance.samples)
        self.order.append(length)
        self.hints.append(hints)
        if length == 13:
            raise EngineFailed("unlucky")
        if length == 666:
            raise ZeroDivisionError("a bug of the engine's own")
        return Transcript(str(length), "en", 1.0, 0.0, (), self.engine, self.model, 0.0)

    def close(self) -> None:
        self.closed = True


class Opener:
    """Opens what the script says, one entry for each attempt; the last stays."""

    def __init__(self, *script: OpenEngine | ModelUnavailable | EngineDied) -> None:
        self.script = deque(script)
        self.fallbacks: list[bool] = []
        self.patience: list[bool] = []

    def __call__(
        self, settings: TranscriptionSettings, *, fallback: bool, patient: bool, on_progress: OnProgress
    ) -> OpenEngine:
        self.fallbacks.append(fallback)
        self.patience.append(patient)
        outcome = self.script.popleft() if len(self.script) > 1 else self.script[0]
        if isinstance(outcome, TranscriptionError):
            raise outcome
        return outcome


class States:
    """What ``on_state`` told, and a way to wait for a phase."""

    def __init__(self) -> None:
        self.seen: list[RecognizerState] = []
        self._changed = asyncio.Event()

    def __call__(self, state: RecognizerState) -> None:
        self.seen.append(state)
        self._changed.set()

    @property
    def phases(self) -> list[Phase]:
        return [state.phase for state in self.seen]

    async def until(self, phase: Phase) -> RecognizerState:
        async with asyncio.timeout(SOON):
            while self.seen[-1].phase is not phase:
                self._changed.clear()
                await self._changed.wait()
        return self.seen[-1]


def of_length(samples: int) -> Utterance:
    return utterance(np.zeros(samples, np.int16))


def recognizer(engine: LengthEngine, queue: int = 64) -> Recognizer:
    return Recognizer(TranscriptionSettings(queue_utterances=queue), open_engine=Opener(OpenEngine(engine)))


async def occupied(r: Recognizer, engine: LengthEngine) -> asyncio.Task[Recognized]:
    """The engine is held at an utterance of length 1, the queue empty."""
    task = asyncio.create_task(r.transcribe(of_length(1), owner="first"))
    assert await asyncio.to_thread(engine.working.wait, SOON)
    return task


async def queued(
    r: Recognizer, *who: tuple[str, int], deadline: float | None = None
) -> list[asyncio.Task[Recognized]]:
    """These (owner, length) wait, in this order."""
    before = r.waiting
    tasks = [
        asyncio.create_task(r.transcribe(of_length(length), owner=owner, deadline=deadline))
        for owner, length in who
    ]
    await asyncio.sleep(0)
    assert r.waiting == before + len(who)
    return tasks


# Guesses: utterances that may be over


async def begun(r: Recognizer, engine: LengthEngine, samples: int) -> Guess:
    """The engine is held at a guess of this length."""
    guess = r.guess(of_length(samples), owner="a")
    assert guess is not None
    assert await asyncio.to_thread(engine.working.wait, SOON)
    return guess


def held() -> tuple[LengthEngine, States]:
    return LengthEngine(held=True), States()


async def test_a_guess_that_fits_is_the_text() -> None:
    engine, states = held()
    async with Recognizer(TranscriptionSettings(), states, open_engine=Opener(OpenEngine(engine))) as r:
        await states.until(Phase.READY)
        guess = await begun(r, engine, 20)
        silence_after = utterance(np.zeros(50, np.int16), speech_end=20)
        final = asyncio.create_task(r.transcribe(silence_after, owner="a", guess=guess))
        await asyncio.sleep(0)
        engine.go.set()
        done = await final
    assert (done.transcript.text, done.ahead, engine.order) == ("20", True, [20])


async def test_a_guess_that_does_not_fit_is_dropped() -> None:
    engine, states = held()
    async with Recognizer(TranscriptionSettings(), states, open_engine=Opener(OpenEngine(engine))) as r:
        await states.until(Phase.READY)
        guess = await begun(r, engine, 20)
        engine.go.set()
        done = await r.transcribe(of_length(30), owner="a", guess=guess)
    assert (done.transcript.text, done.ahead, engine.order) == ("30", False, [20, 30])


class HurriedEngine(LengthEngine):
    """Counts how often nobody waited for what it was at."""

    hurries = 0

    def hurry(self, utterance: Utterance) -> None:
        self.hurries += 1


async def test_a_guess_that_is_dropped_is_not_looked_at_again() -> None:
    engine, states = HurriedEngine(held=True), States()
    async with Recognizer(TranscriptionSettings(), states, open_engine=Opener(OpenEngine(engine))) as r:
        await states.until(Phase.READY)
        guess = await begun(r, engine, 20)
        waiting = r.guess(of_length(21), owner="b")
        assert waiting is not None
        waiting.drop()
        assert engine.hurries == 0
        guess.drop()
        assert engine.hurries == 1
        engine.go.set()
        assert (await r.transcribe(of_length(30), owner="a")).transcript.text == "30"
        guess.drop()
    assert (engine.hurries, engine.order) == (1, [20, 30])


async def test_nor_is_what_its_caller_waits_for_no_more() -> None:
    engine, states = HurriedEngine(held=True), States()
    async with Recognizer(TranscriptionSettings(), states, open_engine=Opener(OpenEngine(engine))) as r:
        await states.until(Phase.READY)
        first = await occupied(r, engine)
        second = asyncio.create_task(r.transcribe(of_length(20), owner="a"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        assert engine.hurries == 0
        first.cancel()
        await asyncio.wait([first])
        assert engine.hurries == 1
        engine.go.set()


class StrangeGuess:
    """One that some other recognizer has made."""

    dropped = False

    def tell(self, on_text: Callable[[Transcript], None]) -> None:
        """Nothing ever comes of it."""

    def drop(self) -> None:
        """Nobody wants it any more."""
        self.dropped = True


async def test_a_guess_of_another_recognizer_is_dropped() -> None:
    engine, states, guess = LengthEngine(), States(), StrangeGuess()
    async with Recognizer(TranscriptionSettings(), states, open_engine=Opener(OpenEngine(engine))) as r:
        done = await r.transcribe(of_length(20), owner="a", guess=guess)
    assert (done.transcript.text, done.ahead, guess.dropped) == ("20", False, True)


async def test_the_engine_is_given_the_hints_of_each_utterance() -> None:
    engine, states = LengthEngine(), States()
    async with Recognizer(TranscriptionSettings(), states, open_engine=Opener(OpenEngine(engine))) as r:
        await r.transcribe(of_length(20), owner="a", hints=Hints(language="de"))
        await r.transcribe(of_length(21), owner="a")
    assert engine.hints == [Hints(language="de"), NO_HINTS]


async def test_what_its_device_keeps_is_never_refused_for_want_of_room() -> None:
    engine, states = held()
    opener = Opener(OpenEngine(engine))
    async with Recognizer(TranscriptionSettings(queue_utterances=2), states, open_engine=opener) as r:
        await states.until(Phase.READY)
        first = await occupied(r, engine)
        kept = [
            asyncio.create_task(r.transcribe(of_length(n), owner="a", kept=True)) for n in (20, 21, 22, 23)
        ]
        await asyncio.sleep(0)
        assert r.waiting == 4
        assert r.load() >= BUSY
        with pytest.raises(QueueFull, match="4 utterances wait already"):
            await r.transcribe(of_length(30), owner="b")
        engine.go.set()
        await asyncio.gather(first, *kept)
    assert engine.order == [1, 20, 21, 22, 23]


async def test_what_is_kept_waits_no_longer_than_its_patience() -> None:
    engine, states = held()
    opener = Opener(OpenEngine(engine))
    async with Recognizer(TranscriptionSettings(queue_utterances=1), states, open_engine=opener) as r:
        await states.until(Phase.READY)
        first = await occupied(r, engine)
        kept = [r.transcribe(of_length(n), owner="a", kept=True, deadline=0.01) for n in (20, 21)]
        outcomes = await asyncio.gather(*kept, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [WaitedTooLong] * 2
        engine.go.set()
        await first
    assert engine.order == [1]


async def test_a_guess_with_other_hints_is_not_taken() -> None:
    engine, states = held()
    async with Recognizer(TranscriptionSettings(), states, open_engine=Opener(OpenEngine(engine))) as r:
        await states.until(Phase.READY)
        guess = await begun(r, engine, 20)
        engine.go.set()
        done = await r.transcribe(of_length(20), owner="a", hints=Hints(prompt="so"), guess=guess)
    assert (done.ahead, engine.hints) == (False, [NO_HINTS, Hints(prompt="so")])


async def test_a_guess_that_was_not_begun_gives_way_to_its_utterance() -> None:
    engine, states = held()
    async with Recognizer(TranscriptionSettings(), states, open_engine=Opener(OpenEngine(engine))) as r:
        await states.until(Phase.READY)
        first = await occupied(r, engine)
        guess = r.guess(of_length(20), owner="a")
        final = asyncio.create_task(r.transcribe(of_length(20), owner="a", guess=guess))
        await asyncio.sleep(0)
        engine.go.set()
        await first
        done = await final
    assert (done.ahead, engine.order) == (False, [1, 20])


async def test_finished_utterances_come_before_guesses() -> None:
    engine, states = held()
    async with Recognizer(TranscriptionSettings(), states, open_engine=Opener(OpenEngine(engine))) as r:
        await states.until(Phase.READY)
        first = await occupied(r, engine)
        guess = r.guess(of_length(20), owner="a")
        assert guess is not None
        finals = await queued(r, ("b", 2), ("c", 3))
        engine.go.set()
        await asyncio.gather(first, *finals)
        await guess.job.answer
    assert engine.order == [1, 2, 3, 20]


async def test_a_dropped_guess_is_never_begun() -> None:
    engine, states = held()
    async with Recognizer(TranscriptionSettings(), states, open_engine=Opener(OpenEngine(engine))) as r:
        await states.until(Phase.READY)
        first = await occupied(r, engine)
        guess = r.guess(of_length(20), owner="a")
        assert guess is not None
        guess.drop()
        guess.drop()
        engine.go.set()
        await first
        await r.transcribe(of_length(2), owner="a")
    assert engine.order == [1, 2]


async def test_a_guess_that_failed_is_done_again_as_a_final() -> None:
    engine, states = held()
    async with Recognizer(TranscriptionSettings(), states, open_engine=Opener(OpenEngine(engine))) as r:
        await states.until(Phase.READY)
        guess = await begun(r, engine, 666)
        engine.go.set()
        await asyncio.wait([guess.job.answer])
        with pytest.raises(EngineFailed, match="a bug of the engine's own"):
            await r.transcribe(of_length(666), owner="a", guess=guess)
    assert engine.order == [666, 666]


async def test_nothing_is_guessed_without_an_engine_or_with_too_much_to_do() -> None:
    loading = Recognizer(TranscriptionSettings(), open_engine=Opener(MISSING), retry_seconds=AT_ONCE)
    async with loading as r:
        assert r.guess(of_length(1), owner="a") is None
    engine, states = held()
    settings = TranscriptionSettings(queue_utterances=4)
    async with Recognizer(settings, states, open_engine=Opener(OpenEngine(engine))) as r:
        await states.until(Phase.READY)
        first = await occupied(r, engine)
        finals = await queued(r, ("a", 2), ("b", 3), ("c", 4))
        assert r.guess(of_length(20), owner="a") is None
        engine.go.set()
        await asyncio.gather(first, *finals)
    assert r.guess(of_length(1), owner="a") is None


# The real engines


@pytest.mark.slow
async def test_recordings_of_several_devices_through_the_real_engine() -> None:
    states, names = States(), ["u05", "u06", "u24", "u34"]
    async with Recognizer(TranscriptionSettings(), states) as r:
        done = await asyncio.gather(*(r.transcribe(utterance(recording(n)), owner=n) for n in names))
    assert [d.transcript.text for d in done] == [TEXTS[n] for n in names]
    assert all(d.recognize_seconds > 0 for d in done)
    assert all(d.queue_seconds > 0 for d in done)
    assert states.seen == [
        RecognizerState(Phase.LOADING),
        RecognizerState(Phase.READY, "faster-whisper", "bundled", languages=("en",)),
    ]


@pytest.mark.slow
async def test_a_model_folder_that_appears_later_is_taken_without_a_restart(tmp_path: Path) -> None:
    states, folder = States(), tmp_path / "model"
    settings = TranscriptionSettings(engine="faster-whisper", model=str(folder))
    async with Recognizer(settings, states, retry_seconds=AT_ONCE) as r:
        waiting = asyncio.create_task(r.transcribe(utterance(recording("u05")), owner="early"))
        state = await states.until(Phase.UNAVAILABLE)
        assert (state.reason, state.engine) == (f"there is no folder {folder}", "")
        assert "put the model there" in state.remedy
        shutil.copytree(BUNDLED, tmp_path / "copy")
        (tmp_path / "copy").rename(folder)
        assert (await waiting).transcript.text == TEXTS["u05"]
    assert states.phases == [Phase.LOADING, Phase.UNAVAILABLE, Phase.READY]


@pytest.mark.slow
async def test_the_fallback_serves_until_the_model_appears(tmp_path: Path) -> None:
    states, folder = States(), tmp_path / "model"
    settings = TranscriptionSettings(model=str(folder))
    async with Recognizer(settings, states, retry_seconds=AT_ONCE) as r:
        state = await states.until(Phase.DEGRADED)
        assert (state.engine, state.model, state.reason) == (
            "pocketsphinx",
            "en-us",
            f"there is no folder {folder}",
        )
        first = await r.transcribe(utterance(recording("u06")), owner="a")
        assert (first.transcript.engine, first.transcript.text) == ("pocketsphinx", TEXTS["u06"])
        shutil.copytree(BUNDLED, tmp_path / "copy")
        (tmp_path / "copy").rename(folder)
        await states.until(Phase.READY)
        assert (
            await r.transcribe(utterance(recording("u06")), owner="a")
        ).transcript.engine == "faster-whisper"
    assert states.phases == [Phase.LOADING, Phase.DEGRADED, Phase.READY]


@pytest.mark.slow
async def test_poison_among_good_utterances_of_the_real_engine() -> None:
    async with Recognizer(TranscriptionSettings()) as r:
        poison = [np.zeros((2, 3, 4), np.int16), np.full(5, np.nan), np.zeros(0, np.int16)]
        mixed = [recording("u05"), poison[0], recording("u24"), poison[1], poison[2], recording("u34")]
        calls = [r.transcribe(utterance(samples), owner=str(i % 2)) for i, samples in enumerate(mixed)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    texts = [answer.transcript.text if isinstance(answer, Recognized) else type(answer) for answer in answers]
    assert texts[0::2][:2] == [TEXTS["u05"], TEXTS["u24"]]
    assert texts[1] is EngineFailed
    assert texts[5] == TEXTS["u34"]
    assert all(isinstance(answer, Recognized | TranscriptionError) for answer in answers)


# States


async def test_off_stays_off_and_says_how_to_switch_it_on() -> None:
    states = States()
    async with Recognizer(TranscriptionSettings(engine="off"), states) as r:
        assert states.phases == [Phase.OFF]
        with pytest.raises(ModelUnavailable, match="switched off") as caught:
            await r.transcribe(of_length(1), owner="a")
    assert "transcription.engine" in caught.value.remedy


async def test_a_state_is_told_once_however_often_it_is_tried() -> None:
    states, opener = States(), Opener(MISSING, MISSING, MISSING, OpenEngine(LengthEngine()))
    async with Recognizer(TranscriptionSettings(), states, open_engine=opener, retry_seconds=AT_ONCE) as r:
        await states.until(Phase.READY)
        assert r.state is states.seen[-1]
    assert states.phases == [Phase.LOADING, Phase.UNAVAILABLE, Phase.READY]
    assert states.seen[1] == RecognizerState(Phase.UNAVAILABLE, reason="it is not here", remedy="bring it")
    assert opener.fallbacks == [True] * 4


async def test_the_fallback_is_opened_once_and_closed_when_its_time_is_over() -> None:
    states, fallback, wanted = States(), LengthEngine(held=True), LengthEngine()
    opener = Opener(OpenEngine(fallback, MISSING), MISSING, MISSING, OpenEngine(wanted))
    async with Recognizer(TranscriptionSettings(), states, open_engine=opener, retry_seconds=AT_ONCE) as r:
        under_way = await occupied(r, fallback)
        assert not fallback.closed  # not under an utterance
        fallback.go.set()
        assert (await under_way).transcript.text == "1"
        await states.until(Phase.READY)
        assert fallback.closed
        await r.transcribe(of_length(2), owner="a")
    assert (fallback.order, wanted.order) == ([1], [2])
    assert wanted.closed
    assert opener.fallbacks == [True, False, False, False]
    assert states.phases == [Phase.LOADING, Phase.DEGRADED, Phase.READY]


# Turns and bounds


async def test_a_noisy_device_does_not_hold_up_the_others() -> None:
    engine = LengthEngine(held=True)
    async with recognizer(engine) as r:
        tasks = [await occupied(r, engine)]
        tasks += await queued(r, *(("noisy", 100 + i) for i in range(5)), ("b", 20), ("c", 30), ("b", 21))
        engine.go.set()
        await asyncio.gather(*tasks)
    assert engine.order == [1, 100, 20, 30, 101, 21, 102, 103, 104]


async def test_a_full_queue_refuses_and_says_busy_before() -> None:
    engine = LengthEngine(held=True)
    async with recognizer(engine, queue=4) as r:
        tasks = [await occupied(r, engine)]
        tasks += await queued(r, ("a", 2), ("b", 3))
        assert r.load() < BUSY
        tasks += await queued(r, ("c", 4))
        assert r.load() >= BUSY
        tasks += await queued(r, ("d", 5))
        with pytest.raises(QueueFull):
            await r.transcribe(of_length(6), owner="e")
        assert r.waiting == 4
        engine.go.set()
        assert [t.transcript.text for t in await asyncio.gather(*tasks)] == ["1", "2", "3", "4", "5"]
        assert r.load() < BUSY


async def test_a_caller_who_gives_up_leaves_the_queue() -> None:
    engine = LengthEngine(held=True)
    async with recognizer(engine) as r:
        first = await occupied(r, engine)
        second, third = await queued(r, ("a", 2), ("a", 3))
        second.cancel()
        await asyncio.wait([second])
        assert r.waiting == 1
        first.cancel()  # under way: its result is nobody's
        engine.go.set()
        assert (await third).transcript.text == "3"
    assert engine.order == [1, 3]


# Failures


async def test_what_an_utterance_does_to_the_engine_is_its_own_failure() -> None:
    async with recognizer(LengthEngine()) as r:
        with pytest.raises(EngineFailed, match="unlucky"):
            await r.transcribe(of_length(13), owner="a")
        with pytest.raises(EngineFailed, match="ZeroDivisionError: a bug"):
            await r.transcribe(of_length(666), owner="a")
        assert (await r.transcribe(of_length(7), owner="a")).transcript.text == "7"


async def test_a_failure_is_raised_to_its_caller_alone() -> None:
    async with recognizer(LengthEngine()) as r:
        answers = await asyncio.gather(
            *(r.transcribe(of_length(n), owner=str(n)) for n in (13, 5, 666, 6)), return_exceptions=True
        )
    assert [isinstance(answer, EngineFailed) for answer in answers] == [True, False, True, False]


# Deadlines


async def test_a_deadline_without_an_engine_names_what_is_missing() -> None:
    states = States()
    async with Recognizer(TranscriptionSettings(), states, open_engine=Opener(MISSING)) as r:
        await states.until(Phase.UNAVAILABLE)
        with pytest.raises(ModelUnavailable, match="it is not here") as caught:
            await r.transcribe(of_length(1), owner="a", deadline=0.01)
        assert caught.value.remedy == "bring it"
        assert r.waiting == 0


async def test_a_deadline_while_others_are_served() -> None:
    engine = LengthEngine(held=True)
    async with recognizer(engine) as r:
        first = await occupied(r, engine)
        with pytest.raises(WaitedTooLong):
            await r.transcribe(of_length(2), owner="a", deadline=0.01)
        engine.go.set()
        await first
    assert engine.order == [1]


async def test_a_deadline_does_not_stop_what_is_under_way() -> None:
    engine = LengthEngine(held=True)
    async with recognizer(engine) as r:
        task = asyncio.create_task(r.transcribe(of_length(1), owner="a", deadline=0.05))
        assert await asyncio.to_thread(engine.working.wait, SOON)
        with pytest.raises(WaitedTooLong):  # by then the first one's deadline has passed as well
            await r.transcribe(of_length(2), owner="b", deadline=0.05)
        engine.go.set()
        assert (await task).transcript.text == "1"


# The end


async def test_close_finishes_what_waits() -> None:
    engine = LengthEngine(held=True)
    async with recognizer(engine) as r:
        tasks = [await occupied(r, engine), *await queued(r, ("a", 2), ("b", 3))]
        closing = asyncio.create_task(r.close(SOON))
        await asyncio.sleep(0)
        with pytest.raises(RecognizerClosed):
            await r.transcribe(of_length(4), owner="late")
        engine.go.set()
        await closing
        assert [t.result().transcript.text for t in tasks] == ["1", "2", "3"]
        await r.close()
    assert engine.closed


async def test_close_fails_what_it_cannot_finish_in_time() -> None:
    engine = LengthEngine(held=True)
    async with recognizer(engine) as r:
        tasks = [await occupied(r, engine), *await queued(r, ("a", 2), ("b", 3))]
        await r.close(0.01)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(answer) for answer in answers] == [RecognizerClosed] * 3
        assert len({id(answer) for answer in answers}) == 3
        engine.go.set()


async def test_close_does_not_wait_for_a_model_that_is_not_there() -> None:
    states = States()
    async with Recognizer(TranscriptionSettings(), states, open_engine=Opener(MISSING)) as r:
        [task] = await queued(r, ("a", 1))
        await states.until(Phase.UNAVAILABLE)
        await r.close(3600)
        with pytest.raises(RecognizerClosed):
            await task


async def test_an_error_inside_the_block_passes_and_ends_everything_at_once() -> None:
    engine = LengthEngine(held=True)
    tasks = []

    async def fail_inside() -> None:
        async with recognizer(engine) as r:
            tasks.append(await occupied(r, engine))
            raise KeyError

    with pytest.raises(KeyError):
        await fail_inside()
    engine.go.set()
    with pytest.raises(RecognizerClosed):
        await tasks[0]
    assert engine.closed


async def test_a_cancelled_drain_still_ends_everything() -> None:
    engine = LengthEngine(held=True)
    async with recognizer(engine) as r:
        task = await occupied(r, engine)
        closing = asyncio.create_task(r.close(3600))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(RecognizerClosed):
            await task
        engine.go.set()


async def test_what_is_behind_is_done_when_there_is_nothing_else() -> None:
    engine = LengthEngine(held=True)
    async with recognizer(engine) as r:
        first = await occupied(r, engine)
        behind = [
            asyncio.create_task(r.transcribe(of_length(n), owner="file", behind=True)) for n in (20, 21, 22)
        ]
        await asyncio.sleep(0)
        assert (r.waiting, r.load()) == (0, 0.0), "no device need wait for it"
        devices = [asyncio.create_task(r.transcribe(of_length(n), owner="kitchen")) for n in (30, 31)]
        await asyncio.sleep(0)
        behind[1].cancel()
        await asyncio.sleep(0)
        engine.go.set()
        await asyncio.gather(first, *devices, behind[0], behind[2])
    assert engine.order == [1, 30, 31, 20, 22]
