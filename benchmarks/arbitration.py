"""[arbitration] One voice at three devices of a room, ten rooms at once: who answers, how often, and after which wait.

A whole gateway with its defaults, in real time: voice activity, segmenter and the bundled model. What devices send
comes to the pipeline as the links report it: in pieces of 20 ms, through an echo of 0.3 s of its own each, at 0, -6 and
-12 dB, 0 to 300 ms apart, over the same noise. Rooms speak in pairs, two voices at once. The wait is what is between an
utterance being complete and going on to be transcribed, of those that are answered. Then, without a gateway: how alike
one voice is at two devices, and two people who speak at once in one room, each so much louder to their own.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from benchmarks.instruments.report import Bar, Result, percentile, scheduling
from benchmarks.load.house import gateway_here, watching
from firmware_bridge.link.events import AudioReceived, DeviceConnected, StreamStarted
from firmware_bridge.speech_files import read_wav, recordings
from gateway.app import Gateway
from gateway.contract.events import ArbitrationEvent, HubEvent, TranscriptionEvent
from gateway.pipeline.arbitration.claims import Decision
from gateway.pipeline.arbitration.contests import Contested
from gateway.pipeline.arbitration.likeness import ALIKE, likeness
from gateway.pipeline.arbitration.voice_track import VoiceTrack
from transcription.audio import SAMPLE_RATE, Samples, from_pcm16

LEVELS = (0.0, -6.0, -12.0)
APART_SECONDS = 0.3
ROOMS = 10
ROUNDS = 20
PIECE = 320
NOISE = 15.0
"""Root mean square of each microphone's own noise, in steps of PCM16."""
ECHO_SECONDS = 0.3
BEFORE, BEHIND = 0.6, 1.3
"""Seconds without speech around each."""
WAIT_MS = 150.0

Sound = npt.NDArray[np.float64]


class Microphones:
    """Rooms, and the noise of what stands in them; the same each time."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(1)

    def heard(self, sound: Sound, db: float) -> Samples:
        """As a device has it, in a corner of its own: the echo differs, its loudness does not."""
        length = int(ECHO_SECONDS * SAMPLE_RATE)
        echo = self._rng.normal(0, 1, length) * np.exp(-6.9 * np.arange(length) / length)
        echo *= 0.7 / np.sqrt((echo**2).sum())
        echo[0] = 1.0
        size = len(sound) + length
        wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(echo, size), size)[: len(sound)]
        wet *= np.sqrt((sound**2).sum() / (wet**2).sum()) * 10 ** (db / 20)
        noisy = wet * 0.7 + self._rng.normal(0, NOISE, len(wet))
        return noisy.clip(-32_768, 32_767).astype(np.int16)


def around(samples: Samples, before: float = BEFORE) -> Sound:
    """A voice, and nobody who speaks before and after it."""
    quiet = np.zeros(int(BEHIND * SAMPLE_RATE))
    return np.concatenate((np.zeros(int(before * SAMPLE_RATE)), samples, quiet))


@dataclass
class Round:
    """One voice in each room: who answered, and who was told."""

    loudest: dict[str, str]
    answered: Counter[str]
    told: Counter[str]
    reasons: dict[str, str] = field(default_factory=dict)


class House:
    """A gateway, ten rooms with three devices each, and who speaks in them."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._microphones = Microphones()
        self._chance = random.Random(1)
        self._round: Round | None = None
        self._all_told = asyncio.Event()
        self._position: Counter[str] = Counter()

    def see(self, event: HubEvent) -> None:
        """What listeners are shown."""
        if self._round is None or not isinstance(event, TranscriptionEvent | ArbitrationEvent):
            return
        which = self._round.answered if isinstance(event, TranscriptionEvent) else self._round.told
        which[event.device_id] += 1
        if isinstance(event, ArbitrationEvent):
            self._round.reasons[event.device_id] = event.reason
        if sum(map(Counter.total, (self._round.answered, self._round.told))) >= len(devices()):
            self._all_told.set()

    def open(self) -> None:
        """All devices are there, and stream all the time."""
        for name in devices():
            self._gateway.pipeline.hear(
                DeviceConnected(
                    name, 1, "bench", "", ring_frames=0, wants_partials=False, resumed=False, lost_frames=0
                )
            )
            self._gateway.pipeline.hear(StreamStarted(name, 1, 1, end_on_silence=True))

    async def speak(self, said: list[Samples]) -> Round:
        """In each room somebody speaks at once; until all is decided."""
        self._all_told.clear()
        turn = self._round = Round({}, Counter(), Counter())
        sending: list[tuple[float, str, Samples]] = []
        for room, samples in enumerate(said):
            levels = self._chance.sample(LEVELS, len(LEVELS))
            for number, db in enumerate(levels):
                name = f"r{room}d{number}"
                late = self._chance.uniform(0, APART_SECONDS)
                sending.append((late, name, self._microphones.heard(around(samples), db)))
                if db == max(LEVELS):
                    turn.loudest[f"r{room}"] = name
        await self._send(sending)
        try:
            async with asyncio.timeout(5):
                await self._all_told.wait()
        except TimeoutError:
            print("not all were told:", dict(turn.answered), dict(turn.told))
        self._round = None
        return turn

    async def _send(self, sending: list[tuple[float, str, Samples]]) -> None:
        """In real time, each so much late."""
        pieces = sorted(_pieces(sending), key=lambda piece: piece[0])
        began = time.monotonic()
        for due, name, samples in pieces:
            await asyncio.sleep(max(0.0, began + due - time.monotonic()))
            position = self._position[name]
            self._position[name] += len(samples)
            self._gateway.pipeline.hear(AudioReceived(name, 1, 1, position, samples.tobytes()))


def _pieces(sending: list[tuple[float, str, Samples]]) -> Iterator[tuple[float, str, Samples]]:
    for late, name, samples in sending:
        for at in range(0, len(samples) - PIECE + 1, PIECE):
            yield late + (at + PIECE) / SAMPLE_RATE, name, samples[at : at + PIECE]


def devices() -> list[str]:
    """Three in each room."""
    return [f"r{room}d{number}" for room in range(ROOMS) for number in range(len(LEVELS))]


class Waits:
    """How long each utterance that is answered has waited for the decision, in milliseconds."""

    def __init__(self) -> None:
        self.answered: list[float] = []
        self._decision = Contested.decision

    def __enter__(self) -> Self:
        waits = self

        async def decision(contested: Contested) -> Decision:
            began = time.perf_counter()
            decided = await waits._decision(contested)
            if not decided.by:
                waits.answered.append(1000 * (time.perf_counter() - began))
            return decided

        Contested.decision = decision  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *_error: object) -> None:
        Contested.decision = self._decision  # type: ignore[method-assign]


async def in_rooms(folder: Path, rounds: int) -> list[Round]:
    """As often do all rooms speak at once."""
    said = [from_pcm16(read_wav(one.path)) for one in recordings()]
    chance = random.Random(2)
    places = {name: name[:-2] for name in devices()}
    async with gateway_here(
        folder,
        devices={
            "serial": {"ports": []},
            "mqtt": {"url": ""},
            "rooms": places,
            "arbitration": {"enabled": True},
        },
        transcription={"partials": {"every_ms": 0}},
    ) as gateway:
        while gateway.health.report().components["recognizer"].state != "healthy":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        house = House(gateway)
        async with watching(gateway, house.see):
            house.open()
            return [await house.speak(chance.sample(said, ROOMS)) for _ in range(rounds)]


def alike(trials: int) -> dict[str, float | int | str]:
    """One voice at two devices, and two voices at two, each so much louder to their own."""
    chance, microphones = random.Random(3), Microphones()
    said = [from_pcm16(read_wav(one.path)) for one in recordings()]
    one_voice: list[float] = []
    two: dict[int, list[float]] = {20: [], 12: [], 9: [], 6: []}
    for _ in range(trials):
        first, second = (around(samples, BEFORE) for samples in chance.sample(said, 2))
        length = max(len(first), len(second))
        one, other = (np.pad(each, (0, length - len(each))) for each in (first, second))
        late = np.roll(one, int(chance.uniform(0, APART_SECONDS) * SAMPLE_RATE))
        one_voice.append(_score(microphones.heard(one, 0), microphones.heard(late, -12)))
        for db, scores in two.items():
            through = 10 ** (-db / 20)
            here, there = one + through * other, other + through * one
            scores.append(_score(microphones.heard(here, 0), microphones.heard(there, 0)))
    figures: dict[str, float | int | str] = {
        "likeness of one voice at 0 and -12 dB, p50": percentile(one_voice, 50),
        "likeness of one voice, least": min(one_voice),
        "taken for one voice from": ALIKE,
    }
    for db, scores in two.items():
        figures[f"two people, {db} dB apart: likeness p50"] = percentile(scores, 50)
        figures[f"two people, {db} dB apart: told apart, percent"] = (
            100 * sum(s < ALIKE for s in scores) / trials
        )
    return figures


def _score(one: Samples, other: Samples) -> float:
    tracks = []
    for samples in (one, other):
        track = VoiceTrack()
        track.hear(0, samples, len(samples) / SAMPLE_RATE)
        tracks.append(track.between(int((BEFORE - 0.3) * SAMPLE_RATE), len(samples) - SAMPLE_RATE // 2)[1])
    return likeness(tracks[0], tracks[1], 0.0, 0.5).score


def cost() -> dict[str, float | int | str]:
    """Of one stream, as a share of a core; and of one comparison."""
    samples = np.random.default_rng(1).normal(0, 500, 60 * SAMPLE_RATE).astype(np.int16)
    track, began = VoiceTrack(), time.process_time()
    for at in range(0, len(samples), PIECE):
        track.hear(at, samples[at : at + PIECE], at / SAMPLE_RATE)
    hearing = time.process_time() - began
    began = time.process_time()
    for _ in range(20):
        end = len(samples)
        likeness(
            track.between(end - 3 * SAMPLE_RATE, end)[1], track.between(end - 4 * SAMPLE_RATE, end)[1], 0, 0.5
        )
    comparing = (time.process_time() - began) / 20
    return {
        "a stream's share of a core, percent": 100 * hearing / 60,
        "one comparison of 3 s, ms": 1000 * comparing,
    }


def run(*, quick: bool) -> Result:
    rounds = 2 if quick else ROUNDS
    with tempfile.TemporaryDirectory(prefix="earshot-arbitration-") as name, Waits() as waits:
        turns = asyncio.run(in_rooms(Path(name), rounds))
    voices = [(turn, f"r{room}") for turn in turns for room in range(ROOMS)]
    answers = [
        [one for one in turn.answered.elements() if one.startswith(f"{room}d")] for turn, room in voices
    ]
    once = [len(one) == 1 for one in answers]
    loudest = [one == [turn.loudest[room]] for one, (turn, room) in zip(answers, voices, strict=True)]
    for one, (turn, room) in zip(answers, voices, strict=True):
        if one != [turn.loudest[room]]:
            told = {name: why for name, why in turn.reasons.items() if name.startswith(f"{room}d")}
            print(f"{room} was answered by {one}, loudest at {turn.loudest[room]}; {told}")
    pairs = [bool(answers[at]) and bool(answers[at + 1]) for at in range(0, len(answers), 2)]
    return Result(
        {
            "voices, each at three devices": len(voices),
            "pairs of voices in two rooms at once": len(pairs),
            "utterances told whom they were answered by": sum(turn.told.total() for turn in turns),
            "wait of those answered, p50_ms": percentile(waits.answered, 50),
            "wait of those answered, max_ms": max(waits.answered),
            **cost(),
            **alike(20 if quick else 200),
            "scheduling": scheduling(),
        },
        [
            Bar("one voice at three devices: answered exactly once", _percent(once), 100, "at least", "%"),
            Bar("one voice at three devices: by the loudest", _percent(loudest), 99, "at least", "%"),
            Bar("two voices in two rooms at once: both answered", _percent(pairs), 100, "at least", "%"),
            Bar("wait of those that are answered, longest", max(waits.answered), WAIT_MS, "at most", "ms"),
        ],
    )


def _percent(these: list[bool]) -> float:
    return 100 * sum(these) / len(these)
