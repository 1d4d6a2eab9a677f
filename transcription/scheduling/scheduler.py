"""The recognizer: brings engine and utterances together, off the event loop, and answers whoever asked."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import structlog

from transcription.errors import (
    EngineDied,
    GivenUp,
    ModelUnavailable,
    QueueFull,
    RecognizerClosed,
    WaitedTooLong,
)
from transcription.names_in_log import names_of
from transcription.priority import Priority
from transcription.recognizing import BUSY, Guessing, Phase, Recognized, RecognizerState
from transcription.scheduling import engines
from transcription.scheduling.batching import transcribe_batch
from transcription.scheduling.drafts import Draft, DraftCounters
from transcription.scheduling.jobs import Guess, Job
from transcription.scheduling.keeper import EngineKeeper, OpenEngineFunction
from transcription.scheduling.waiting import Waiting
from transcription.settings import TranscriptionSettings
from transcription.transcriber import NO_HINTS, Hints, Hurried, Transcriber, Transcript, lanes_of
from transcription.utterance.segmenter import Utterance

log = structlog.get_logger(__name__)

MOST_LANES = 64
"""Of any engine: as many as it may have threads (``settings.threads``)."""


@dataclass(slots=True, eq=False)
class _UnderWay:
    """What is being done on one lane. ``beside``: the engine died while more than this was under way."""

    engine: Transcriber
    batch: list[Job]
    beside: bool = False


class Recognizer:
    """One engine for all devices: ``async with Recognizer(settings) as r: await r.transcribe(...)``.

    The engine is loaded in the background, so utterances are taken at once and wait for it. On each of its lanes it
    does one utterance at a time, or some that wait together, on a thread of its own; what one utterance does to it is
    that utterance's failure only. When its process dies it is loaded again, and the utterances it was at
    are done again, each with the engine to itself where they were several, ``settings.retries`` times. Every call of
    ``transcribe`` ends in a transcript or an error.

    ``on_state`` is called on the event loop with every new state, from ``__aenter__`` on.
    ``retry_seconds``: the first and the longest pause before a missing model is looked for again, or
    an engine started again that died twice and did nothing in between.
    """

    def __init__(
        self,
        settings: TranscriptionSettings,
        on_state: Callable[[RecognizerState], None] = lambda _: None,
        *,
        open_engine: OpenEngineFunction = engines.open_engine,
        retry_seconds: tuple[float, float] = (1.0, 30.0),
    ) -> None:
        self._settings = settings
        self._on_state = on_state
        self._keeper = EngineKeeper(
            settings, self._changed, open_engine=open_engine, retry_seconds=retry_seconds
        )
        self._answers: set[asyncio.Future[Recognized]] = set()
        self._wake = asyncio.Event()
        self._waiting = Waiting(settings, self._wake.set)
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []
        self._working: set[asyncio.Task[None]] = set()
        self._closing = False
        self._under_way: list[_UnderWay] = []
        # Threads that the interpreter waits for at its end, as the keeper's; no more than are at work.
        self._lanes = ThreadPoolExecutor(MOST_LANES, "recognizer")

    @property
    def state(self) -> RecognizerState:
        """How it is now."""
        return self._keeper.state

    @property
    def waiting(self) -> int:
        """Utterances that wait for their turn: ``settings.queue_utterances``, and those that devices keep."""
        return len(self._waiting)

    def load(self, priority: Priority = Priority.NORMAL) -> float:
        """How much of the room for utterances of a class is taken: from ``BUSY`` on devices had better wait."""
        return self._waiting.load(priority)

    @property
    def drafts(self) -> DraftCounters:
        """What became of the looks at speech that went on."""
        return self._waiting.drafts.counters

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._on_state(self.state)
        if self.state.phase is not Phase.OFF:
            self._tasks = [
                self._group.create_task(self._keeper.keep(), name="recognizer: engine"),
                self._group.create_task(self._work(), name="recognizer: queue"),
            ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self.close()
            else:
                await self.close(drain_seconds=0)
        finally:
            await self._group.__aexit__(None, None, None)

    def guess(
        self,
        utterance: Utterance,
        *,
        owner: str,
        hints: Hints = NO_HINTS,
        priority: Priority = Priority.NORMAL,
    ) -> Guess | None:
        """Begin with an utterance that may be over; None when there is no engine or too much to do."""
        self.wake()
        if self._closing or self._keeper.engine is None or self.load(priority) >= BUSY:
            return None
        loop = asyncio.get_running_loop()
        job = Job(owner, utterance, loop.create_future(), loop.time(), hints, ahead=True, priority=priority)
        try:
            self._waiting.put_guess(job)
        except QueueFull:
            return None
        return Guess(job, self._drop)

    def _drop(self, guess: Guess) -> None:
        answer = guess.job.answer
        if not self._waiting.discard_guess(guess.job):
            self._hurry(guess.job)
        if answer.done() and not answer.cancelled():
            answer.exception()  # a failure that nobody wants to know is not an unhandled one
        answer.cancel()

    def _hurry(self, unwanted: Job) -> None:
        """The engine takes no second look at what nobody waits for, so that the next one comes sooner."""
        for work in self._under_way:
            if len(work.batch) == 1 and work.batch[0] is unwanted and isinstance(work.engine, Hurried):
                work.engine.hurry(unwanted.utterance)

    def follow(
        self, *, owner: str, on_text: Callable[[Transcript], None], priority: Priority = Priority.NORMAL
    ) -> Draft:
        """Follow an utterance that goes on: ``on_text`` gets what is made of each ``Draft.ask`` that was in time.

        Of those that wait only the newest is looked at, when there is nothing else to do and no more often
        than ``settings.partials`` allows.
        """
        return Draft(owner, on_text, self._ask, self._waiting.drafts.drop, priority)

    def wake(self) -> None:
        """Somebody has begun to speak: an engine that is asleep is loaded meanwhile."""
        self._keeper.needed()

    def change(self, settings: TranscriptionSettings) -> None:
        """From now on these settings, as far as they are the engine's; utterances wait for none of it.

        ``queue_utterances`` and ``partials`` stay as they were, and so does whether it is switched off.
        """
        self._settings = settings
        self._keeper.change(settings)

    @property
    def verdict(self) -> bool | None:
        """Whether it has the engine that its settings mean; None: that is not known yet."""
        return self._keeper.verdict

    @property
    def counts(self) -> Mapping[str, int]:
        """It asks nobody else."""
        return {}

    def _ask(self, draft: Draft, so_far: Utterance, hints: Hints) -> None:
        if self._closing or self._keeper.engine is None:
            self._waiting.drafts.refuse()
        else:
            self._waiting.ask(draft, so_far, hints)

    async def transcribe(
        self,
        utterance: Utterance,
        *,
        owner: str,
        hints: Hints = NO_HINTS,
        deadline: float | None = None,
        guess: Guessing | None = None,
        kept: bool = False,
        behind: bool = False,
        priority: Priority = Priority.NORMAL,
    ) -> Recognized:
        """See :class:`Recognizing`."""
        if self._closing:
            raise RecognizerClosed("the recognizer is closed")
        if self.state.phase is Phase.OFF:
            raise ModelUnavailable(
                "the recognizer is switched off", remedy="set transcription.engine to auto"
            )
        self.wake()
        loop = asyncio.get_running_loop()
        job = self._guessed(utterance, hints, guess)
        if job is None:
            job = Job(
                owner, utterance, loop.create_future(), loop.time(), hints, behind=behind, priority=priority
            )
            self._waiting.put(job, always=kept)
        self._answers.add(job.answer)
        job.patience = deadline
        job.await_turn(self._expire)
        try:
            return await job.answer
        finally:
            if job.expiry is not None:
                job.expiry.cancel()
            if not self._waiting.discard(job):  # still there, or at work, when the caller was cancelled
                self._hurry(job)
            self._answers.discard(job.answer)

    def _guessed(self, utterance: Utterance, hints: Hints, guess: Guessing | None) -> Job | None:
        """The guess's job, if it is worth waiting for: begun, and not failed. It is dropped otherwise."""
        if guess is None:
            return None
        if not isinstance(guess, Guess):  # another recognizer's
            guess.drop()
            return None
        job = guess.job
        begun = not self._waiting.discard_guess(job)
        failed = job.answer.done() and (job.answer.cancelled() or job.answer.exception() is not None)
        if begun and not failed and guess.fits(utterance, hints):
            job.names = names_of(structlog.contextvars.get_contextvars())
            return job
        guess.drop()
        return None

    async def close(self, drain_seconds: float = 5.0) -> None:
        """Take nothing more, finish what waits within so long, fail the rest. Idempotent.

        An utterance that the engine is at is failed too when the time is up. A process of the engine's
        own is ended at once; the thread of an engine that has none ends later.
        """
        if self._closing:
            return
        self._closing = True
        try:
            if self._answers and self.state.phase is not Phase.UNAVAILABLE:
                await asyncio.wait(self._answers, timeout=drain_seconds)
        finally:
            self._stop()

    def _stop(self) -> None:
        for task in [*self._tasks, *self._working]:
            task.cancel()
        for answer in self._answers:
            if not answer.done():
                answer.set_exception(
                    RecognizerClosed("the recognizer was closed before this was transcribed")
                )
        self._lanes.shutdown(wait=False, cancel_futures=True)
        self._keeper.close()

    def _expire(self, job: Job) -> None:
        if not self._waiting.discard(job) or job.answer.done():
            return
        if self._keeper.engine is not None:
            job.answer.set_exception(WaitedTooLong("too many utterances were before this one"))
            return
        reason = self.state.reason or "the model is still loading"
        job.answer.set_exception(ModelUnavailable(reason, remedy=self.state.remedy or "wait"))

    def _changed(self, state: RecognizerState) -> None:
        self._wake.set()
        self._on_state(state)

    async def _work(self) -> None:
        """Whenever there is an engine with a free lane and an utterance, bring them together."""
        while True:
            await self._wake.wait()
            async with self._keeper.in_use.door:
                work = self._next()
                if work is None:
                    self._wake.clear()
                    continue
                if not work.batch[0].alone:
                    self._begin(work)
                    continue
            await self._do_alone(work)

    def _next(self) -> _UnderWay | None:
        """What is begun now; None: nothing, until it wakes.

        One lane is kept for what somebody waits for: no look begins on the last free one, unless there is only one.
        """
        engine = self._keeper.engine
        if engine is None:
            return None
        lanes = lanes_of(engine)
        free = lanes - len(self._under_way)
        if free < 1:
            return None
        job = self._waiting.take(looks=free > 1 or lanes == 1)
        if job is None:
            return None
        share = math.ceil((1 + len(self._waiting)) / free)
        most = min(share, max(1, self._settings.batch_utterances // lanes))
        return _UnderWay(engine, self._waiting.with_others(job, engine, most))

    def _begin(self, work: _UnderWay) -> asyncio.Task[None]:
        """On a lane of its own."""
        self._under_way.append(work)
        self._keeper.in_use.begin()
        task = self._group.create_task(self._recognize(work), name="recognizer: lane")
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return task

    async def _do_alone(self, work: _UnderWay) -> None:
        """What the engine may have died of has it to itself: so it is known whose fault it is."""
        [job] = work.batch
        async with self._keeper.in_use.alone():
            if job.answer.done():
                return
            if self._keeper.engine is work.engine:
                await self._begin(work)
            else:
                self._waiting.put_back(job)
                job.await_turn(self._expire)

    async def _recognize(self, work: _UnderWay) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        engine, batch = work.engine, work.batch
        try:
            outcomes = await loop.run_in_executor(self._lanes, transcribe_batch, engine, batch)
        except Exception as error:  # noqa: BLE001 - the boundary: one utterance must not stop the others
            self._failed(work, error)
            return
        finally:
            self._under_way.remove(work)
            self._keeper.in_use.end()
            self._wake.set()
        self._keeper.worked()
        seconds = loop.time() - begun
        for job, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Exception):
                job.fail(outcome)
            elif not job.answer.done():
                job.answer.set_result(Recognized(outcome, begun - job.queued_at, seconds, job.ahead))
        self._account(batch, outcomes, begun, seconds)

    def _account(
        self, batch: list[Job], outcomes: list[Transcript | Exception], begun: float, seconds: float
    ) -> None:
        """What drafts learn from it about the engine's speed, and what one took of their time."""
        only = outcomes[0]
        if len(batch) == 1 and isinstance(only, Transcript) and not only.retried:
            self._waiting.drafts.budget.measure(seconds)
        if batch[0].hints.draft:
            self._waiting.drafts.budget.spend(begun, seconds)

    def _failed(self, work: _UnderWay, error: Exception) -> None:
        """Whoever was under way when the engine died may be to blame, on whichever lane."""
        batch, died = work.batch, isinstance(error, EngineDied)
        if died:
            self._keeper.lose(work.engine, str(error))
            for other in self._under_way:
                if other is not work and other.engine is work.engine:
                    work.beside = other.beside = True
        if len(batch) > 1 or work.beside:
            self._do_each_alone(batch, error)
        elif isinstance(error, EngineDied):
            self._do_again(batch[0], error)
        else:
            batch[0].fail(error)

    def _do_each_alone(self, batch: list[Job], error: Exception) -> None:
        """One of them is to blame: each gets its tries by itself. The newest is put back first, as all go in front."""
        for job in reversed(batch):
            job.alone = True
            if job.answer.done():
                continue
            if job.answer not in self._answers:  # a guess or a draft; who has it sees that it failed
                job.answer.set_exception(error)
            else:
                self._waiting.put_back(job)
                job.await_turn(self._expire)

    def _do_again(self, job: Job, error: EngineDied) -> None:
        """Another try for an utterance that somebody waits for, unless it had them all."""
        job.deaths += 1
        if job.answer.done():
            return
        if job.answer not in self._answers:  # a guess or a draft; who has it sees that it failed
            job.answer.set_exception(error)
        elif job.deaths > self._settings.retries:
            log.error(
                "utterance is given up: the engine died of it",
                times=job.deaths,
                owner=job.owner,
                **job.names,
            )
            job.answer.set_exception(GivenUp(job.deaths, error))
        else:
            self._waiting.put_back(job)
            job.await_turn(self._expire)
