"""Whoever is sooner: the pool or the gateway's own engine, and what the other does when that one is late or gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.broker.base import BrokerUnavailable, MessageBroker, Receipt, RoutingKey
from gateway.broker.opening import MEMORY, open_broker
from gateway.contract.recognition import Failure, RecognitionJob
from gateway.recognizers.pool.recognizer import PooledRecognizer
from gateway.recognizers.pool.standing import Stand
from gateway.settings.broker import BrokerSettings
from tests.gateway.recognizers.pool.pooled import OwnEngine, pooled, until
from tests.gateway.recognizers.pool.workers import MODEL, StandInWorker, spoken
from transcription.errors import EngineFailed, GivenUp, RecognizerClosed
from transcription.priority import Priority
from transcription.recognizing import Phase
from transcription.settings import TranscriptionSettings
from transcription.transcriber import NO_HINTS

SLOW = 1.0
"""Seconds an utterance of a second takes the own engine, as far as it is known here."""
FAST = 0.01


@pytest.fixture
async def broker() -> AsyncIterator[MessageBroker]:
    one = open_broker(MEMORY, BrokerSettings())
    yield one
    await one.close(0.0)


async def never(_worker: StandInWorker, _job: RecognitionJob) -> None:
    """It is taken, and nobody hears of it again."""


def known(recognizer: PooledRecognizer, *, own: float, pool: float | None = None) -> None:
    """So long an utterance of a second takes, as has been measured."""
    now = asyncio.get_running_loop().time()
    for _ in range(5):
        recognizer.sides.own_queue.estimate.pace.measure(1.0, own, now)
        recognizer.sides.own_queue.estimate.forecast.came(own, own, now)
        if pool is not None:
            recognizer.pool.estimate.pace.measure(1.0, pool, now)
            recognizer.pool.estimate.measure_way(0.005, now)
            recognizer.pool.estimate.forecast.came(pool, pool, now)


async def there(recognizer: PooledRecognizer) -> None:
    await until(lambda: recognizer.pool.hands(recognizer.need(NO_HINTS)).capacity > 0)


def first(recognizer: PooledRecognizer, seconds: float = 1.0) -> Stand:
    utterance = spoken(seconds)
    return recognizer.sides.first(utterance, recognizer.need(NO_HINTS), Priority.NORMAL)


# -- who is asked first


async def test_without_recognizers_elsewhere_the_own_engine_does_everything(broker: MessageBroker) -> None:
    async with pooled(broker, OwnEngine()) as recognizer:
        done = await recognizer.transcribe(spoken(), owner="o", deadline=10)
    assert (done.transcript.text, done.worker) == ("by myself", "")


async def test_whoever_is_expected_sooner_is_asked(broker: MessageBroker) -> None:
    engine = OwnEngine()
    async with pooled(broker, engine) as recognizer, StandInWorker(broker).at_work() as worker:
        await there(recognizer)
        known(recognizer, own=SLOW, pool=FAST)
        assert (await recognizer.transcribe(spoken(), owner="o", deadline=10)).worker == "w1"
        assert (engine.done, len(worker.jobs)) == (0, 1)


async def test_and_the_own_engine_where_it_is_the_sooner(broker: MessageBroker) -> None:
    engine = OwnEngine()
    async with pooled(broker, engine) as recognizer, StandInWorker(broker).at_work() as worker:
        await there(recognizer)
        known(recognizer, own=FAST, pool=SLOW)
        assert (await recognizer.transcribe(spoken(), owner="o", deadline=10)).worker == ""
        assert (engine.done, len(worker.jobs)) == (1, 0)


async def test_as_long_as_nothing_is_known_the_own_engine_is_asked_which_has_no_way(
    broker: MessageBroker,
) -> None:
    async with pooled(broker, OwnEngine()) as recognizer, StandInWorker(broker).at_work():
        await there(recognizer)
        assert first(recognizer) is Stand.OWN


async def test_a_queue_here_is_a_reason_to_ask_the_others(broker: MessageBroker) -> None:
    engine = OwnEngine(held=True)
    async with pooled(broker, engine) as recognizer, StandInWorker(broker).at_work():
        await there(recognizer)
        known(recognizer, own=0.3)
        mine = asyncio.create_task(recognizer.transcribe(spoken(), owner="a", deadline=10))
        await until(engine.working.is_set)
        assert (await recognizer.transcribe(spoken(), owner="b", deadline=10)).worker == "w1"
        engine.go.set()
        assert (await mine).worker == ""


async def test_an_engine_that_is_still_loading_leaves_it_to_the_others(broker: MessageBroker) -> None:
    class Loads(OwnEngine):
        def load(self, *_: object) -> None:
            assert self.go.wait(20)

    engine = Loads(held=True)
    async with asyncio.timeout(10), StandInWorker(broker).at_work():
        opened = pooled(broker, engine)
        entering = asyncio.create_task(opened.__aenter__())
        try:
            await asyncio.sleep(0.05)
        finally:
            engine.go.set()
        recognizer = await entering
        try:
            await there(recognizer)
            assert recognizer.own.state.phase is Phase.READY
        finally:
            await opened.__aexit__(None, None, None)


# -- the pool is late, or gone


async def test_when_the_pool_is_late_the_own_engine_does_it_and_whoever_is_first_counts(
    broker: MessageBroker,
) -> None:
    engine = OwnEngine()
    async with pooled(broker, engine) as recognizer, StandInWorker(broker, work=never).at_work() as worker:
        await there(recognizer)
        known(recognizer, own=SLOW, pool=FAST)
        done = await recognizer.transcribe(spoken(), owner="o", deadline=10)
        assert (done.worker, done.transcript.text) == ("", "by myself")
        assert recognizer.sides.counts == {"pool: late": 1}
        assert recognizer.counts == {"pool: late": 1, "sent": 1}
        assert done.queue_seconds >= FAST, "the time that was lost with the pool is waiting"
    assert len(worker.jobs) == 1


async def test_a_late_pool_may_still_be_the_first(broker: MessageBroker) -> None:
    engine = OwnEngine(held=True)

    async def late(worker: StandInWorker, job: RecognitionJob) -> None:
        await asyncio.to_thread(engine.working.wait, 10)
        await worker.tell(job)

    async with pooled(broker, engine) as recognizer, StandInWorker(broker, work=late).at_work():
        await there(recognizer)
        known(recognizer, own=SLOW, pool=FAST)
        assert (await recognizer.transcribe(spoken(), owner="o", deadline=10)).worker == "w1"
        engine.go.set()


async def test_a_pool_that_was_late_is_not_asked_again_at_once_and_is_when_it_answers(
    broker: MessageBroker,
) -> None:
    silent = asyncio.Event()

    async def held(worker: StandInWorker, job: RecognitionJob) -> None:
        await silent.wait()
        await worker.tell(job)

    worker = StandInWorker(broker, work=held, capacity=4)
    async with pooled(broker, OwnEngine()) as recognizer, worker.at_work():
        await there(recognizer)
        known(recognizer, own=0.1, pool=FAST)
        assert (await recognizer.transcribe(spoken(), owner="o", deadline=10)).worker == ""
        assert first(recognizer) is Stand.OWN
        silent.set()
        await until(lambda: recognizer.pool.counts["not wanted any more"] == 1)
        known(recognizer, own=0.1, pool=FAST)
        assert first(recognizer) is Stand.POOL


async def test_when_the_pool_is_gone_the_own_engine_does_it_at_once(broker: MessageBroker) -> None:
    async with (
        pooled(broker, OwnEngine()) as recognizer,
        StandInWorker(broker, work=never).at_work() as worker,
    ):
        await there(recognizer)
        known(recognizer, own=30.0, pool=20.0)
        asked = asyncio.create_task(recognizer.transcribe(spoken(), owner="o", deadline=60))
        await until(lambda: len(worker.jobs) == 1)
        worker.state = "leaving"
        assert (await asked).worker == ""
        assert recognizer.sides.counts == {"pool: pool_failed": 1}


class AwayBroker:
    """A broker that takes no job, and everything else."""

    def __init__(self, real: MessageBroker) -> None:
        self._real = real
        self.away = True
        self.refused = 0

    async def publish(self, topic: str, key: RoutingKey, payload: bytes, **rest: str) -> Receipt:
        if self.away and topic.startswith("recognition.jobs"):
            self.refused += 1
            raise BrokerUnavailable("it is away")
        return await self._real.publish(topic, key, payload, **rest)  # type: ignore[arg-type]

    def subscribe(self, *args: str, **rest: str) -> object:
        return self._real.subscribe(*args, **rest)  # type: ignore[arg-type]


async def test_when_the_broker_is_away_the_own_engine_does_it(broker: MessageBroker) -> None:
    away = AwayBroker(broker)
    async with pooled(away, OwnEngine()) as recognizer, StandInWorker(broker).at_work():  # type: ignore[arg-type]
        await there(recognizer)
        known(recognizer, own=SLOW, pool=FAST)
        assert (await recognizer.transcribe(spoken(), owner="o", deadline=10)).worker == ""


@pytest.mark.slow
async def test_without_an_engine_of_its_own_it_waits_for_the_broker(broker: MessageBroker) -> None:
    away = AwayBroker(broker)
    async with pooled(away) as recognizer, StandInWorker(broker).at_work():  # type: ignore[arg-type]
        asked = asyncio.create_task(recognizer.transcribe(spoken(), owner="o", deadline=20))
        await until(lambda: away.refused > 0)
        away.away = False
        assert (await asked).worker == "w1"


# -- failures


@pytest.mark.parametrize("failure", [Failure.FAILED, Failure.UNAVAILABLE, Failure.NO_AUDIO, Failure.LATE])
async def test_what_the_pool_could_not_do_the_own_engine_does(
    broker: MessageBroker, failure: Failure
) -> None:
    async def fails(worker: StandInWorker, job: RecognitionJob) -> None:
        await worker.tell(job, failure=failure)

    async with (
        pooled(broker, OwnEngine()) as recognizer,
        StandInWorker(broker, work=fails).at_work() as worker,
    ):
        await there(recognizer)
        known(recognizer, own=SLOW, pool=FAST)
        assert (await recognizer.transcribe(spoken(), owner="o", deadline=10)).worker == ""
    assert len(worker.jobs) == 1


async def test_what_engines_die_of_there_is_not_tried_here(broker: MessageBroker) -> None:
    async def dies(worker: StandInWorker, job: RecognitionJob) -> None:
        await worker.tell(job, failure=Failure.POISON)

    engine = OwnEngine()
    async with pooled(broker, engine) as recognizer, StandInWorker(broker, work=dies).at_work():
        await there(recognizer)
        known(recognizer, own=SLOW, pool=FAST)
        with pytest.raises(GivenUp):
            await recognizer.transcribe(spoken(), owner="o", deadline=10)
    assert engine.done == 0


async def test_what_the_own_engine_could_not_do_the_pool_does(broker: MessageBroker) -> None:
    async with pooled(broker, OwnEngine(fails=True)) as recognizer, StandInWorker(broker).at_work():
        await there(recognizer)
        known(recognizer, own=FAST, pool=SLOW)
        assert (await recognizer.transcribe(spoken(), owner="o", deadline=10)).worker == "w1"


async def test_what_nobody_could_do_says_why_the_own_engine_could_not(broker: MessageBroker) -> None:
    async def fails(worker: StandInWorker, job: RecognitionJob) -> None:
        await worker.tell(job, failure=Failure.FAILED)

    worker = StandInWorker(broker, work=fails)
    async with pooled(broker, OwnEngine(fails=True)) as recognizer, worker.at_work():
        await there(recognizer)
        known(recognizer, own=FAST, pool=SLOW)
        with pytest.raises(EngineFailed, match="the own engine is unlucky"):
            await recognizer.transcribe(spoken(), owner="o", deadline=10)


async def test_an_own_engine_that_is_late_is_helped(broker: MessageBroker) -> None:
    engine = OwnEngine(held=True)
    async with pooled(broker, engine) as recognizer, StandInWorker(broker).at_work():
        await there(recognizer)
        known(recognizer, own=FAST, pool=SLOW)
        done = await recognizer.transcribe(spoken(), owner="o", deadline=10)
        engine.go.set()
    assert done.worker == "w1"


async def test_a_full_queue_here_is_not_full_there(broker: MessageBroker) -> None:
    engine = OwnEngine(held=True)
    settings = TranscriptionSettings(model=MODEL, queue_utterances=1)
    async with pooled(broker, engine, settings=settings) as recognizer:
        asked = [asyncio.create_task(recognizer.transcribe(spoken(), owner="a", deadline=20))]
        await until(engine.working.is_set)
        asked.append(asyncio.create_task(recognizer.transcribe(spoken(), owner="b", deadline=20)))
        await until(lambda: recognizer.own.waiting == 1)
        assert recognizer.load() == 0.0, "of whoever has more room"
        async with StandInWorker(broker).at_work():
            await there(recognizer)
            known(recognizer, own=0.001, pool=SLOW)
            assert (await recognizer.transcribe(spoken(), owner="c", deadline=10)).worker == "w1"
        engine.go.set()
        await asyncio.gather(*asked)


# -- guesses and looks


async def test_a_guess_of_the_own_engine_stays_its_own(broker: MessageBroker) -> None:
    engine, utterance = OwnEngine(held=True), spoken()
    async with pooled(broker, engine) as recognizer, StandInWorker(broker).at_work() as worker:
        await there(recognizer)
        known(recognizer, own=0.5, pool=SLOW)
        guess = recognizer.guess(utterance, owner="o")
        assert guess is not None
        await until(engine.working.is_set)
        known(recognizer, own=SLOW, pool=FAST)
        asked = asyncio.create_task(recognizer.transcribe(utterance, owner="o", deadline=10, guess=guess))
        await asyncio.sleep(0)
        engine.go.set()
        done = await asked
    assert (done.worker, done.ahead, engine.done, len(worker.jobs)) == ("", True, 1, 0)


async def test_a_guess_of_the_pools_that_is_late_is_done_here(broker: MessageBroker) -> None:
    utterance = spoken()
    async with (
        pooled(broker, OwnEngine()) as recognizer,
        StandInWorker(broker, work=never).at_work() as worker,
    ):
        await there(recognizer)
        known(recognizer, own=SLOW, pool=FAST)
        guess = recognizer.guess(utterance, owner="o")
        await until(lambda: len(worker.jobs) == 1)
        assert (await recognizer.transcribe(utterance, owner="o", deadline=10, guess=guess)).worker == ""
    assert len(worker.jobs) == 1


async def test_looks_are_the_own_engines_where_it_is_the_sooner(broker: MessageBroker) -> None:
    told: list[str] = []
    async with pooled(broker, OwnEngine()) as recognizer, StandInWorker(broker).at_work() as worker:
        await there(recognizer)
        known(recognizer, own=FAST, pool=SLOW)
        following = recognizer.follow(owner="o", on_text=lambda one: told.append(one.text))
        following.ask(spoken(0.2))
        await until(lambda: told == ["by myself"])
        following.drop()
    assert worker.jobs == []


# -- the end


async def test_both_end_together(broker: MessageBroker) -> None:
    engine = OwnEngine(held=True)
    async with StandInWorker(broker, work=never).at_work() as worker, pooled(broker, engine) as recognizer:
        await there(recognizer)
        known(recognizer, own=SLOW, pool=FAST)
        asked = asyncio.create_task(recognizer.transcribe(spoken(), owner="o", deadline=10))
        await until(lambda: len(worker.jobs) == 1)
        await until(engine.working.is_set)
        await recognizer.close(0.0)
        with pytest.raises(RecognizerClosed):
            await asked


async def test_a_wish_that_is_cancelled_leaves_nothing_behind(broker: MessageBroker) -> None:
    engine = OwnEngine(held=True)
    async with pooled(broker, engine) as recognizer, StandInWorker(broker, work=never).at_work() as worker:
        await there(recognizer)
        known(recognizer, own=SLOW, pool=FAST)
        asked = asyncio.create_task(recognizer.transcribe(spoken(), owner="o", deadline=10))
        await until(lambda: len(worker.jobs) == 1 and engine.working.is_set())
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert recognizer.waiting == 0
        engine.go.set()
