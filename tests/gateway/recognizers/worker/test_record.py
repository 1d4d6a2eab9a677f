"""What a worker tells of itself: how busy it is, how long work waits, how fast it is."""

from __future__ import annotations

import pytest

from gateway.contract.recognition import decode_worker, encode_recognition
from gateway.recognizers.worker.record import REMEMBERED, WorkRecord, is_able
from transcription.recognizing import Phase, RecognizerState
from transcription.transcriber import Where


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def record(clock: Clock) -> WorkRecord:
    return WorkRecord(clock)


def test_nothing_to_do_is_nothing_waiting(record: WorkRecord, clock: Clock) -> None:
    clock.now += 10
    assert (record.busy, record.oldest_seconds, record.queue_age, record.utilization) == (0, 0.0, 0.0, 0.0)
    assert record.seconds_per_job == 0.0


def test_the_oldest_counts_from_when_it_was_asked(record: WorkRecord, clock: Clock) -> None:
    record.begin("first", 2.0)
    clock.now += 1.0
    record.begin("second", 0.5)
    clock.now += 1.0
    assert (record.busy, record.oldest_seconds, record.queue_age) == (2, 4.0, 0.5)
    record.end("first", 2.0)
    assert (record.busy, record.oldest_seconds) == (1, 1.5)
    record.end("second", None)
    assert (record.busy, record.oldest_seconds, record.queue_age) == (0, 0.0, 0.0)
    record.end("second", 1.0)
    assert (record.seconds_per_job, record.seconds) == (2.0, 2.0), (
        "an end is told once, what never began took no time"
    )


def test_how_fast_it_is_is_of_late_and_in_the_middle(record: WorkRecord) -> None:
    for seconds in (50.0, 1.0, 2.0, 3.0):
        record.begin(seconds, 0.0)
        record.end(seconds, seconds)
    assert record.seconds_per_job == 2.5
    for number in range(REMEMBERED):
        record.begin(number, 0.0)
        record.end(number, 0.3)
    assert record.seconds_per_job == 0.3


def test_utilization_is_of_the_last_minute(record: WorkRecord, clock: Clock) -> None:
    record.begin("a", 0.0)
    clock.now += 5.0
    assert record.utilization == 1.0
    record.end("a", 5.0)
    clock.now += 5.0
    assert record.utilization == pytest.approx(0.5)
    clock.now += 52.0  # of the spell the first two seconds are out of sight
    assert record.utilization == pytest.approx(3.0 / 60.0)
    record.begin("b", 0.0)
    clock.now += 30.0
    assert record.utilization == pytest.approx(30.0 / 60.0)
    clock.now += 90.0
    assert record.utilization == 1.0


@pytest.mark.parametrize("phase", Phase)
def test_only_the_engine_that_is_wanted_is_one(phase: Phase) -> None:
    assert is_able(RecognizerState(phase)) == (phase in {Phase.READY, Phase.ASLEEP, Phase.WAKING})


def test_presence_says_it_all(record: WorkRecord) -> None:
    state = RecognizerState(
        Phase.READY, "faster-whisper", "base", languages=("en", "de"), where=Where(gpu="cuda:0, float16")
    )
    record.done, record.failed = 5, 1
    record.begin("a", 1.0)
    told = record.presence("w-1", state, "base", 4, able=True, leaving=False, version="0.1")
    assert decode_worker(encode_recognition(told)) == told
    assert (told.worker, told.state, told.model, told.engine) == ("w-1", "here", "base", "faster-whisper")
    assert (told.languages, told.where, told.version) == (("en", "de"), "cuda:0, float16", "0.1")
    assert (told.capacity, told.busy, told.oldest_seconds, told.done, told.failed) == (4, 1, 1.0, 5, 1)
    many = RecognizerState(Phase.LOADING, languages=tuple(f"l{number}" for number in range(500)))
    loading = record.presence("w-1", many, "base", 4, able=False, leaving=False, version="")
    assert (loading.state, len(loading.languages), loading.where) == ("loading", 200, "cpu")
    assert record.presence("w-1", state, "base", 4, able=True, leaving=True, version="").state == "leaving"
