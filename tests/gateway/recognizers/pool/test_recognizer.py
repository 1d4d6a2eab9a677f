"""Utterances through the pool, to recognizers that do with them what the test says: nobody else is there."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest

from gateway.broker.base import BrokerStatus, MessageBroker, RoutingKey
from gateway.broker.opening import MEMORY, open_broker
from gateway.contract.recognition import (
    RESULTS_TOPIC,
    WORKERS_TOPIC,
    Failure,
    RecognitionJob,
    RecognitionResult,
    ResultText,
    Urgency,
    encode_recognition,
)
from gateway.recognizers.audio_codec import decoded
from gateway.recognizers.pool.jobs import AWAY
from gateway.settings.broker import BrokerSettings
from tests.gateway.recognizers.pool.pooled import pooled, until
from tests.gateway.recognizers.pool.workers import MODEL, StandInWorker, spoken
from transcription.errors import (
    EngineFailed,
    GivenUp,
    ModelUnavailable,
    QueueFull,
    RecognizerClosed,
    WaitedTooLong,
)
from transcription.priority import Priority
from transcription.recognizing import Phase, Recognized, RecognizerState
from transcription.settings import TranscriptionSettings
from transcription.transcriber import Hints, Transcript


@pytest.fixture
async def broker() -> AsyncIterator[MessageBroker]:
    one = open_broker(MEMORY, BrokerSettings())
    yield one
    await one.close(0.0)


def _given(worker: StandInWorker, jobs: int) -> bool:
    return len(worker.jobs) == jobs


class Held:
    """Work that waits until it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, worker: StandInWorker, job: RecognitionJob) -> None:
        await self.go.wait()
        await worker.tell(job)


async def never(_worker: StandInWorker, _job: RecognitionJob) -> None:
    """It is taken, and nobody hears of it again."""


def failing(failure: Failure) -> object:
    async def work(worker: StandInWorker, job: RecognitionJob) -> None:
        await worker.tell(job, failure=failure)

    return work


# -- the way there and back


async def test_an_utterance_is_done_by_a_recognizer_elsewhere_and_who_is_said(broker: MessageBroker) -> None:
    utterance = spoken(1.0)
    async with pooled(broker) as recognizer, StandInWorker(broker).at_work() as worker:
        hints = Hints(prompt="so", names=("Ada",), language="de")
        done = await recognizer.transcribe(utterance, owner="kitchen", hints=hints, deadline=10)
    assert (done.transcript.text, done.worker) == ("16000 kitchen", "w1")
    [job] = worker.jobs
    assert (job.urgency, job.model, job.gateway) == (Urgency.FINAL, MODEL, "gate")
    assert (job.hints.prompt, job.hints.names, job.hints.language) == ("so", ("Ada",), "de")
    assert (decoded(job.audio, job.codec, job.samples) == utterance.samples).all()


async def test_what_is_said_of_an_utterance_comes_with_it(broker: MessageBroker) -> None:
    utterance = replace(spoken(0.5, start=4_000), gaps=2, lost_samples=320, peak_probability=0.9, clipped=7)
    async with pooled(broker) as recognizer, StandInWorker(broker).at_work() as worker:
        await recognizer.transcribe(utterance, owner="o", deadline=10, priority=Priority.URGENT)
    [job] = worker.jobs
    assert (job.start, job.speech_end, job.samples) == (4_000, 12_000, 8_000)
    assert (job.gaps, job.lost_samples, job.peak_probability, job.clipped) == (2, 320, 0.9, 7)
    assert (job.owner, job.priority, job.end_reason) == ("o", "urgent", "silence")
    assert 0 < job.seconds <= 10


async def test_another_model_than_the_gateways_may_be_wanted(broker: MessageBroker) -> None:
    async with (
        pooled(broker, model="large") as recognizer,
        StandInWorker(broker, "w2").at_work(),
        StandInWorker(broker, "w1", model="large").at_work(),
    ):
        assert (await recognizer.transcribe(spoken(), owner="o", deadline=10)).worker == "w1"


async def test_a_recording_is_a_job_of_its_own_class_and_nobody_is_impatient(broker: MessageBroker) -> None:
    async with pooled(broker) as recognizer, StandInWorker(broker).at_work() as worker:
        await recognizer.transcribe(spoken(), owner="o", behind=True, kept=True)
    assert [(job.urgency, job.seconds) for job in worker.jobs] == [(Urgency.FILE, 86_400.0)]


# -- nobody is there


async def test_without_a_recognizer_it_waits_for_one_as_for_a_model(broker: MessageBroker) -> None:
    async with pooled(broker) as recognizer:
        asked = asyncio.create_task(recognizer.transcribe(spoken(), owner="o", deadline=20))
        await until(lambda: recognizer.waiting == 1)
        async with StandInWorker(broker).at_work():
            assert (await asked).worker == "w1"


async def test_when_none_comes_it_says_what_to_do(broker: MessageBroker) -> None:
    async with pooled(broker) as recognizer:
        with pytest.raises(ModelUnavailable, match="no recognizer is there") as caught:
            await recognizer.transcribe(spoken(), owner="o", deadline=0.05)
    assert "earshot recognizer" in caught.value.remedy
    assert MODEL in caught.value.remedy


@pytest.mark.slow
async def test_where_the_broker_is_away_that_is_told_and_not_that_recognizers_are_missing(
    broker: MessageBroker,
) -> None:
    statuses = [BrokerStatus(connected=False, reason="it was switched off", remedy="switch it on")]
    told: list[tuple[str, str, str]] = []
    async with pooled(
        broker, on_pool=lambda *said: told.append(said), status=lambda: statuses[-1]
    ) as recognizer:
        with pytest.raises(ModelUnavailable, match="the broker is away") as caught:
            await recognizer.transcribe(spoken(), owner="o", deadline=0.05)
        assert caught.value.remedy == "switch it on"
        await until(lambda: bool(told))
        assert told[-1] == ("", AWAY, "switch it on")
        assert (recognizer.state.reason, recognizer.state.remedy) == told[-1][1:]
        statuses.append(BrokerStatus(connected=True))
        await until(lambda: told[-1][1] == "no recognizer is there")
        assert "earshot recognizer" in recognizer.state.remedy


async def test_what_the_others_have_is_said(broker: MessageBroker) -> None:
    async with pooled(broker) as recognizer, StandInWorker(broker, model="small").at_work():
        await until(lambda: len(recognizer.pool.present) == 1)
        with pytest.raises(ModelUnavailable, match=r"no recognizer has base; there is small \(1\)"):
            await recognizer.transcribe(spoken(), owner="o", deadline=0.05)


async def test_who_does_not_know_the_language_is_not_asked_and_does_not_hold_up_the_others(
    broker: MessageBroker,
) -> None:
    async with pooled(broker) as recognizer, StandInWorker(broker, languages=("en",)).at_work() as worker:
        await until(lambda: len(recognizer.pool.present) == 1)
        german = asyncio.create_task(
            recognizer.transcribe(spoken(2.0), owner="o", hints=Hints(language="de"), deadline=0.5)
        )
        await until(lambda: recognizer.waiting == 1)
        assert (await recognizer.transcribe(spoken(1.0), owner="o", deadline=10)).worker == "w1"
        with pytest.raises(ModelUnavailable, match="knows the language de"):
            await german
    assert len(worker.jobs) == 1


async def test_a_full_queue_refuses_but_not_what_a_device_keeps(broker: MessageBroker) -> None:
    settings = TranscriptionSettings(model=MODEL, queue_utterances=2)
    async with pooled(broker, settings=settings) as recognizer:
        waiting = [
            asyncio.create_task(recognizer.transcribe(spoken(), owner=f"o{number}", deadline=20))
            for number in range(2)
        ]
        await until(lambda: recognizer.waiting == 2)
        assert recognizer.load() == 1.0
        assert recognizer.load(Priority.URGENT) == 0.0, "each class has room of its own"
        with pytest.raises(QueueFull):
            await recognizer.transcribe(spoken(), owner="o9", deadline=20)
        kept = asyncio.create_task(recognizer.transcribe(spoken(), owner="o9", deadline=20, kept=True))
        async with StandInWorker(broker).at_work():
            assert {one.worker for one in await asyncio.gather(*waiting, kept)} == {"w1"}


# -- whose turn it is


async def test_owners_take_turns_and_who_is_urgent_goes_first(broker: MessageBroker) -> None:
    turns = asyncio.Semaphore(0)

    async def in_turn(worker: StandInWorker, job: RecognitionJob) -> None:
        await turns.acquire()
        await worker.tell(job)

    async with pooled(broker) as recognizer, StandInWorker(broker, work=in_turn).at_work() as worker:
        await until(lambda: recognizer.state.phase is Phase.READY)
        asked = []

        async def ask(owner: str, priority: Priority = Priority.NORMAL) -> None:
            before = recognizer.waiting + len(worker.jobs)
            asked.append(
                asyncio.create_task(
                    recognizer.transcribe(spoken(0.2), owner=owner, deadline=20, priority=priority)
                )
            )
            await until(lambda: recognizer.waiting + len(worker.jobs) > before)

        for owner in ("a", "a", "a", "a", "b"):
            await ask(owner)
        await ask("c", Priority.URGENT)
        for _ in asked:
            expected = min(len(worker.jobs) + 1, 6)
            turns.release()
            await until(partial(_given, worker, expected))
        await asyncio.gather(*asked)
    assert [job.owner for job in worker.jobs] == ["a", "a", "c", "a", "b", "a"]


async def test_only_so_much_is_sent_ahead(broker: MessageBroker) -> None:
    held = Held()
    async with pooled(broker) as recognizer, StandInWorker(broker, work=held, capacity=2).at_work() as worker:
        await until(lambda: recognizer.state.phase is Phase.READY)
        asked = [
            asyncio.create_task(recognizer.transcribe(spoken(0.2), owner=f"o{n}", deadline=20))
            for n in range(10)
        ]
        await until(lambda: len(worker.jobs) == 4)
        assert recognizer.waiting == 6
        held.go.set()
        await asyncio.gather(*asked)
    assert len(worker.jobs) == 10


# -- what goes wrong elsewhere


@pytest.mark.parametrize(
    ("failure", "error"),
    [(Failure.FAILED, EngineFailed), (Failure.POISON, GivenUp), (Failure.LATE, WaitedTooLong)],
)
async def test_a_failure_is_what_it_would_be_here(
    broker: MessageBroker, failure: Failure, error: type[Exception]
) -> None:
    worker = StandInWorker(broker, work=failing(failure))  # type: ignore[arg-type]
    async with pooled(broker) as recognizer, worker.at_work():
        with pytest.raises(error):
            await recognizer.transcribe(spoken(), owner="o", deadline=10)
    assert len(worker.jobs) == 1


@pytest.mark.parametrize("failure", [Failure.UNAVAILABLE, Failure.NO_AUDIO])
async def test_what_one_recognizer_lacks_another_may_have(broker: MessageBroker, failure: Failure) -> None:
    async def once(worker: StandInWorker, job: RecognitionJob) -> None:
        await worker.tell(job, failure=failure if len(worker.jobs) == 1 else None)

    async with pooled(broker) as recognizer, StandInWorker(broker, work=once).at_work() as worker:
        assert (await recognizer.transcribe(spoken(), owner="o", deadline=10)).worker == "w1"
    assert len({job.job_id for job in worker.jobs}) == 2


async def test_but_not_for_ever(broker: MessageBroker) -> None:
    worker = StandInWorker(broker, work=failing(Failure.UNAVAILABLE))  # type: ignore[arg-type]
    async with pooled(broker) as recognizer, worker.at_work():
        with pytest.raises(ModelUnavailable):
            await recognizer.transcribe(spoken(), owner="o", deadline=10)
    assert len(worker.jobs) == 3


async def test_a_result_that_never_comes_is_not_waited_for_longer_than_an_engine_may_take(
    broker: MessageBroker,
) -> None:
    settings = TranscriptionSettings(model=MODEL, hang_seconds=0.1)
    async with pooled(broker, settings=settings) as recognizer, StandInWorker(broker, work=never).at_work():
        with pytest.raises(WaitedTooLong, match="no recognizer has answered"):
            await recognizer.transcribe(spoken(0.1), owner="o", deadline=0.3)


@pytest.mark.slow
async def test_what_a_broker_without_leases_has_lost_is_asked_for_again(broker: MessageBroker) -> None:
    async def once(worker: StandInWorker, job: RecognitionJob) -> None:
        if len(worker.jobs) > 1:
            await worker.tell(job)

    settings = TranscriptionSettings(model=MODEL, hang_seconds=0.1)
    async with (
        pooled(broker, settings=settings) as recognizer,
        StandInWorker(broker, work=once, seconds_per_job=0.01).at_work() as worker,
    ):
        done = await recognizer.transcribe(spoken(0.1), owner="o", deadline=30)
    assert (done.worker, len(worker.jobs)) == ("w1", 2)


async def test_what_the_dead_had_is_done_by_who_comes_and_not_when_their_leases_are_over(
    broker: MessageBroker,
) -> None:
    async with pooled(broker) as recognizer:
        async with StandInWorker(broker, "w1", work=never, capacity=4).at_work() as dead:
            await until(lambda: recognizer.state.phase is Phase.READY)
            asked = [
                asyncio.create_task(recognizer.transcribe(spoken(0.1), owner=str(number), deadline=60))
                for number in range(4)
            ]
            await until(lambda: _given(dead, 4))
        async with StandInWorker(broker, "w2").at_work() as heir:
            done = await asyncio.wait_for(asyncio.gather(*asked), 15)
            assert {one.worker for one in done} == {"w2"}
            assert [one.transcript.text for one in done] == [f"1600 {number}" for number in range(4)]
            await until(lambda: _given(heir, 4))
            for job in dead.jobs:  # it was not dead
                await dead.tell(job)
            await until(lambda: recognizer.pool.counts["not wanted any more"] == 4)
            late = await recognizer.transcribe(spoken(0.2), owner="a", deadline=10)
            assert late.worker == "w2"
    assert recognizer.pool.counts["asked again, for all were gone"] == 4
    assert recognizer.pool.counts["texts"] == 5


async def test_one_that_was_only_silent_for_a_while_is_asked_once_again_and_no_more(
    broker: MessageBroker,
) -> None:
    held = Held()
    async with (
        pooled(broker) as recognizer,
        StandInWorker(broker, "w1", work=held, capacity=2).at_work() as worker,
    ):
        await until(lambda: recognizer.state.phase is Phase.READY)
        asked = asyncio.create_task(recognizer.transcribe(spoken(0.1), owner="a", deadline=60))
        await until(lambda: _given(worker, 1))
        for _ in range(2):
            worker.silent = True
            await until(lambda: not recognizer.pool.present)
            worker.silent = False
            await until(lambda: bool(recognizer.pool.present))
        await until(lambda: _given(worker, 2))
        held.go.set()
        assert (await asked).worker == "w1"
        await until(lambda: recognizer.pool.counts["not wanted any more"] == 1)
    assert len(worker.jobs) == 2


async def test_a_result_that_comes_twice_is_taken_once(broker: MessageBroker) -> None:
    async def twice(worker: StandInWorker, job: RecognitionJob) -> None:
        await worker.tell(job, "first")
        await worker.tell(job, "second")

    async with pooled(broker) as recognizer, StandInWorker(broker, work=twice).at_work():
        assert (await recognizer.transcribe(spoken(), owner="o", deadline=10)).transcript.text == "first"
        await until(lambda: recognizer.pool.counts["twice"] == 1)


async def test_results_come_in_any_order(broker: MessageBroker) -> None:
    late: list[RecognitionJob] = []

    async def backwards(worker: StandInWorker, job: RecognitionJob) -> None:
        late.append(job)
        if len(late) == 3:
            for one in reversed(late):
                await worker.tell(one)

    async with pooled(broker) as recognizer, StandInWorker(broker, work=backwards, capacity=3).at_work():
        lengths = (0.1, 0.2, 0.3)
        done = await asyncio.gather(
            *(recognizer.transcribe(spoken(n), owner="o", deadline=10) for n in lengths)
        )
    assert [one.transcript.text for one in done] == ["1600 o", "3200 o", "4800 o"]


async def test_what_nobody_waits_for_any_more_is_ignored_but_its_recognizer_is_at_it(
    broker: MessageBroker,
) -> None:
    held = Held()
    async with pooled(broker) as recognizer, StandInWorker(broker, work=held).at_work() as worker:
        asked = asyncio.create_task(recognizer.transcribe(spoken(), owner="o", deadline=20))
        await until(lambda: len(worker.jobs) == 1)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert recognizer.pool.free(recognizer.need(Hints())) == 0
        held.go.set()
        await until(lambda: recognizer.pool.counts["not wanted any more"] == 1)
        await until(lambda: recognizer.pool.free(recognizer.need(Hints())) == 1)


# -- what nobody should say


async def test_garbage_and_forgeries_are_refused_and_counted(broker: MessageBroker) -> None:
    async def hostile(worker: StandInWorker, job: RecognitionJob) -> None:
        await worker.publish(job, b"\xff\x00 no result")
        other = RecognitionResult(job_id="j_of_somebody_else", worker=worker.name)
        await worker.publish(job, encode_recognition(other))
        await broker.publish(
            RESULTS_TOPIC,
            RoutingKey("pool", job.gateway, "j_unknown"),
            encode_recognition(RecognitionResult(job_id="j_unknown", worker=worker.name)),
        )
        await worker.tell(job, "the right one")

    async with pooled(broker) as recognizer, StandInWorker(broker, work=hostile).at_work():
        done = await recognizer.transcribe(spoken(), owner="o", deadline=10)
        assert done.transcript.text == "the right one"
        assert [recognizer.pool.counts[name] for name in ("garbage", "forged", "unknown")] == [1, 1, 1]


async def test_a_recognizer_that_never_said_that_it_is_there_is_not_believed(broker: MessageBroker) -> None:
    async def forged(worker: StandInWorker, job: RecognitionJob) -> None:
        await worker.tell(job, "by a stranger", worker="stranger")
        await worker.tell(job, "by itself")

    async with pooled(broker) as recognizer, StandInWorker(broker, work=forged).at_work():
        done = await recognizer.transcribe(spoken(), owner="o", deadline=10)
    assert done.transcript.text == "by itself"


async def test_one_that_has_just_come_is_believed_as_soon_as_it_says_so(broker: MessageBroker) -> None:
    late = StandInWorker(broker, "late")

    async def by_another(worker: StandInWorker, job: RecognitionJob) -> None:
        await worker.tell(job, worker="late")
        await asyncio.sleep(0.05)
        await late.say()

    async with pooled(broker) as recognizer, StandInWorker(broker, work=by_another).at_work():
        assert (await recognizer.transcribe(spoken(), owner="o", deadline=10)).worker == "late"


async def test_presence_that_is_none_or_somebody_elses_is_refused(broker: MessageBroker) -> None:
    async with pooled(broker) as recognizer, StandInWorker(broker).at_work() as worker:
        await until(lambda: len(recognizer.pool.present) == 1)
        await broker.publish(WORKERS_TOPIC, RoutingKey("pool", "w9", "presence"), b"not msgpack at all")
        forged = StandInWorker(broker, "w9")
        key = RoutingKey("pool", "w1", "presence")
        real, forged_key = broker.publish, key

        class Bent:
            async def publish(self, topic: str, _key: RoutingKey, payload: bytes, **rest: str) -> object:
                return await real(topic, forged_key, payload, **rest)

        forged.broker = Bent()  # type: ignore[assignment]
        await forged.say()
        await until(lambda: recognizer.pool.counts["forged"] + recognizer.pool.counts["garbage"] == 2)
        assert [one.worker for one in recognizer.pool.present] == [worker.name]


async def test_numbers_that_are_none_come_to_nothing(broker: MessageBroker) -> None:
    async def absurd(worker: StandInWorker, job: RecognitionJob) -> None:
        said = ResultText(
            text="so", language="en", confidence=math.nan, no_speech_probability=math.inf,
            seconds=-1.0, language_probability=7.0, context_frames=-5, names_told=-1,
        )  # fmt: skip
        result = RecognitionResult(
            job_id=job.job_id, worker=worker.name, transcript=said, recognize_seconds=math.inf
        )
        await worker.publish(job, encode_recognition(result))

    async with pooled(broker) as recognizer, StandInWorker(broker, work=absurd).at_work():
        done = await recognizer.transcribe(spoken(), owner="o", deadline=10)
        expected = recognizer.pool.expect(4.0, recognizer.need(Hints()))
    transcript = done.transcript
    assert (transcript.confidence, transcript.no_speech_probability, transcript.seconds) == (0.0, 0.0, 0.0)
    assert (transcript.language_probability, transcript.context_frames, transcript.names_told) == (1.0, 0, 0)
    assert done.recognize_seconds == 0.0
    assert expected is not None
    assert math.isfinite(expected)


# -- guesses and looks


async def test_a_guess_that_fits_becomes_the_text_without_a_second_job(broker: MessageBroker) -> None:
    utterance = spoken(1.0)
    async with pooled(broker) as recognizer, StandInWorker(broker).at_work() as worker:
        await until(lambda: recognizer.state.phase is Phase.READY)
        guess = recognizer.guess(utterance, owner="o")
        assert guess is not None
        told: list[Transcript] = []
        guess.tell(told.append)
        await until(lambda: len(worker.jobs) == 1)
        whole = replace(utterance, end=utterance.end + 8_000)
        done = await recognizer.transcribe(whole, owner="o", deadline=10, guess=guess)
    assert (done.ahead, done.worker, [one.text for one in told]) == (True, "w1", ["16000 o"])
    assert [job.urgency for job in worker.jobs] == [Urgency.GUESS]


async def test_a_guess_after_which_more_was_said_is_dropped(broker: MessageBroker) -> None:
    async with pooled(broker) as recognizer, StandInWorker(broker, capacity=2).at_work() as worker:
        await until(lambda: recognizer.state.phase is Phase.READY)
        guess = recognizer.guess(spoken(1.0), owner="o")
        await until(lambda: len(worker.jobs) == 1)
        done = await recognizer.transcribe(spoken(2.0), owner="o", deadline=10, guess=guess)
    assert (done.transcript.text, done.ahead) == ("32000 o", False)
    assert sorted(job.urgency for job in worker.jobs) == [Urgency.FINAL, Urgency.GUESS]


async def test_a_guess_that_failed_is_no_failure_of_the_utterance(broker: MessageBroker) -> None:
    async def guesses_fail(worker: StandInWorker, job: RecognitionJob) -> None:
        await worker.tell(job, failure=Failure.FAILED if job.urgency is Urgency.GUESS else None)

    utterance = spoken(1.0)
    async with pooled(broker) as recognizer, StandInWorker(broker, work=guesses_fail).at_work():
        await until(lambda: recognizer.state.phase is Phase.READY)
        guess = recognizer.guess(utterance, owner="o")
        await until(lambda: recognizer.pool.counts["failed: failed"] == 1)
        await asyncio.sleep(0)
        done = await recognizer.transcribe(utterance, owner="o", deadline=10, guess=guess)
    assert done.transcript.text == "16000 o"


async def test_a_guess_that_is_dropped_at_once_is_no_job(broker: MessageBroker) -> None:
    async with pooled(broker) as recognizer, StandInWorker(broker, capacity=2).at_work() as worker:
        await until(lambda: recognizer.state.phase is Phase.READY)
        guess = recognizer.guess(spoken(1.0), owner="o")
        assert guess is not None
        guess.drop()
        guess.drop()
        await recognizer.transcribe(spoken(2.0), owner="o", deadline=10)
        await until(lambda: recognizer.pool.free(recognizer.need(Hints())) == 2)
    assert [job.urgency for job in worker.jobs] == [Urgency.FINAL]


async def test_nobody_guesses_where_everybody_is_busy(broker: MessageBroker) -> None:
    held = Held()
    async with pooled(broker) as recognizer, StandInWorker(broker, work=held).at_work() as worker:
        assert recognizer.guess(spoken(), owner="o") is None, "nobody is there yet"
        asked = asyncio.create_task(recognizer.transcribe(spoken(), owner="o", deadline=20))
        await until(lambda: len(worker.jobs) == 1)
        assert recognizer.guess(spoken(), owner="o") is None
        held.go.set()
        await asked


async def test_a_guess_that_is_late_is_sent_again_as_what_it_is(broker: MessageBroker) -> None:
    async def guesses_wait(worker: StandInWorker, job: RecognitionJob) -> None:
        if job.urgency is not Urgency.GUESS:
            await worker.tell(job)

    utterance = spoken(0.2)
    worker = StandInWorker(broker, work=guesses_wait, capacity=2, seconds_per_job=0.01)
    async with pooled(broker) as recognizer, worker.at_work():
        await until(lambda: recognizer.state.phase is Phase.READY)
        guess = recognizer.guess(utterance, owner="o")
        await until(lambda: len(worker.jobs) == 1)
        done = await recognizer.transcribe(utterance, owner="o", deadline=20, guess=guess)
    assert done.worker == "w1"
    assert [job.urgency for job in worker.jobs] == [Urgency.GUESS, Urgency.FINAL]


async def test_speech_that_goes_on_is_looked_at_and_only_the_newest(broker: MessageBroker) -> None:
    held, told = Held(), []

    def tell(transcript: Transcript) -> None:
        told.append(transcript.text)

    worker = StandInWorker(broker, work=held, capacity=2, seconds_per_job=0.05)
    async with pooled(broker) as recognizer, worker.at_work():
        await until(lambda: recognizer.state.phase is Phase.READY)
        following = recognizer.follow(owner="o", on_text=tell)
        for seconds in (0.1, 0.2, 0.3):
            following.ask(spoken(seconds))
        await until(lambda: len(worker.jobs) == 1)
        held.go.set()
        await until(lambda: len(told) == 2)
        following.drop()
        following.ask(spoken(0.4))
    assert told == ["1600 o", "4800 o"]
    assert {(job.urgency, job.hints.draft) for job in worker.jobs} == {(Urgency.PARTIAL, True)}


async def test_nobody_looks_where_a_final_text_would_have_to_wait_too_long(broker: MessageBroker) -> None:
    worker = StandInWorker(broker, capacity=1, seconds_per_job=0.5)
    async with pooled(broker) as recognizer, worker.at_work():
        await until(lambda: recognizer.state.phase is Phase.READY)
        recognizer.follow(owner="o", on_text=lambda _: None).ask(spoken(0.1))
        await recognizer.transcribe(spoken(0.2), owner="o", deadline=10)
    assert [job.urgency for job in worker.jobs] == [Urgency.FINAL]


# -- how it is


async def test_how_it_is_and_who_is_there_is_told(broker: MessageBroker) -> None:
    states: list[RecognizerState] = []
    told: list[tuple[str, str, str]] = []
    async with pooled(broker, on_state=states.append, on_pool=lambda *said: told.append(said)) as recognizer:
        assert (recognizer.state.phase, recognizer.verdict) == (Phase.LOADING, None)
        async with StandInWorker(broker, languages=("de", "en")).at_work() as worker:
            await until(lambda: recognizer.state.phase is Phase.READY)
            assert (recognizer.verdict, recognizer.state.languages) == (True, ("de", "en"))
            worker.state = "leaving"
            await until(lambda: recognizer.state.phase is not Phase.READY)
    assert [state.phase for state in states[:2]] == [Phase.LOADING, Phase.READY]
    assert ("1 with base", "", "") in told


@pytest.mark.slow
async def test_where_nobody_comes_that_is_told_with_what_helps(broker: MessageBroker) -> None:
    told: list[tuple[str, str, str]] = []
    async with pooled(broker, on_pool=lambda *said: told.append(said)) as recognizer:
        await until(lambda: recognizer.state.phase is Phase.UNAVAILABLE)
        assert recognizer.verdict is False
        assert recognizer.state.reason == "no recognizer is there"
        await until(lambda: bool(told))
    there, reason, remedy = told[-1]
    assert (there, reason) == ("", "no recognizer is there")
    assert "earshot recognizer" in remedy


async def test_another_model_is_wanted_from_now_on(broker: MessageBroker) -> None:
    async with pooled(broker) as recognizer, StandInWorker(broker, model="small").at_work():
        await until(lambda: len(recognizer.pool.present) == 1)
        recognizer.change(TranscriptionSettings(model="small"))
        assert recognizer.state.phase is Phase.READY
        assert (await recognizer.transcribe(spoken(), owner="o", deadline=10)).transcript.model == "small"


# -- the end


async def test_what_is_asked_for_is_finished_before_it_ends(broker: MessageBroker) -> None:
    held = Held()
    async with StandInWorker(broker, work=held).at_work() as worker:
        async with pooled(broker) as recognizer:
            asked = asyncio.create_task(recognizer.transcribe(spoken(), owner="o", deadline=20))
            await until(lambda: len(worker.jobs) == 1)
            closing = asyncio.create_task(recognizer.close(10.0))
            await asyncio.sleep(0)
            with pytest.raises(RecognizerClosed):
                await recognizer.transcribe(spoken(), owner="o", deadline=20)
            assert recognizer.guess(spoken(), owner="o") is None
            held.go.set()
            await closing
        assert (await asked).worker == "w1"


async def test_what_is_not_done_by_then_is_the_next_gateways(broker: MessageBroker) -> None:
    async with StandInWorker(broker, work=never).at_work() as worker, pooled(broker) as recognizer:
        asked = asyncio.create_task(recognizer.transcribe(spoken(), owner="o", deadline=20))
        await until(lambda: len(worker.jobs) == 1)
        await recognizer.close(0.0)
        with pytest.raises(RecognizerClosed):
            await asked


async def test_the_result_of_a_gateway_before_this_one_is_nobodys(broker: MessageBroker) -> None:
    held = Held()
    async with StandInWorker(broker, work=held, capacity=2).at_work() as worker:
        async with pooled(broker) as before:
            asked = asyncio.create_task(before.transcribe(spoken(1.0), owner="o", deadline=20))
            await until(lambda: len(worker.jobs) == 1)
            await before.close(0.0)
            with pytest.raises(RecognizerClosed):
                await asked
        async with pooled(broker) as after:
            again = asyncio.create_task(after.transcribe(spoken(1.0), owner="o", deadline=20, kept=True))
            await until(lambda: len(worker.jobs) == 2)
            held.go.set()
            done: Recognized = await again
            await until(lambda: after.pool.counts["unknown"] == 1)
    assert done.transcript.text == "16000 o"
