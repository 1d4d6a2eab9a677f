"""[throughput] Eight devices that speak at once: utterances per second, and how long each waits.

Against wyoming-faster-whisper, RealtimeSTT and WhisperLive with the same model file (the bundled model, inflated to the
size of base), threads and search, one server after the other. Flat out, each device says the next recording as
soon as it has its text, as fast as the audio is taken: that is the most the server can do. In real
time is what eight people would see. Only utterances that had a text count, and to a server that is slow no more is
said after 75 s: its rate is known by then. With OpenAI's own weights of base (``make real``) the devices say a person's
sentences, to a gateway whose context is the default.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle, islice, takewhile
from typing import TypeAlias

from benchmarks.instruments.processes import GatewayProcess, gateway_process
from benchmarks.instruments.report import Bar, Result
from benchmarks.instruments.words import spoken as words
from benchmarks.load.inflate import TOLERATED, inflated_model
from benchmarks.load.sayings import Saying, commands, sentences
from benchmarks.load.speakers import Crowd, spoken_to
from benchmarks.load.speaking import device, say, settings, waits
from benchmarks.peers.environments import PEERS, WYOMING, Load, Speak, those_here, words_about
from tests.real.people import PROMPTS
from tests.real.weights import BASE

SIZE = "base"
THREADS = 2
DEVICES = 8
OURS = "earshot"
REAL = "real base"
TIMES = {WYOMING.name: 6}
"""So many times as many utterances as a peer; of the others it is enough to be ahead."""

MOST_SECONDS = 75.0
PACES = {"flat out": math.inf, "in real time": 1.0}

Crowds: TypeAlias = "dict[tuple[str, str], Crowd]"
"""By who was spoken to, at which pace."""


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
        crowds |= _at_each_pace(OURS, partial(_earshot, gateway, commands(), utterances))
    for peer in PEERS:
        with those_here(load, (peer,)) as (here, missing):
            metrics |= words_about((peer,), missing)
            for name, speak in here.items():
                crowds |= _at_each_pace(name, partial(_peer, speak, commands(), utterances))
    for (who, pace), crowd in crowds.items():
        metrics |= _figures(f"{who}, {pace}", crowd)
    real = _with_real_weights(utterances)
    return Result(metrics | real.metrics, [*_bars(crowds), *real.bars])


def _figures(name: str, crowd: Crowd) -> dict[str, float | int | str]:
    return {
        f"{name}, utterances_per_s": crowd.per_second,
        f"{name}, utterances": len(crowd.heard),
        f"{name}, without a text": crowd.without_text,
        **waits(name, crowd.heard),
        f"{name}, words wrong": crowd.words_wrong,
    }


def _with_real_weights(utterances: int) -> Result:
    """A person's sentences, eight at a time, flat out, with OpenAI's base; ours in its default context."""
    said = sentences(utterances)
    if not (said and BASE.here):
        return Result({"real weights, not measured": BASE.absence if said else PROMPTS.absence}, [])
    load = Load(BASE.place, THREADS, DEVICES)
    with gateway_process(settings(load.model, threads=THREADS, context="auto")) as gateway:
        ours = asyncio.run(_earshot(gateway, said, utterances, math.inf))
    metrics = _figures(f"{REAL}, {OURS}", ours)
    with those_here(load, (WYOMING,)) as (here, missing):
        metrics |= words_about((WYOMING,), missing)
        theirs = [asyncio.run(_peer(speak, said, utterances, math.inf)) for speak in here.values()]
    bars = []
    for crowd in theirs:
        metrics |= _figures(f"{REAL}, {WYOMING.name}", crowd)
        times = ours.per_second / max(crowd.per_second, 0.001)
        above = 100 * (ours.words_wrong / ours.words_said - crowd.words_wrong / crowd.words_said)
        bars += [
            Bar(f"{REAL}: utterances/s, times {WYOMING.name}'s", times, 5, "at least"),
            Bar(f"{REAL}: words wrong above {WYOMING.name}'s", above, 0.5, "at most", "points"),
        ]
    return Result(metrics, bars)


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


async def _earshot(gateway: GatewayProcess, said: Sequence[Saying], utterances: int, speed: float) -> Crowd:
    async with AsyncExitStack() as stack:
        devices = [
            await stack.enter_async_context(device(gateway, f"device{number}", speed=speed))
            for number in range(DEVICES)
        ]
        return await _speak([partial(say, one) for one in devices], said, utterances)


async def _peer(speak: Speak, said: Sequence[Saying], utterances: int, speed: float) -> Crowd:
    return await _speak([partial(speak, speed=speed)] * DEVICES, said, utterances)


async def _speak(crowd: list[Speak], sayings: Sequence[Saying], utterances: int) -> Crowd:
    """After ``MOST_SECONDS`` nothing more is begun; the first round warms up."""
    said = [(words(one.text), one.pcm) for one in sayings]
    await asyncio.gather(*(speak(pcm) for speak, (_, pcm) in zip(crowd, said, strict=False)))
    end = time.perf_counter() + MOST_SECONDS
    return await spoken_to(
        crowd, takewhile(lambda _: time.perf_counter() < end, islice(cycle(said), utterances))
    )
