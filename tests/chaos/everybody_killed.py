"""Recognizer, board, listener and orchestrator, each killed at random in one run; the gateway stays."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from tests.chaos.outcome import Outcome
from tests.chaos.scene import Scene
from tests.servers.mosquitto import Mosquitto

BOARDS = 4
SESSIONS = 10
BETWEEN_SECONDS = (0.1, 0.7)
VICTIMS = ("recognizer", "board", "listener", "orchestrator")


async def scenario(folder: Path, url: str, *, rounds: int, seed: int) -> Outcome:
    """In each round everybody dies twice, in an order of the seed's, on the broker at ``url``."""
    outcome = Outcome(scenario="")
    began = time.monotonic()
    mosquitto = Mosquitto(folder).start()
    try:
        for number in range(seed, seed + rounds):
            home = folder / f"all{number}"
            home.mkdir()
            await _round(home, url, mosquitto.url, number, outcome)
    finally:
        mosquitto.kill()
    outcome.seconds = time.monotonic() - began
    return outcome


async def _round(home: Path, url: str, mqtt: str, seed: int, outcome: Outcome) -> None:
    chance = random.Random(seed)
    async with Scene(home, url, mqtt, boards=BOARDS, seed=seed, names=f"a{seed}b") as scene:
        await scene.witness()
        scene.listen()
        await scene.start_orchestrator()
        await scene.start_gateway()
        for speaker in scene.speakers:
            await speaker.switch_on()
            speaker.begin(SESSIONS)
        for victim in chance.sample(2 * VICTIMS, 2 * len(VICTIMS)):
            await asyncio.sleep(chance.uniform(*BETWEEN_SECONDS))
            await _kill(scene, victim, chance)
            outcome.times += 1
        for speaker in scene.speakers:
            await speaker.done()
        await scene.judge(seed, outcome)


async def _kill(scene: Scene, victim: str, chance: random.Random) -> None:
    """It is gone, and somebody starts another."""
    ways: dict[str, Callable[[], Awaitable[None]]] = {
        "recognizer": lambda: _kill_recognizer(scene),
        "board": lambda: chance.choice(scene.speakers).lose_power(),
        "listener": lambda: _kill_listener(scene),
        "orchestrator": lambda: _kill_orchestrator(scene),
    }
    await ways[victim]()


async def _kill_recognizer(scene: Scene) -> None:
    assert scene.gateway is not None
    for child in _recognizers(scene.gateway.pid):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


async def _kill_listener(scene: Scene) -> None:
    scene.listen()


async def _kill_orchestrator(scene: Scene) -> None:
    await scene.kill_orchestrator()
    await scene.start_orchestrator()


def _recognizers(pid: int) -> list[int]:
    """The recognizer's processes that a process has."""
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [child for child in thread.read_text().split() if _is_recognizer(child)]
    return [int(child) for child in found]


def _is_recognizer(pid: str) -> bool:
    try:
        return "transcription.process.worker" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False
