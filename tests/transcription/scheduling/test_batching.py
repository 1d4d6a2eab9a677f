"""Utterances that are done together: the same words, and each its own failure."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from tests.transcription.speech import TEXTS, recording, utterance
from transcription.errors import EngineDied, EngineFailed, GivenUp
from transcription.process.process import ProcessTranscriber
from transcription.scheduling.batching import MOST_SECONDS, next_batch
from transcription.scheduling.engines import OpenEngine
from transcription.scheduling.fair_queue import FairQueue
from transcription.scheduling.jobs import Job
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import TranscriptionSettings
from transcription.transcriber import NO_HINTS, BatchTranscriber, Hints, OnProgress, Task, Transcript, untold
from transcription.utterance.segmenter import Utterance
from transcription.whisper.decoding import Take
from transcription.whisper.engine import WhisperTranscriber
from transcription.whisper.guards import Hypothesis

SECOND = 16_000
FAIL, KILL = 13, 14
"""Lengths, in samples, of what goes wrong."""


class Batching(BatchTranscriber):
    """Answers with the length; remembers what it was given together. Held until it is let go."""

    engine, model, batches = "batching", "none", True

    def __init__(self) -> None:
        self.given: list[list[int]] = []
        self.working = threading.Event()
        self.go = threading.Event()

    def load(self, on_progress: OnProgress = untold) -> None: ...

    def close(self) -> None: ...

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        [outcome] = self.transcribe_all([Task(utterance, hints)])
        if isinstance(outcome, EngineFailed):
            raise outcome
        return outcome

    def transcribe_all(self, tasks: Sequence[Task]) -> list[Transcript | EngineFailed]:
        self.working.set()
        assert self.go.wait(10)
        lengths = [len(task.utterance.samples) for task in tasks]
        self.given.append(lengths)
        if KILL in lengths:
            raise EngineDied("it fell")
        return [EngineFailed("unlucky") if length == FAIL else self._said(length) for length in lengths]

    def _said(self, length: int) -> Transcript:
        return Transcript(str(length), "en", 1.0, 0.0, (), self.engine, self.model, 0.0)


def of_length(samples: int) -> Utterance:
    return utterance(np.zeros(samples, np.int16))


async def done_together(
    *lengths: int, hints: Sequence[Hints] = (), **settings: int
) -> tuple[list[list[int]], list[object]]:
    """What the engine was given after a first one (of length 1) had kept it busy, and what became of each."""
    engine = Batching()
    recognizer = Recognizer(
        TranscriptionSettings(**settings),  # type: ignore[arg-type]
        open_engine=lambda _settings, **_options: OpenEngine(engine),
        retry_seconds=(0.001, 0.002),
    )
    async with recognizer as r:
        first = asyncio.create_task(r.transcribe(of_length(1), owner="first"))
        await asyncio.to_thread(engine.working.wait, 10)
        each = [*hints, *[NO_HINTS] * (len(lengths) - len(hints))]
        calls = [
            asyncio.create_task(r.transcribe(of_length(length), owner=str(number), hints=hint))
            for number, (length, hint) in enumerate(zip(lengths, each, strict=True))
        ]
        while r.waiting < len(lengths):  # noqa: ASYNC110 - a look at each turn of the loop, not a wait
            await asyncio.sleep(0)
        engine.go.set()
        outcomes = await asyncio.gather(first, *calls, return_exceptions=True)
    said = [one if isinstance(one, BaseException) else one.transcript.text for one in outcomes[1:]]
    return engine.given[1:], said


async def test_what_waits_together_is_done_together_up_to_the_bound() -> None:
    assert await done_together(20, 21, 22, 23, 24, batch_utterances=3) == (
        [[20, 21, 22], [23, 24]],
        ["20", "21", "22", "23", "24"],
    )


async def test_a_bound_of_one_is_no_batch() -> None:
    assert (await done_together(20, 21, batch_utterances=1))[0] == [[20], [21]]


async def test_other_hints_are_another_batch_and_nobody_is_passed_over() -> None:
    hints = [NO_HINTS, NO_HINTS, Hints(prompt="so"), NO_HINTS]
    assert (await done_together(20, 21, 22, 23, hints=hints))[0] == [[20, 21], [22], [23]]


async def test_the_failure_of_one_is_not_the_others() -> None:
    given, said = await done_together(20, FAIL, 21)
    assert given == [[20, FAIL, 21]]
    assert (said[0], said[2]) == ("20", "21")
    assert isinstance(said[1], EngineFailed)


async def test_after_a_batch_that_killed_the_engine_each_is_done_alone_and_the_poison_is_found() -> None:
    given, said = await done_together(20, KILL, 21, retries=1)
    assert given[0] == [20, KILL, 21]
    assert all(len(batch) == 1 for batch in given[1:])
    assert (given[1:].count([KILL]), given[1:].count([20]), given[1:].count([21])) == (2, 1, 1)
    assert (said[0], said[2]) == ("20", "21")
    assert isinstance(said[1], GivenUp)


def job(seconds: float, *, alone: bool = False) -> Job:
    answer = asyncio.get_running_loop().create_future()
    return Job("a", of_length(int(seconds * SECOND)), answer, 0.0, alone=alone)


@pytest.mark.parametrize(
    ("first", "others", "together"),
    [
        (10, [10, 10, 1], 3),
        (28, [5, 1], 1),
        (MOST_SECONDS, [0], 2),
        (1, [1] * 20, 16),
    ],
)
async def test_how_much_audio_is_done_together(first: float, others: list[float], together: int) -> None:
    queue: FairQueue[Job] = FairQueue(60)
    for number, seconds in enumerate(others):
        queue.put(str(number), job(seconds))
    assert len(next_batch(job(first), queue.get_if, Batching(), 16)) == together
    assert len(queue) == len(others) + 1 - together


async def test_what_the_engine_died_of_in_a_batch_goes_alone() -> None:
    queue: FairQueue[Job] = FairQueue(9)
    for number, alone in enumerate([False, True, False]):
        queue.put(str(number), job(1, alone=alone))
    assert next_batch(one := job(1, alone=True), queue.get_if, Batching(), 16) == [one]
    assert len(next_batch(job(1), queue.get_if, Batching(), 16)) == 2


async def test_an_engine_that_gains_nothing_is_given_one_at_a_time() -> None:
    queue: FairQueue[Job] = FairQueue(2)
    queue.put("b", job(1))
    engine = Batching()
    engine.batches = False  # type: ignore[misc]
    assert len(next_batch(job(1), queue.get_if, engine, 16)) == 1


# The real model


@pytest.fixture(scope="module")
def whisper() -> WhisperTranscriber:
    engine = WhisperTranscriber(TranscriptionSettings(context=100))
    engine.load()
    return engine


@pytest.mark.parametrize("size", [4, pytest.param(16, marks=pytest.mark.slow)])
def test_the_words_are_those_of_each_alone(whisper: WhisperTranscriber, size: int) -> None:
    names = sorted(TEXTS)
    for start in range(0, len(names), size):
        some = names[start : start + size]
        outcomes = whisper.transcribe_all([Task(utterance(recording(name))) for name in some])
        assert [one.text for one in outcomes if isinstance(one, Transcript)] == [TEXTS[name] for name in some]


def test_a_batch_of_one_says_all_that_one_alone_says(whisper: WhisperTranscriber) -> None:
    one = Task(utterance(recording("u05")), Hints(word_timestamps=True))
    [together] = whisper.transcribe_all([one])
    assert isinstance(together, Transcript)
    alone = whisper.transcribe(one.utterance, one.hints)
    assert replace(together, seconds=0) == replace(alone, seconds=0)


@pytest.mark.slow
def test_silence_failure_doubt_and_word_times_in_one_batch(whisper: WhisperTranscriber) -> None:
    silence = utterance(np.zeros(SECOND, np.int16), has_speech=False, peak_probability=0.0)
    timed = Hints(word_timestamps=True)
    outcomes = whisper.transcribe_all(
        [
            Task(utterance(recording("u05"))),
            Task(silence),
            Task(utterance(recording("u06")), Hints(language="de")),
            Task(utterance(recording("u22"))),
            Task(utterance(recording("u05")), timed),
            Task(utterance(np.zeros((2, 3, 4), np.int16))),
        ]
    )
    first, hush, german, digits, words, odd = outcomes
    assert isinstance(first, Transcript)
    assert first.text == TEXTS["u05"]
    assert isinstance(hush, Transcript)
    assert hush.text == ""
    assert isinstance(german, EngineFailed)
    assert isinstance(digits, Transcript)
    assert (digits.text, digits.retried) == ("three six seven six one six", True)
    assert isinstance(words, Transcript)
    assert [word.word for word in words.words] == TEXTS["u05"].split()
    assert isinstance(odd, EngineFailed)


def test_a_batch_that_fails_as_a_whole_is_done_one_by_one(
    whisper: WhisperTranscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = whisper._decoder
    assert decoder is not None
    decode_all = decoder.decode_all

    def spoiled(takes: Sequence[object]) -> object:
        if len(takes) > 1:
            raise RuntimeError("out of memory")
        return decode_all(takes)  # type: ignore[arg-type]

    monkeypatch.setattr(decoder, "decode_all", spoiled)
    names = ["u05", "u21"]
    outcomes = whisper.transcribe_all([Task(utterance(recording(name))) for name in names])
    assert [one.text for one in outcomes if isinstance(one, Transcript)] == [TEXTS[name] for name in names]


@pytest.fixture
def two_at_once() -> Iterator[WhisperTranscriber]:
    engine = WhisperTranscriber(TranscriptionSettings(threads=2, context=100))
    engine.load()
    yield engine
    engine.close()


def test_two_lanes_work_at_the_same_time(
    two_at_once: WhisperTranscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = two_at_once._decoder
    assert decoder is not None
    decode_all, met = decoder.decode_all, threading.Barrier(2, timeout=60)

    def noted(takes: Sequence[Take]) -> list[Hypothesis]:
        met.wait()
        return decode_all(takes)

    monkeypatch.setattr(decoder, "decode_all", noted)
    pairs = [["u03", "u07"], ["u09", "u20"]]
    assert two_at_once.lanes == 2
    with ThreadPoolExecutor(2) as lanes:
        each = [[Task(utterance(recording(name))) for name in names] for names in pairs]
        outcomes = [*lanes.map(two_at_once.transcribe_all, each)]
    said = [[one.text for one in pair if isinstance(one, Transcript)] for pair in outcomes]
    assert said == [[TEXTS[name] for name in names] for names in pairs]
    assert not met.broken


def test_what_the_engine_dies_of_in_a_batch_is_told(
    two_at_once: WhisperTranscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = two_at_once._decoder
    assert decoder is not None
    decode_all = decoder.decode_all

    def spoiled(takes: Sequence[Take]) -> list[Hypothesis]:
        if any(take.frames > 250 for take in takes):
            raise RuntimeError("CUDA failed with error an illegal memory access was encountered")
        return decode_all(takes)

    monkeypatch.setattr(decoder, "decode_all", spoiled)
    with pytest.raises(EngineDied, match="illegal memory access"):
        two_at_once.transcribe_all([Task(utterance(recording(name))) for name in ("u05", "u06")])
    [alive] = two_at_once.transcribe_all([Task(utterance(recording("u05")))])
    assert isinstance(alive, Transcript)


@pytest.mark.slow
def test_a_batch_goes_to_the_process_and_back() -> None:
    engine = ProcessTranscriber(WhisperTranscriber, TranscriptionSettings())
    assert not engine.batches
    with pytest.raises(EngineFailed, match="not loaded"):
        engine.transcribe_all([])
    engine.load()
    try:
        assert engine.batches
        tasks = [Task(utterance(recording("u05"))), Task(utterance(recording("u06")), Hints(language="de"))]
        one, other = engine.transcribe_all(tasks)
        assert isinstance(one, Transcript)
        assert one.text == TEXTS["u05"]
        assert isinstance(other, EngineFailed)
        assert "does not know the language 'de'" in str(other)
    finally:
        engine.close()
