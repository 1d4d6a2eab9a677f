"""Which utterances are done together, and how one that goes wrong leaves the others alone.

A batch shares the reading of the model's weights, which is most of the work on a small machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import structlog

from transcription.scheduling.jobs import Job
from transcription.transcriber import BatchTranscriber, Task, Transcriber, Transcript

MOST_SECONDS = 30.0
"""Audio in one batch: together no longer than the longest utterance, so that nobody waits much longer."""

TakeIf: TypeAlias = Callable[[Callable[[Job], bool]], Job | None]
"""Takes the next one if it fits; None: it does not, or nothing waits."""


def next_batch(first: Job, take_if: TakeIf, engine: Transcriber, most: int) -> list[Job]:
    """``first`` and those that are next, as far as they go together; at most ``most``.

    None is taken out of its turn, and none makes a more urgent one slower. What the engine died of in a batch goes
    alone.
    """
    batch = [first]
    seconds = first.utterance.seconds
    together = isinstance(engine, BatchTranscriber) and engine.batches and not first.alone
    while together and len(batch) < most:
        room = MOST_SECONDS - seconds
        job = take_if(lambda job: _joins(job, first, room))  # noqa: B023 - called before the next round
        if job is None:
            break
        batch.append(job)
        seconds += job.utterance.seconds
    return batch


def transcribe_batch(engine: Transcriber, batch: Sequence[Job]) -> list[Transcript | Exception]:
    """What became of each; blocks. Raises what one alone raised, and what befell all of them."""
    if len(batch) == 1 or not isinstance(engine, BatchTranscriber):
        return [_transcribe(engine, job) for job in batch]
    return [*engine.transcribe_all([Task(job.utterance, job.hints, job.names) for job in batch])]


def _transcribe(engine: Transcriber, job: Job) -> Transcript:
    with structlog.contextvars.bound_contextvars(**job.names):
        return engine.transcribe(job.utterance, job.hints)


def _joins(job: Job, first: Job, room: float) -> bool:
    alike = job.priority is first.priority and job.hints == first.hints
    return alike and not job.alone and job.utterance.seconds <= room
