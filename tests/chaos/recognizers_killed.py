"""Recognizers killed in their work while a gateway that has no engine of its own asks them.

Each is a process whose engine only waits; it is started again, as systemd would. There is always one that has time, so
that an utterance takes its work, and where its recognizer died, the lease of that and the work once more.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import numpy as np

from gateway.broker.opening import open_broker
from gateway.contract.messages import new_id
from gateway.contract.recognition import RESULTS_TOPIC, AudioCodec, decode_result
from gateway.process.mishaps import Mishaps
from gateway.recognizers.pool.pool import Pool
from gateway.recognizers.pool.recognizer import PooledRecognizer
from tests.chaos.outcome import Outcome
from tests.gateway.recognizers.worker.processes import WaitingProcess
from tests.gateway.recognizers.worker.works import LEASE_SECONDS, settings
from tests.record import passes
from tests.transcription.speech import utterance
from transcription.recognizing import Phase
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import TranscriptionSettings

WORKERS = 4
SPEAKERS = 2
WORK_SECONDS = 0.3
BETWEEN_SECONDS = (0.2, 1.0)
SHORTEST = 1_600
"""Samples of the first utterance; each is one longer than the one before, and its text says how long it is."""
DEADLINE_SECONDS = 60.0


class Speakers:
    """They speak without a pause, until ``stop``; what came of it is in the outcome."""

    def __init__(self, recognizer: PooledRecognizer, outcome: Outcome, seed: int) -> None:
        self._recognizer = recognizer
        self._outcome = outcome
        self._seed = seed
        self._lengths: Iterator[int] = itertools.count(SHORTEST)
        self.stop = asyncio.Event()
        self.seconds: list[float] = []

    async def speak(self, name: str) -> None:
        """One of them."""
        while not self.stop.is_set():
            await self._say(next(self._lengths), name)

    async def _say(self, samples: int, name: str) -> None:
        outcome, asked = self._outcome, time.monotonic()
        outcome.spoken += 1
        try:
            done = await self._recognizer.transcribe(
                utterance(np.zeros(samples, np.int16)), owner=name, deadline=DEADLINE_SECONDS, kept=True
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, there is no text
            outcome.lost += 1
            outcome.fault(f"seed {self._seed}: {samples} samples are lost: {error!r}")
            return
        self.seconds.append(time.monotonic() - asked)
        if done.transcript.text != f"{samples} None":
            outcome.wrong += 1
            outcome.fault(f"seed {self._seed}: {samples} samples have the text {done.transcript.text!r}")


async def scenario(folder: Path, url: str, outcome: Outcome, *, kills: int, seed: int) -> None:
    """``url``: of a broker that runs."""
    began, chance, model = time.monotonic(), random.Random(seed), new_id("m")[:16]
    workers = [
        WaitingProcess(folder / f"{model}-{number}", url, model, wait=WORK_SECONDS)
        for number in range(WORKERS)
    ]
    async with _gateway(url, model) as recognizer, _results(url) as done:
        try:
            await asyncio.gather(*(asyncio.to_thread(one.start) for one in workers))
            await passes(lambda: recognizer.state.phase is Phase.READY)
            speakers = Speakers(recognizer, outcome, seed)
            speaking = [asyncio.create_task(speakers.speak(f"s{number}")) for number in range(SPEAKERS)]
            for _ in range(kills):
                await asyncio.sleep(chance.uniform(*BETWEEN_SECONDS))
                victim = chance.choice(workers)
                await asyncio.to_thread(victim.kill)
                outcome.times += 1
                await asyncio.to_thread(victim.start)
            speakers.stop.set()
            await asyncio.gather(*speaking)
        finally:
            await asyncio.gather(*(asyncio.to_thread(one.kill) for one in workers))
    _judge(outcome, speakers.seconds, done)
    outcome.seconds += time.monotonic() - began


def _judge(outcome: Outcome, seconds: list[float], done: Counter[str]) -> None:
    outcome.repeated += sum(count - 1 for count in done.values())
    figures = outcome.figures
    died = [one for one in seconds if one > LEASE_SECONDS]
    figures["texts after a death"] = figures.get("texts after a death", 0) + len(died)
    figures["slowest_s"] = max(figures.get("slowest_s", 0.0), round(max(seconds, default=0.0), 2))


@asynccontextmanager
async def _gateway(url: str, model: str) -> AsyncIterator[PooledRecognizer]:
    told = settings(url, client_id="asks")
    broker = open_broker(url, told)
    transcription = TranscriptionSettings(model=model)
    nobody = partial(Recognizer, TranscriptionSettings(engine="off"))
    pool = Pool(broker, told, transcription, AudioCodec.FLAC)
    async with PooledRecognizer(nobody, pool, transcription, model=model, mishaps=Mishaps()) as recognizer:
        yield recognizer
    await broker.close(0.0)


@asynccontextmanager
async def _results(url: str) -> AsyncIterator[Counter[str]]:
    """How many texts there were for each job; the gateway takes one."""
    texts: Counter[str] = Counter()
    broker = open_broker(url, settings(url))

    async def read() -> None:
        async for delivery in subscription:
            result = decode_result(delivery.message.payload)
            texts[result.job_id] += result.transcript is not None
            await delivery.ack()

    async with broker.subscribe(RESULTS_TOPIC) as subscription:
        reading = asyncio.create_task(read())
        try:
            yield texts
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    await broker.close(0.0)
