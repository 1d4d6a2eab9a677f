"""The devices, in a process of their own: ``python -m benchmarks.fleet.devices JSON`` (a ``DevicesWanted``).

It prints ``ready`` when all of them are welcome, and then a line of JSON for each utterance (``Spoken``). Lines on its
standard input: ``duty 0.02``, ``end``. After ``end`` nobody begins to speak; it ends when all have their answers.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.user import SpokenUtterance
from firmware_bridge.simulator.wires import DeviceWire, Mqtt, PseudoTerminal
from firmware_bridge.speech_files import read_wav, recordings
from gateway.client.device_socket import WebSocketWire

PATIENCE = 30.0
"""Seconds after which an answer that has not come will not come."""
BYTES_PER_SECOND = 32_000
Outcome = Literal["answered", "fallback", "failed", "no text", "no answer"]


class DevicesWanted(Struct, frozen=True, kw_only=True):
    """How many of each kind, and where they speak to. ``names``: all of them, serial, MQTT, WebSocket."""

    serial: tuple[str, ...]
    mqtt: tuple[str, ...]
    websocket: tuple[str, ...]
    serial_folder: str
    mqtt_url: str
    web_url: str
    compressed: float
    seed: int


class Spoken(Struct, frozen=True, kw_only=True):
    """One utterance, as its speaker saw it. ``at``: Unix seconds of its end; None: it did not come."""

    at: float
    device: str
    carrier: str
    seconds: float
    outcome: Outcome
    text_ms: float | None
    reply_ms: float | None
    overrun_frames: int


def outcome(said: SpokenUtterance) -> Outcome:
    """What became of it. An error is one that its speaker is told; a fallback is what is said where nobody answers."""
    if said.reply is None or said.reply_at is None:
        return "no text" if said.transcript is None else "no answer"
    if said.error:
        return "failed"
    if said.fallback:
        return "fallback"
    return "answered" if said.transcript else "no text"


class Pace:
    """How often is spoken, for everybody who waits for a turn."""

    def __init__(self) -> None:
        self.is_over = False
        self._duty = 0.0
        self._changed = asyncio.Event()

    def change(self, duty: float) -> None:
        """From now on; whoever waits begins to wait anew."""
        self._duty = duty
        self._changed.set()
        self._changed = asyncio.Event()

    def end(self) -> None:
        """Nobody begins any more."""
        self.is_over = True
        self._changed.set()

    async def turn(self, chance: random.Random, seconds: float, since: float) -> bool:
        """Until something of so many seconds is to be said, the last having begun at ``since``; False: it is over.

        At random, as people come (exponentially): whoever draws anew at a new pace, waits no longer for that.
        """
        while not self.is_over:
            due = math.inf
            if self._duty:
                due = since + chance.expovariate(self._duty / seconds) - time.monotonic()
            try:
                async with asyncio.timeout(None if math.isinf(due) else max(0.0, due)):
                    await self._changed.wait()
            except TimeoutError:
                return not self.is_over
            since = time.monotonic()
        return False


def _wires(wanted: DevicesWanted) -> list[tuple[str, str, DeviceWire]]:
    serial = [
        ("serial", name, PseudoTerminal(Path(wanted.serial_folder, f"tty-{name}"))) for name in wanted.serial
    ]
    mqtt = [("mqtt", name, Mqtt(wanted.mqtt_url, name)) for name in wanted.mqtt]
    websocket = [("websocket", name, WebSocketWire(wanted.web_url)) for name in wanted.websocket]
    return [*serial, *mqtt, *websocket]


async def _speak(
    device: SimulatedDevice, carrier: str, pace: Pace, clips: Sequence[bytes], wanted: DevicesWanted
) -> None:
    """Again and again, a turn's length after it began the last time: a late answer makes nobody speak less."""
    chance = random.Random(f"{wanted.seed} {device.device_id}")
    loop, began = asyncio.get_running_loop(), time.monotonic()
    while True:
        pcm = chance.choice(clips)
        seconds = len(pcm) / BYTES_PER_SECOND
        if not await pace.turn(chance, seconds / wanted.compressed, began):
            return
        began = time.monotonic()
        said = await device.say(pcm, patience=PATIENCE)
        _tell(said, device.device_id, carrier, seconds, ago=loop.time() - (said.stopped_at or loop.time()))


def _tell(said: SpokenUtterance, device: str, carrier: str, seconds: float, ago: float) -> None:
    def wait(at: float | None) -> float | None:
        return None if at is None or said.stopped_at is None else round(1000 * (at - said.stopped_at), 1)

    spoken = Spoken(
        at=time.time() - ago, device=device, carrier=carrier, seconds=seconds, outcome=outcome(said),
        text_ms=wait(said.transcript_at), reply_ms=wait(said.reply_at), overrun_frames=said.overrun_frames,
    )  # fmt: skip
    print(msgspec.json.encode(spoken).decode(), flush=True)


async def _obey(pace: Pace) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := (await reader.readline()).decode().split():
        if line[0] != "duty":
            break
        pace.change(float(line[1]))
    pace.end()


async def live(wanted: DevicesWanted) -> None:
    """Connect them all, and speak as is said."""
    clips = [read_wav(one.path) for one in recordings() if one.demo]
    speed = 1.0 if wanted.compressed == 1.0 else math.inf
    pace = Pace()
    async with AsyncExitStack() as stack:
        devices = [
            (carrier, await stack.enter_async_context(SimulatedDevice(name, wire, speed=speed)))
            for carrier, name, wire in _wires(wanted)
        ]
        await asyncio.gather(*(device.connected() for _, device in devices))
        print("ready", flush=True)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_obey(pace))
            for carrier, device in devices:
                tasks.create_task(_speak(device, carrier, pace, clips, wanted))


if __name__ == "__main__":
    asyncio.run(live(msgspec.json.decode(sys.argv[1], type=DevicesWanted)))
