"""All that waits for the engine, and what of it is next. It knows no engine, and gives no answer but a look's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from transcription.priority import Precedence, Priority
from transcription.recognizing import Recognized
from transcription.scheduling.batching import next_batch
from transcription.scheduling.class_queues import ClassQueues
from transcription.scheduling.drafts import Draft, Drafts
from transcription.scheduling.fair_queue import FairQueue
from transcription.scheduling.jobs import Job
from transcription.settings import TranscriptionSettings
from transcription.transcriber import Hints, Transcriber
from transcription.utterance.segmenter import Utterance


class Waiting:
    """Finished utterances go first, then guesses, then looks at speech that goes on, then what is done behind all.

    Finished utterances and guesses of a more urgent class go before those of another; of looks, and of what is
    behind, too, an urgent one is next. Each class has at least one turn in ten.

    ``wake`` is called when something may be next that was not.
    """

    def __init__(self, settings: TranscriptionSettings, wake: Callable[[], None]) -> None:
        self._finished: ClassQueues[Job] = ClassQueues(settings.queue_utterances)
        self._guesses: ClassQueues[Job] = ClassQueues(settings.queue_utterances)
        self._behind: ClassQueues[Job] = ClassQueues(settings.queue_utterances)
        self._precedence = Precedence()
        self.drafts = Drafts(settings.partials, settings.queue_utterances)
        self._wake = wake

    def __len__(self) -> int:
        """How many finished utterances wait."""
        return len(self._finished)

    def load(self, priority: Priority) -> float:
        """How much of the room for finished utterances of a class is taken: 1.0 is all of it."""
        queue = self._finished.of[priority]
        return len(queue) / queue.capacity

    def put(self, job: Job, *, always: bool = False) -> None:
        """Raises QueueFull, unless it is to be taken ``always``."""
        self._queue_of(job).put(job.owner, job, always=always)
        self._wake()

    def put_back(self, job: Job) -> None:
        """Return what was taken: it is its owner's next."""
        self._queue_of(job).put_back(job.owner, job)

    def discard(self, job: Job) -> bool:
        """Take it out; whether it waited."""
        return self._queue_of(job).discard(job.owner, job)

    def put_guess(self, job: Job) -> None:
        """Raises QueueFull."""
        self._guesses.of[job.priority].put(job.owner, job)
        self._wake()

    def discard_guess(self, job: Job) -> bool:
        """Take it out; whether it waited."""
        return self._guesses.of[job.priority].discard(job.owner, job)

    def ask(self, draft: Draft, so_far: Utterance, hints: Hints) -> None:
        """Have a look at it when there is time, unless there is more important work now."""
        if self._finished:
            self.drafts.refuse()
        elif self.drafts.ask(draft, so_far, hints):
            self._wake()

    def take(self, *, looks: bool = True) -> Job | None:
        """What is done now; None: nothing, until it wakes. ``looks``: a look may be, or what is behind all."""
        if classes := self._classes:
            self.drafts.pass_over()
            turn = self._precedence.take(classes)
            return (self._finished.of[turn] or self._guesses.of[turn]).get()
        return self._take_a_look() if looks else None

    def _take_a_look(self) -> Job | None:
        """Nobody waits for anything: a look at speech that goes on, or else what is behind all."""
        loop = asyncio.get_running_loop()
        taken = self.drafts.take(loop.time())
        if taken is None:
            if self.drafts and loop.time() < self.drafts.budget.free_at:
                loop.call_at(self.drafts.budget.free_at, self._wake)
            return self._behind.get() if self._behind else None
        draft, so_far = taken
        job = Job(draft.owner, so_far, loop.create_future(), loop.time(), draft.hints, ahead=True)
        job.answer.add_done_callback(partial(self._looked, draft))
        return job

    def with_others(self, job: Job, engine: Transcriber, most: int) -> list[Job]:
        """A finished utterance, and those next in the queue that can be done together with it."""
        if job.ahead or job.behind:
            return [job]
        return next_batch(job, self._take_if, engine, most)

    def _take_if(self, fits: Callable[[Job], bool]) -> Job | None:
        """What is next, if it is a finished utterance that fits."""
        if not (classes := self._classes):
            return None
        job = self._finished.of[self._precedence.next(classes)].get_if(fits)
        if job is not None:
            self._precedence.take(classes)
        return job

    @property
    def _classes(self) -> set[Priority]:
        """Whose finished utterances or guesses wait."""
        return self._finished.classes | self._guesses.classes

    def _queue_of(self, job: Job) -> FairQueue[Job]:
        return (self._behind if job.behind else self._finished).of[job.priority]

    def _looked(self, draft: Draft, answer: asyncio.Future[Recognized]) -> None:
        failed = answer.cancelled() or answer.exception() is not None
        self.drafts.done(draft, None if failed else answer.result().transcript)
