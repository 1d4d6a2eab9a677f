"""A broker that is killed, frozen and restarted while boards speak, an orchestrator answers and a page listens."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

from tests.chaos.outcome import Outcome
from tests.chaos.scene import Scene
from tests.servers.mosquitto import Mosquitto
from tests.servers.process import ServerProcess

BOARDS = 3
SESSIONS = 9
BLOWS = 3
"""In each round; a round is a gateway, an orchestrator and boards of its own, all on the same broker."""
AWAY_SECONDS = (0.1, 1.5)
BETWEEN_SECONDS = (0.2, 0.8)


async def scenario(folder: Path, broker: ServerProcess, url: str, *, rounds: int, seed: int) -> Outcome:
    """Each round with the next seed. ``broker`` runs, and runs afterwards; ``url`` is its address."""
    outcome = Outcome(scenario="")
    began = time.monotonic()
    mosquitto = Mosquitto(folder).start()
    try:
        for number in range(seed, seed + rounds):
            home = folder / f"round{number}"
            home.mkdir()
            async with Scene(
                home, url, mosquitto.url, boards=BOARDS, seed=number, names=f"r{number}b"
            ) as scene:
                await _round(scene, broker, random.Random(number), outcome)
                await scene.judge(number, outcome)
    finally:
        mosquitto.kill()
    outcome.seconds = time.monotonic() - began
    return outcome


async def _round(scene: Scene, broker: ServerProcess, chance: random.Random, outcome: Outcome) -> None:
    await scene.witness()
    scene.listen()
    await scene.start_orchestrator()
    await scene.start_gateway()
    for speaker in scene.speakers:
        await speaker.switch_on()
        speaker.begin(SESSIONS)
    for _ in range(BLOWS):
        await asyncio.sleep(chance.uniform(*BETWEEN_SECONDS))
        await _strike(broker, chance)
        outcome.times += 1
    for speaker in scene.speakers:
        await speaker.done()


async def _strike(broker: ServerProcess, chance: random.Random) -> None:
    """``kill -9``, freeze, or end in peace; then there again."""
    away = chance.uniform(*AWAY_SECONDS)
    blow = chance.choice((broker.kill, broker.pause, broker.stop))
    await asyncio.to_thread(blow)
    await asyncio.sleep(away)
    if blow == broker.pause:
        broker.resume()
    else:
        await asyncio.to_thread(broker.start)
