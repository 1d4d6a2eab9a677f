"""[recognizer-soak] Hours of speech from eight devices, without the waiting: memory stays flat in both processes.

Each device says something every twenty seconds of simulated time: a command, a few of them, dictation
of up to 25 s, or nothing at all while its button is held, at the pace at which the gateway takes it. Resident
memory of the gateway and of its recognizer's process, by least squares over two hours that follow one of warm-up:
Python takes and returns a megabyte at a time, and over less that alone can look like one in an hour.
What the gateway forgets after minutes of the clock is forgotten as soon as the hours are short: answered requests
(1.2 KB each, remembered for five minutes to tell a late reply) would otherwise pile up to ten times as many as
in any real hour.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from contextlib import AsyncExitStack

from benchmarks.instruments.memory import Course
from benchmarks.instruments.processes import GatewayProcess, gateway_process
from benchmarks.instruments.report import Bar, Result
from benchmarks.load.speaking import PATIENCE, device
from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.speech_files import read_wav, recordings

DEVICES = 8
EVERY_SECONDS = 20
HOURS = 3.0
WARM_UP_HOURS = 1.0
QUICK_HOURS = 0.04
QUICK_WARM_UP_HOURS = 0.01
PARTS_OF_AN_HOUR = 4
LATE_SECONDS = 10
"""The default, 300 s, as short as the hours are."""
SAMPLE_BYTES_PER_SECOND = 32_000
LONGEST_SECONDS = 25


def run(*, quick: bool) -> Result:
    hours, warm_up = (QUICK_HOURS, QUICK_WARM_UP_HOURS) if quick else (HOURS, WARM_UP_HOURS)
    settings = "\n".join(
        [
            "transcription: {model: bundled}",
            "devices: {mqtt: {embedded_port: 0}}",
            f"orchestrator: {{late_seconds: {LATE_SECONDS}}}",
        ]
    )
    began = time.perf_counter()
    with gateway_process(settings) as gateway:
        soak = Soak(gateway, utterances=int(hours * 3600 / EVERY_SECONDS) * DEVICES)
        asyncio.run(soak.run())
        resident = {"gateway": gateway.resident_mb(), "recognizer": gateway.recognizer_mb()}
    courses = {"gateway": soak.gateway_memory, "recognizer": soak.recognizer_memory}
    slopes = {who: course.slope_per_hour(since=warm_up * 3600) for who, course in courses.items()}
    metrics: dict[str, float | int | str] = {
        "simulated_hours": hours,
        "warm_up_hours": warm_up,
        "devices": DEVICES,
        "utterances": soak.said,
        "utterances_without_text": soak.unanswered,
        "seconds_of_speech": soak.speech_seconds,
        "wall_seconds": time.perf_counter() - began,
        **{f"{who}, mb_at_end": megabytes for who, megabytes in resident.items()},
        **{f"{who}, mb_per_hour": slope for who, slope in slopes.items()},
    }
    if not quick:
        for who, course in courses.items():
            metrics |= {
                f"{who}, mb_at {60 * part / PARTS_OF_AN_HOUR:.0f} minutes": course.around(
                    3600 * part / PARTS_OF_AN_HOUR, width=3600 / PARTS_OF_AN_HOUR
                )
                for part in range(1, int(hours * PARTS_OF_AN_HOUR) + 1)
            }
    bars = [Bar("utterances without a text", soak.unanswered, 0, "at most")]
    if not quick:
        bars += [
            Bar(f"resident memory, {who}", slope, 1.0, "at most", "MB per hour")
            for who, slope in slopes.items()
        ]
    return Result(metrics, bars)


class Soak:
    """Devices that take turns at what is to be said, and the memory it takes."""

    def __init__(self, gateway: GatewayProcess, *, utterances: int) -> None:
        self._gateway = gateway
        self._left = utterances
        self._chance = random.Random(1)
        self._commands = [read_wav(one.path) for one in recordings()]
        self.said = self.unanswered = 0
        self.speech_seconds = 0.0
        self.gateway_memory, self.recognizer_memory = Course(), Course()

    async def run(self) -> None:
        """Until everything is said."""
        async with AsyncExitStack() as stack:
            devices = [
                await stack.enter_async_context(device(self._gateway, f"device{number}", speed=math.inf))
                for number in range(DEVICES)
            ]
            await asyncio.gather(*(self._speak(one) for one in devices))

    async def _speak(self, one: SimulatedDevice) -> None:
        while self._left:
            self._left -= 1
            speech = self._something()
            said = await one.say(speech, patience=PATIENCE)
            self.said += 1
            self.unanswered += said.transcript is None and any(speech)
            self.speech_seconds += len(speech) / SAMPLE_BYTES_PER_SECOND
            if not self.said % DEVICES:
                self._note(self.said // DEVICES * EVERY_SECONDS)

    def _something(self) -> bytes:
        kind = self._chance.random()
        if kind < 0.05:  # dictation
            speech = b"".join(self._chance.choices(self._commands, k=self._chance.randint(5, 15)))
            return speech[: LONGEST_SECONDS * SAMPLE_BYTES_PER_SECOND]
        if kind < 0.15:
            return b"".join(self._chance.choices(self._commands, k=2))
        return self._chance.choice(self._commands)

    def _note(self, seconds: float) -> None:
        self.gateway_memory.note(seconds, self._gateway.resident_mb())
        self.recognizer_memory.note(seconds, self._gateway.recognizer_mb())
