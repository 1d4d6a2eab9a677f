"""[plan] What each part costs, for `earshot plan`, and how far its predictions are from runs that fit on one machine.

The engines are measured with short, longer and long utterances on one thread, the real weights with a person's:
processor time, not wall time. The gateway and its recognizer (tiny.en, where it is here) are measured with silent
devices, and with devices that say short utterances or long ones, often or now and then, over MQTT. Hub and broker are
taken from `hub` and `adapters`; a listener's memory is measured with a thousand at one gateway. Then devices speak at
random, at sizes and shares that none of it was measured with, and the processor time of gateway and recognizer is
compared with the prediction. Partial texts are off in all of it: they take only what is left. A whole run writes
``gateway/planning/costs.json``.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import numpy as np
import psutil
from msgspec import Struct

from benchmarks.hub import clients
from benchmarks.instruments.memory import cpu_seconds
from benchmarks.instruments.processes import GatewayProcess, gateway_process
from benchmarks.instruments.report import Bar, Result, machine
from benchmarks.load.house_gateway import UNLIMITED
from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.wires import Mqtt
from firmware_bridge.speech_files import read_wav, recordings
from gateway.planning.costs import Check, Costs, ModelCost
from tests.real.people import PROMPTS, prompts, read
from tests.real.weights import BASE, TINY_EN
from tests.transcription.speech import utterance
from transcription.audio import SAMPLE_RATE, Samples, from_pcm16
from transcription.process.process import ProcessTranscriber
from transcription.settings import TranscriptionSettings
from transcription.whisper.engine import WhisperTranscriber

ROOT = Path(__file__).resolve().parents[1]
COSTS = ROOT / "gateway" / "planning" / "costs.json"
RESULTS = ROOT / "benchmarks" / "results"
DEVICES = 16
SECONDS, QUICK_SECONDS = 40.0, 6.0
SETTLE_SECONDS = 2.0
FIRST_LISTENERS, LISTENERS = 20, 1_000
"""Of whom the first cost what all have together."""
ROOM = {"port": 0, "max_listeners": 2_000, "limits": UNLIMITED}
RUNS = ((0.5, "short"), (0.5, "long"), (0.2, "short"), (0.2, "long"))
"""How much of the time each device is spoken to, and with which third of the clips."""
SIZES = ((12, 0.5), (32, 0.25), (64, 0.1))
"""Devices and the share of the time in which each is spoken to, of the runs that are predicted."""
LENGTHS = 3
"""Of utterances: short, longer, long."""
MOST_CLIPS = 10
"""Of each length."""
ENOUGH_SECONDS = 1.0
"""Of processor time: the kernel counts in hundredths."""


def run(*, quick: bool) -> Result:
    seconds = QUICK_SECONDS if quick else SECONDS
    models = {
        name: _model(place, _by_length(list(map(from_pcm16, _clips(name)))))
        for name, place in _places().items()
    }
    costs = _costs(seconds, models)
    sizes = SIZES[:1] if quick else SIZES
    checks = tuple(_checked(devices, duty, seconds, costs) for devices, duty in sizes)
    costs = msgspec.structs.replace(costs, checks=checks)
    if not quick:
        COSTS.write_bytes(msgspec.json.format(msgspec.json.encode(costs), indent=1) + b"\n")
    metrics: dict[str, float | int | str] = {
        "a silent device, core_%": 100 * costs.silent_device,
        "a speaking device, core_%": 100 * costs.speaking_device,
        "an utterance, gateway, core_ms": 1000 * costs.utterance,
        "recognitions of an utterance": costs.recognitions,
        "a device, memory_kB": 1024 * costs.device_memory_mb,
        "a listener, memory_kB": 1024 * costs.listener_memory_mb,
    }
    for name, cost in models.items():
        metrics[f"4 s of speech, {name}, core_ms"] = 1000 * cost.seconds(4.0)
    bars = []
    for check in checks:
        what = f"{check.devices} devices at {check.duty:.0%}"
        metrics[f"{what}, gateway, cores"] = check.gateway_measured
        metrics[f"{what}, recognizer, cores"] = check.recognizer_measured
        wrong = _error(check.gateway_predicted, check.gateway_measured)
        bars.append(Bar(f"{what}: gateway, predicted within", wrong, 25, "at most", "%"))
        wrong = _error(check.recognizer_predicted, check.recognizer_measured)
        bars.append(Bar(f"{what}: recognizer, predicted within", wrong, 25, "at most", "%"))
    return Result(metrics, bars)


def _error(predicted: float, was: float) -> float:
    return 100 * abs(predicted / was - 1)


def _places() -> dict[str, str]:
    """The models that are here."""
    real = {"tiny.en": TINY_EN, "base": BASE} if PROMPTS.here else {}
    return {"bundled": "bundled"} | {name: str(thing.place) for name, thing in real.items() if thing.here}


def _clips(model: str) -> list[bytes]:
    """What is said to it: a person's words to real weights; to the bundled, which knows few, those."""
    if model == "bundled":
        return [read_wav(one.path) for one in recordings() if one.demo]
    return [read(one.path).tobytes() for one in prompts()[::4]]


# -- the engines


def _model(name: str, said: Sequence[Samples]) -> ModelCost:
    """Fitted to the processor time that each length takes: as many utterances as the kernel's clock needs."""
    settings = TranscriptionSettings(model=name, threads=1, language="en", offline=True)
    engine = ProcessTranscriber(WhisperTranscriber, settings)
    try:
        engine.load()
        groups = [said[begin::LENGTHS] for begin in range(LENGTHS)]
        lengths = [sum(map(len, group)) / SAMPLE_RATE / len(group) for group in groups]
        took = [_work(engine, group) for group in groups]
        memory = psutil.Process(engine.pid).memory_info().rss / 2**20
    finally:
        engine.close()
    slope, each = np.polyfit(lengths, took, 1)
    return ModelCost(
        utterance_seconds=max(0.0, float(each)), second_seconds=max(0.0, float(slope)), memory_mb=memory
    )


def _work(engine: ProcessTranscriber, said: Sequence[Samples]) -> float:
    """Core seconds for one of these, in the mean."""
    before, rounds = cpu_seconds(engine.pid), 0
    while cpu_seconds(engine.pid) - before < ENOUGH_SECONDS:
        for samples in said:
            engine.transcribe(utterance(samples))
        rounds += 1
    return (cpu_seconds(engine.pid) - before) / rounds / len(said)


def _by_length(said: Sequence[Samples]) -> list[Samples]:
    """Some of them, so that every third is short, every third longer, and every third long."""
    ordered = sorted(said, key=len)
    third = len(ordered) // LENGTHS
    groups = [ordered[n * third : (n + 1) * third : max(1, third // MOST_CLIPS)] for n in range(LENGTHS)]
    return [one for together in zip(*groups, strict=False) for one in together]


# -- the gateway


class Taken(Struct, frozen=True):
    """Cores that a run took, of whom, and what was said in it: seconds and utterances, by all devices."""

    gateway: float
    recognizer: float
    said_seconds: float
    utterances: int
    seconds: float


def _costs(seconds: float, models: dict[str, ModelCost]) -> Costs:
    model = _heard_by(models)
    with _house(0, model) as (gateway, _):
        alone, asleep = _load(gateway, seconds / 2)
        memory = gateway.resident_mb()
    with _house(DEVICES, model) as (gateway, devices):
        silent, _ = _load(gateway, seconds / 2)
        runs = [
            _spoken(gateway, devices, duty=duty, lengths=lengths, seconds=seconds) for duty, lengths in RUNS
        ]
        with_devices = gateway.resident_mb()
    silent_device = max(0.0, (silent - alone) / DEVICES)
    speaking, utterance = _fitted(runs, silent)
    hub = _metrics("hub")
    return Costs(
        machine="{cores} cores of {cpu}, Python {python}".format_map(machine()),
        silent_device=silent_device,
        speaking_device=speaking,
        utterance=utterance,
        recognitions=_recognitions(runs, asleep, models[model]),
        gateway_memory_mb=memory,
        device_memory_mb=(with_devices - memory) / DEVICES,
        delivery=hub["gateway's share of a core"] / hub["delivered_per_s"],
        listener_memory_mb=asyncio.run(_listener_memory()),
        models=models,
        broker_messages={
            name.partition(":")[0]: rate
            for name, rate in _metrics("adapters").items()
            if name.endswith("through the adapter")
        },
    )


async def _listener_memory() -> float:
    """Of a gateway, for one listener that is shown everything."""
    with gateway_process(
        f"transcription: {{model: bundled}}\nweb: {msgspec.json.encode(ROOM).decode()}"
    ) as gateway:
        port = int(gateway.url.rpartition(":")[2])
        async with clients(port, "/ws", FIRST_LISTENERS):
            await asyncio.sleep(SETTLE_SECONDS)
            before = gateway.resident_mb()
            async with clients(port, "/ws", LISTENERS):
                await asyncio.sleep(SETTLE_SECONDS)
                return (gateway.resident_mb() - before) / LISTENERS


def _fitted(runs: Sequence[Taken], silent: float) -> tuple[float, float]:
    """What a second of speech and an utterance take, so that each run is explained as well, however much it took."""
    did = np.array([(run.said_seconds / run.seconds, run.utterances / run.seconds) for run in runs])
    took = np.array([run.gateway - silent for run in runs])
    found = np.linalg.lstsq(did / took[:, None], np.ones(len(runs)), rcond=None)[0]
    return float(found[0]), float(found[1])


def _recognitions(runs: Sequence[Taken], asleep: float, model: ModelCost) -> float:
    """How often an utterance is recognized, in the mean: what was taken for a pause, and was none, counts, too."""
    took = sum((run.recognizer - asleep) * run.seconds for run in runs)
    once = sum(model.seconds(run.said_seconds / run.utterances) * run.utterances for run in runs)
    return max(1.0, took / once)


def _heard_by(models: dict[str, ModelCost]) -> str:
    """The model of the houses: small enough for two cores."""
    return "tiny.en" if "tiny.en" in models else "bundled"


def _metrics(name: str) -> dict[str, float]:
    document = json.loads((RESULTS / f"{name}.json").read_text())
    return dict(document["metrics"])


def _checked(devices: int, duty: float, seconds: float, costs: Costs) -> Check:
    model = _heard_by(costs.models)
    with _house(0, model) as (gateway, _):
        alone, asleep = _load(gateway, seconds / 4)
    with _house(devices, model) as (gateway, orders):
        taken = _spoken(gateway, orders, duty=duty, lengths="all", seconds=seconds)
    speaking = taken.said_seconds / taken.seconds
    rate = taken.utterances / taken.seconds
    audio = costs.silent_device * (devices - speaking) + costs.speaking_device * speaking
    length = taken.said_seconds / taken.utterances
    return Check(
        devices=devices,
        duty=duty,
        seconds=seconds,
        gateway_predicted=alone + audio + rate * costs.utterance,
        gateway_measured=taken.gateway,
        recognizer_predicted=asleep + rate * costs.recognitions * costs.models[model].seconds(length),
        recognizer_measured=taken.recognizer,
    )


def _load(gateway: GatewayProcess, seconds: float) -> tuple[float, float]:
    """Cores that its process and its recognizer's take."""
    time.sleep(SETTLE_SECONDS)
    recognizer = next(iter(_recognizers(gateway)))
    began, before = time.perf_counter(), (cpu_seconds(gateway.pid), cpu_seconds(recognizer))
    time.sleep(seconds)
    took = time.perf_counter() - began
    return (cpu_seconds(gateway.pid) - before[0]) / took, (cpu_seconds(recognizer) - before[1]) / took


def _recognizers(gateway: GatewayProcess) -> Iterator[int]:
    for child in psutil.Process(gateway.pid).children(recursive=True):
        if "transcription.process.worker" in child.cmdline():
            yield child.pid


def _spoken(
    gateway: GatewayProcess, devices: Connection, *, duty: float, lengths: str, seconds: float
) -> Taken:
    devices.send((duty, lengths, seconds + 2 * SETTLE_SECONDS))
    ours, theirs = _load(gateway, seconds)
    said, utterances, took = devices.recv()
    return Taken(ours, theirs, said * seconds / took, round(utterances * seconds / took), seconds)


@contextmanager
def _house(devices: int, model: str) -> Iterator[tuple[GatewayProcess, Connection]]:
    """A gateway and its devices, in a process of their own; they speak as they are told."""
    settings = (
        f"transcription: {{model: '{_places()[model]}', language: en, threads: 1, partials: {{every_ms: 0}}}}\n"
        "devices: {mqtt: {embedded_port: 0}}\n"
    )
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(), gateway_process(settings) as gateway:
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_live, args=(gateway, devices, model, theirs))
        process.start()
        try:
            if not ours.poll(60):
                raise RuntimeError("the devices were not welcomed within a minute")
            ours.recv()
            yield gateway, ours
        finally:
            process.terminate()
            process.join()


def _live(gateway: GatewayProcess, devices: int, model: str, orders: Connection) -> None:
    asyncio.run(_connect(gateway, devices, _clips(model), orders))


async def _connect(gateway: GatewayProcess, count: int, clips: Sequence[bytes], orders: Connection) -> None:
    names = [f"device-{number:02}" for number in range(count)]
    async with AsyncExitStack() as stack:
        devices = [
            await stack.enter_async_context(SimulatedDevice(name, Mqtt(gateway.mqtt_url_of(name), name)))
            for name in names
        ]
        await asyncio.gather(*(device.connected() for device in devices))
        orders.send("welcome")
        while True:
            duty, lengths, seconds = await asyncio.to_thread(orders.recv)
            began = time.perf_counter()
            chosen = _third(clips, lengths)
            said = await asyncio.gather(
                *(
                    _speak(device, random.Random(f"{count} {duty} {n}"), chosen, duty, seconds)
                    for n, device in enumerate(devices)
                )
            )
            orders.send((sum(s for s, _ in said), sum(n for _, n in said), time.perf_counter() - began))


async def _speak(
    device: SimulatedDevice, chance: random.Random, clips: Sequence[bytes], duty: float, seconds: float
) -> tuple[float, int]:
    """At random for that share of the time; the seconds of speech, and the utterances."""
    said, count, until = 0.0, 0, time.perf_counter() + seconds
    while True:
        pcm = chance.choice(clips)
        one = len(pcm) / 2 / SAMPLE_RATE
        pause = 2 * one * (1 / duty - 1) * chance.random()
        if time.perf_counter() + pause + one > until:
            break
        await asyncio.sleep(pause)
        await device.say(pcm, patience=0.01)
        said, count = said + one, count + 1
    await asyncio.sleep(max(0.0, until - time.perf_counter()))
    return said, count


def _third(clips: Sequence[bytes], lengths: str) -> Sequence[bytes]:
    """The shortest, or the longest, third; else all."""
    ordered = sorted(clips, key=len)
    third = max(1, len(clips) // 3)
    return {"short": ordered[:third], "long": ordered[-third:]}.get(lengths, clips)
