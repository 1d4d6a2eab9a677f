"""[throughput] Eight devices that speak at once: utterances per second, and how long each waits.

Against wyoming-faster-whisper, RealtimeSTT and WhisperLive with the same model file (the bundled model, inflated to the
size of base), threads and search, one server after the other. Flat out, each device says the next recording as
soon as it has its text, as fast as the audio is taken: that is the most the server can do. In real
time is what eight people would see. Only utterances that had a text count, and to a server that is slow no more is
said after 75 s: its rate is known by then.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from itertools import chain, cycle, islice, takewhile
from typing import TypeAlias

from msgspec import Struct

from benchmarks.instruments.processes import GatewayProcess, gateway_process
from benchmarks.instruments.report import Bar, Result, percentile
from benchmarks.instruments.words import word_errors, words
from benchmarks.load.inflate import TOLERATED, inflated_model
from benchmarks.load.speaking import Heard, device, say, settings, waits
from benchmarks.peers.environments import PEERS, WYOMING, Load, Speak, those_here, words_about
from firmware_bridge.speech_files import read_wav, recordings

SIZE = "base"
THREADS = 2
DEVICES = 8
OURS = "earshot"
TIMES = {WYOMING.name: 6}
"""So many times as many utterances as a peer; of the others it is enough to be ahead."""

MOST_SECONDS = 75.0
PACES = {"flat out": math.inf, "in real time": 1.0}

Said: TypeAlias = tuple[list[str], bytes]
"""The words, and their PCM16."""

Crowds: TypeAlias = "dict[tuple[str, str], Crowd]"
"""By who was spoken to, at which pace."""


class Crowd(Struct, frozen=True):
    """What a crowd heard, and how long that took in all."""

    heard: list[Heard]
    seconds: float
    words_wrong: int

    @property
    def without_text(self) -> int:
        """Utterances of which nothing was heard."""
        return sum(not one.text for one in self.heard)

    @property
    def per_second(self) -> float:
        """Utterances per second, of those that had a text."""
        return (len(self.heard) - self.without_text) / self.seconds

    @property
    def longest_by_median(self) -> float:
        """The longest wait, in medians."""
        times = [one.wait_ms for one in self.heard]
        return max(times) / percentile(times, 50)


def run(*, quick: bool) -> Result:
    utterances = DEVICES * (1 if quick else 10)
    load = Load(inflated_model(SIZE), THREADS, DEVICES)
    metrics: dict[str, float | int | str] = {
        "devices": DEVICES,
        "utterances": utterances,
        "model_size": SIZE,
        "threads": THREADS,
    }
    crowds: Crowds = {}
    with gateway_process(settings(load.model, threads=THREADS, context=TOLERATED)) as gateway:
        crowds |= _at_each_pace(OURS, partial(_earshot, gateway, utterances))
    for peer in PEERS:
        with those_here(load, (peer,)) as (here, missing):
            metrics |= words_about((peer,), missing)
            for name, speak in here.items():
                crowds |= _at_each_pace(name, partial(_peer, speak, utterances))
    for (who, pace), crowd in crowds.items():
        metrics[f"{who}, {pace}, utterances_per_s"] = crowd.per_second
        metrics[f"{who}, {pace}, utterances"] = len(crowd.heard)
        metrics[f"{who}, {pace}, without a text"] = crowd.without_text
        metrics |= waits(f"{who}, {pace}", crowd.heard)
        metrics[f"{who}, {pace}, words wrong"] = crowd.words_wrong
    return Result(metrics, _bars(crowds))


def _at_each_pace(who: str, crowd: Callable[[float], Awaitable[Crowd]]) -> Crowds:
    async def at(speed: float) -> Crowd:
        return await crowd(speed)

    return {(who, pace): asyncio.run(at(speed)) for pace, speed in PACES.items()}


def _bars(crowds: Crowds) -> list[Bar]:
    ours = crowds[OURS, "flat out"]
    bars = []
    for (who, pace), theirs in crowds.items():
        if who != OURS and pace == "flat out":
            times = ours.per_second / max(theirs.per_second, 0.001)
            bars.append(Bar(f"utterances/s, times {who}'s", times, TIMES.get(who, 1), "at least"))
    return [*bars, Bar("longest wait of any device, in medians", ours.longest_by_median, 2, "at most")]


async def _earshot(gateway: GatewayProcess, utterances: int, speed: float) -> Crowd:
    async with AsyncExitStack() as stack:
        devices = [
            await stack.enter_async_context(device(gateway, f"device{number}", speed=speed))
            for number in range(DEVICES)
        ]
        return await _speak([partial(say, one) for one in devices], utterances)


async def _peer(speak: Speak, utterances: int, speed: float) -> Crowd:
    return await _speak([partial(speak, speed=speed)] * DEVICES, utterances)


async def _speak(crowd: list[Speak], utterances: int) -> Crowd:
    """Share the utterances out, to whoever is done with the last one; the first round warms up.

    After ``MOST_SECONDS`` nothing more is begun.
    """
    said = [(words(recording.text), read_wav(recording.path)) for recording in recordings()]
    await asyncio.gather(*(speak(pcm) for speak, (_, pcm) in zip(crowd, said, strict=False)))
    began = time.perf_counter()
    waiting = takewhile(lambda _: time.perf_counter() < began + MOST_SECONDS, islice(cycle(said), utterances))
    answers = await asyncio.gather(*(_say_next(speak, waiting) for speak in crowd))
    seconds = time.perf_counter() - began
    pairs = list(chain.from_iterable(answers))
    wrong = sum(word_errors(expected, words(heard.text)) for expected, heard in pairs)
    return Crowd([heard for _, heard in pairs], seconds, wrong)


async def _say_next(speak: Speak, waiting: Iterator[Said]) -> list[tuple[list[str], Heard]]:
    return [(expected, await speak(pcm)) for expected, pcm in waiting]
