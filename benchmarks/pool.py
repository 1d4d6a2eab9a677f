"""[pool] Recognizers on other machines: what the way there costs, and whether many do many times as much.

A gateway's side without an engine asks `earshot recognizer` processes over a real broker. Scaling: their work is a
wait of 300 ms, there is always more to do, and utterances are 4 s of speech. Overhead: the same 4 s by turns through
one real recognizer process, and in this process, with the bundled model: the difference of the times from asking to
text. Two and one: two real recognizers with a thread each, against one local with two threads that does two together,
by turns, with the bundled model inflated to the size of base; there is always more to do. Where all of it is real time
(a busy machine), engines come after those who bring them work, as they do where scheduling is ordinary.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from benchmarks.instruments.report import Bar, Result, percentile, scheduling
from benchmarks.load.inflate import inflated_model
from gateway.broker.opening import open_broker
from gateway.contract.messages import new_id
from gateway.contract.recognition import AudioCodec
from gateway.process.mishaps import Mishaps
from gateway.recognizers.pool.pool import Pool
from gateway.recognizers.pool.recognizer import PooledRecognizer
from gateway.settings.broker import BrokerSettings
from tests.chaos.brokers import BROKERS, running
from tests.gateway.recognizers.worker.processes import RecognizerProcess, WaitingProcess
from tests.transcription.speech import recording, utterance
from transcription.audio import SAMPLE_RATE, Samples
from transcription.recognizing import Recognizing
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import TranscriptionSettings
from transcription.utterance.segmenter import Utterance

WAIT_SECONDS = 0.3
WORKERS = (1, 2, 4, 8, 16)
SCALED_OVER = ("redis", "nats")
OVER = ("redis", "nats", "rabbitmq")
SPEECH_SECONDS = 4
ASKED_FOR_EACH = 4
"""So many utterances wait or are worked at for each recognizer: there is always more to do."""
ASKED_TOGETHER = 16
SECONDS = 6.0
"""For how long work is counted."""
SIZE = "base"
ENGINE = b"transcription.process.worker"
"""What an engine's process runs."""
STARTED_TOGETHER = 4
PATIENCE = 120.0

Metrics: TypeAlias = "dict[str, float | int | str]"


def run(*, quick: bool) -> Result:
    metrics: Metrics = {"scheduling": scheduling()}
    bars: list[Bar] = []
    with tempfile.TemporaryDirectory(prefix="earshot-pool-") as name:
        for kind in SCALED_OVER[: 1 if quick else None]:
            bars += asyncio.run(_scaled(kind, _folder(name, f"scaled-{kind}"), metrics, quick=quick))
        for kind in OVER[: 1 if quick else None]:
            bars += asyncio.run(_overhead(kind, _folder(name, f"way-{kind}"), metrics, 20 if quick else 300))
        bars += asyncio.run(_two_and_one(_folder(name, "two"), metrics, 1 if quick else 6))
    return Result(metrics, bars)


def _folder(parent: str, name: str) -> Path:
    folder = Path(parent, name)
    folder.mkdir()
    return folder


def speech() -> Utterance:
    """Four seconds of it."""
    pieces: list[Samples] = [recording(name) for name in ("u01", "u02", "u03")]
    return utterance(np.concatenate(pieces)[: SPEECH_SECONDS * SAMPLE_RATE])


@asynccontextmanager
async def gateway_side(url: str, settings: TranscriptionSettings) -> AsyncIterator[PooledRecognizer]:
    """As a gateway with ``recognizers.use: only`` has it."""
    broker_settings = BrokerSettings(url=url, client_id="bench-gateway", keep_for_groups=())
    broker = open_broker(url, broker_settings)
    nobody = partial(Recognizer, TranscriptionSettings(engine="off"))
    pool = Pool(broker, broker_settings, settings, AudioCodec.FLAC)
    async with PooledRecognizer(nobody, pool, settings, model="", mishaps=Mishaps()) as recognizer:
        yield recognizer
    await broker.close(0.0)


@asynccontextmanager
async def at_work(recognizer: PooledRecognizer, workers: Sequence[RecognizerProcess]) -> AsyncIterator[None]:
    """They are there, and the gateway's side knows it."""
    try:
        for first in range(0, len(workers), STARTED_TOGETHER):
            some = workers[first : first + STARTED_TOGETHER]
            await asyncio.gather(*(asyncio.to_thread(one.start) for one in some))
        async with asyncio.timeout(PATIENCE):
            while len(recognizer.pool.present) < len(workers):  # noqa: ASYNC110 - they say so each second
                await asyncio.sleep(0.05)
        yield
    finally:
        await asyncio.gather(*(asyncio.to_thread(one.kill) for one in workers))


async def rate(recognizer: Recognizing, said: Utterance, askers: int, seconds: float) -> float:
    """Texts per second, where so many ask again as soon as they have one."""
    loop = asyncio.get_running_loop()
    texts: list[float] = []
    end = asyncio.Event()

    async def ask(owner: str) -> None:
        while not end.is_set():
            await recognizer.transcribe(said, owner=owner, deadline=PATIENCE, kept=True)
            texts.append(loop.time())

    asking = [asyncio.create_task(ask(f"o{number}")) for number in range(askers)]
    while len(texts) < askers:  # noqa: ASYNC110 - it has begun
        await asyncio.sleep(0.01)
    began = texts[-1]
    await asyncio.sleep(seconds)
    end.set()
    await asyncio.gather(*asking)
    during = [at for at in texts if began <= at <= began + seconds]
    return (len(during) - 1) / (during[-1] - during[0])


# -- many


async def _scaled(kind: str, folder: Path, metrics: Metrics, *, quick: bool) -> list[Bar]:
    rates: dict[int, float] = {}
    said = speech()
    with running(BROKERS[kind], folder) as (_, url, _port):
        for count in (1, 4) if quick else WORKERS:
            model = new_id("m")[:16]
            workers = [
                WaitingProcess(folder / f"{model}-{number}", url, model, wait=WAIT_SECONDS)
                for number in range(count)
            ]
            settings = TranscriptionSettings(model=model, queue_utterances=500)
            async with gateway_side(url, settings) as recognizer, at_work(recognizer, workers):
                rates[count] = await rate(recognizer, said, ASKED_FOR_EACH * count, SECONDS)
            metrics[f"{kind}, {count} recognizers, texts_per_s"] = rates[count]
    most = max(rates)
    share = rates[most] / (most * rates[1])
    words = f"{BROKERS[kind].name}: {most} recognizers, as a share of {most} times what one does"
    return [Bar(words, share, 0.9, "at least")]


# -- the way


async def _overhead(kind: str, folder: Path, metrics: Metrics, count: int) -> list[Bar]:
    said, settings = speech(), TranscriptionSettings(model="bundled", language="en")
    there: list[float] = []
    here: list[float] = []
    with running(BROKERS[kind], folder) as (_, url, _port):
        worker = RecognizerProcess(folder / "worker", url)
        async with (
            gateway_side(url, settings) as pooled,
            at_work(pooled, [worker]),
            Recognizer(settings, lambda _: None) as local,
        ):
            for number in range(-10, count):
                for recognizer, times in ((pooled, there), (local, here)):
                    began = time.perf_counter()
                    await recognizer.transcribe(said, owner="o", deadline=PATIENCE, kept=True)
                    if number >= 0:
                        times.append(1000 * (time.perf_counter() - began))
                    await asyncio.sleep(0.02)
    bars = []
    for percent, most in ((50, 15.0), (99, 40.0)):
        pooled_ms, local_ms = percentile(there, percent), percentile(here, percent)
        metrics[f"{kind}, 4 s of speech, p{percent}_ms"] = pooled_ms
        metrics[f"{kind}, 4 s of speech, recognized here, p{percent}_ms"] = local_ms
        words = f"{BROKERS[kind].name}: 4 s of speech, p{percent} above local recognition"
        bars.append(Bar(words, pooled_ms - local_ms, most, "at most", "ms"))
    return bars


# -- two and one


async def _two_and_one(folder: Path, metrics: Metrics, rounds: int) -> list[Bar]:
    said, model = speech(), str(inflated_model(SIZE))
    two: list[float] = []
    one: list[float] = []
    settings = TranscriptionSettings(model=model, language="en", queue_utterances=100, threads=2)
    with running(BROKERS["redis"], folder) as (_, url, _port):
        workers = [
            RecognizerProcess(folder / f"worker{number}", url, model=model, threads=1) for number in range(2)
        ]
        async with (
            gateway_side(url, settings) as pooled,
            at_work(pooled, workers),
            Recognizer(settings, lambda _: None) as local,
        ):
            _engines_come_last()
            for _ in range(rounds):
                two.append(await rate(pooled, said, ASKED_TOGETHER, SECONDS))
                one.append(await rate(local, said, ASKED_TOGETHER, SECONDS))
    metrics["two recognizers with a thread each, texts_per_s"] = statistics.median(two)
    metrics["one local recognizer with two threads, texts_per_s"] = statistics.median(one)
    share = statistics.median(there / here for there, here in zip(two, one, strict=True))
    return [Bar("two recognizers, as a share of one local with two threads", share, 0.95, "at least")]


def _engines_come_last() -> None:
    """A thread that computes would keep a core from those of its own priority for a tenth of a second."""
    policy = os.sched_getscheduler(0)
    if policy == os.SCHED_OTHER:
        return
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if ENGINE in (folder / "cmdline").read_bytes().split(b"\0") and _is_ours(int(folder.name)):
                for thread in (folder / "task").iterdir():
                    os.sched_setscheduler(int(thread.name), policy, os.sched_param(1))


def _is_ours(process: int) -> bool:
    """Whether this process is an ancestor of that one."""
    while process > 1 and process != os.getpid():
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return process == os.getpid()
