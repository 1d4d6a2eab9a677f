"""[processes] One recognizer's process with a worker a core, against a process for each core.

The same utterances of a person, eight speakers at a time, in turns: what is done in a second, what it takes of memory,
and how long a further process takes until it is of use. Real weights of base and tiny.en (``make real``), else the
bundled ones.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import psutil

from benchmarks.instruments.report import Bar, Result
from benchmarks.load.sayings import commands, sentences
from tests.real.weights import BASE, TINY_EN
from tests.transcription.speech import utterance
from transcription.audio import from_pcm16
from transcription.recognizing import Phase, RecognizerState
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import TranscriptionSettings
from transcription.utterance.segmenter import Utterance

CORES = 2
SPEAKERS = 8
EACH, QUICK_EACH = 8, 2
"""Utterances of each speaker in a turn."""
TURNS, QUICK_TURNS = 5, 1


def run(*, quick: bool) -> Result:
    metrics: dict[str, float | int | str] = {}
    bars = []
    models = {"tiny.en": TINY_EN, "base": BASE}
    places = {name: str(thing.place) for name, thing in models.items() if thing.here} or {
        "bundled": "bundled"
    }
    for name, place in places.items():
        said = _utterances(
            "bundled" if name == "bundled" else "people", SPEAKERS * (QUICK_EACH if quick else EACH)
        )
        one, many = asyncio.run(_in_turns(place, said, QUICK_TURNS if quick else TURNS))
        for who, side in (("one process", one), ("a process for each core", many)):
            metrics[f"{name}, {who}: utterances_per_s"] = statistics.median(side.rates)
            metrics[f"{name}, {who}: memory_MB"] = side.memory_mb
        metrics[f"{name}: a further process is of use after_s"] = many.loading
        gain = statistics.median(mine / ours for mine, ours in zip(many.rates, one.rates, strict=True))
        bars.append(Bar(f"{name}: a process for each core does, times one's", gain, 1.05, "at most"))
    return Result(metrics, bars)


class _Side:
    """Some recognizers; the speakers are dealt out to them."""

    def __init__(self, recognizers: Sequence[Recognizer], loading: float) -> None:
        self._recognizers = recognizers
        self.loading = loading
        self.rates: list[float] = []
        self.memory_mb = 0.0

    async def turn(self, said: Sequence[Utterance]) -> None:
        began = time.perf_counter()
        await asyncio.gather(*(self._speak(number, said[number::SPEAKERS]) for number in range(SPEAKERS)))
        self.rates.append(len(said) / (time.perf_counter() - began))
        workers = [one for one in psutil.Process().children(recursive=True) if _recognizes(one)]
        self.memory_mb = sum(one.memory_info().rss for one in workers) / 2**20

    async def _speak(self, number: int, said: Sequence[Utterance]) -> None:
        recognizer = self._recognizers[number % len(self._recognizers)]
        for one in said:
            await recognizer.transcribe(one, owner=f"speaker-{number}")


def _recognizes(process: psutil.Process) -> bool:
    return "transcription.process.worker" in process.cmdline()


async def _in_turns(model: str, said: Sequence[Utterance], turns: int) -> tuple[_Side, _Side]:
    """Each side is loaded for its turn alone, so that it has the machine for itself."""
    sides: dict[int, _Side] = {}
    for _ in range(turns):
        for processes in (1, CORES):
            settings = TranscriptionSettings(
                model=model, language="en", offline=True, threads=CORES // processes
            )
            async with AsyncExitStack() as stack:
                began = time.perf_counter()
                opened = [await _ready(stack, settings) for _ in range(processes)]
                side = _Side(opened, (time.perf_counter() - began) / processes)
                side.rates = sides[processes].rates if processes in sides else []
                await side.turn(said[:SPEAKERS])  # it warms up
                side.rates.pop()
                await side.turn(said)
                sides[processes] = side
    return sides[1], sides[CORES]


async def _ready(stack: AsyncExitStack, settings: TranscriptionSettings) -> Recognizer:
    ready = asyncio.Event()

    def on_state(state: RecognizerState) -> None:
        if state.phase is Phase.READY:
            ready.set()

    recognizer = await stack.enter_async_context(Recognizer(settings, on_state))
    await ready.wait()
    return recognizer


def _utterances(whose: str, count: int) -> list[Utterance]:
    said = sentences(count) if whose == "people" else commands()
    return [utterance(from_pcm16(said[number % len(said)].pcm)) for number in range(count)]
