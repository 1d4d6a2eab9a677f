"""All that waits for the engine, and what of it is next. It knows no engine, and gives no answer but a look's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from transcription.recognizing import Recognized
from transcription.scheduling.batching import next_batch
from transcription.scheduling.drafts import Draft, Drafts
from transcription.scheduling.fair_queue import FairQueue
from transcription.scheduling.jobs import Job
from transcription.settings import TranscriptionSettings
from transcription.transcriber import Hints, Transcriber
from transcription.utterance.segmenter import Utterance


class Waiting:
    """Finished utterances go first, then guesses, then looks at speech that goes on, then what is done behind all.

    ``wake`` is called when something may be next that was not.
    """

    def __init__(self, settings: TranscriptionSettings, wake: Callable[[], None]) -> None:
        self._finished: FairQueue[Job] = FairQueue(settings.queue_utterances)
        self._guesses: FairQueue[Job] = FairQueue(settings.queue_utterances)
        self._behind: FairQueue[Job] = FairQueue(settings.queue_utterances)
        self.drafts = Drafts(settings.partials, settings.queue_utterances)
        self._wake = wake

    def __len__(self) -> int:
        """How many finished utterances wait."""
        return len(self._finished)

    @property
    def busy(self) -> bool:
        """Whether three quarters of the room for finished utterances are taken."""
        return 4 * len(self._finished) >= 3 * self._finished.capacity

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
        self._guesses.put(job.owner, job)
        self._wake()

    def discard_guess(self, job: Job) -> bool:
        """Take it out; whether it waited."""
        return self._guesses.discard(job.owner, job)

    def ask(self, draft: Draft, so_far: Utterance, hints: Hints) -> None:
        """Have a look at it when there is time, unless there is more important work now."""
        if self._finished:
            self.drafts.refuse()
        elif self.drafts.ask(draft, so_far, hints):
            self._wake()

    def take(self) -> Job | None:
        """What is done now; None: nothing, until it wakes."""
        if waiting := self._finished or self._guesses:
            self.drafts.pass_over()
            return waiting.get()
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
        return next_batch(job, self._finished, engine, most)

    def _queue_of(self, job: Job) -> FairQueue[Job]:
        return self._behind if job.behind else self._finished

    def _looked(self, draft: Draft, answer: asyncio.Future[Recognized]) -> None:
        failed = answer.cancelled() or answer.exception() is not None
        self.drafts.done(draft, None if failed else answer.result().transcript)
