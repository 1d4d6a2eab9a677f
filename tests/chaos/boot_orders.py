"""After a power cut broker, gateway and orchestrator start in every order there is; a board already speaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

from tests.chaos.outcome import Outcome
from tests.chaos.scene import Scene
from tests.servers.process import ServerProcess

WHO = ("broker", "gateway", "orchestrator")


ALL_ORDERS = tuple(permutations(WHO))
ROTATED = (ALL_ORDERS[0], ALL_ORDERS[3], ALL_ORDERS[4])
"""Those in which everybody is first once, and last once."""


async def scenario(
    folder: Path,
    broker: ServerProcess,
    url: str,
    *,
    seed: int,
    orders: Sequence[tuple[str, ...]] = ALL_ORDERS,
) -> Outcome:
    """One order after the other, each after ``kill -9`` of everything. ``broker`` runs afterwards."""
    outcome = Outcome(scenario="")
    began = time.monotonic()
    home = folder / "boot"
    home.mkdir()
    async with Scene(home, url, "", boards=1, seed=seed) as scene:
        (speaker,) = scene.speakers
        await scene.witness()
        await speaker.switch_on()
        await _start(scene, broker, ("broker", "orchestrator", "gateway"))  # that all know one another
        speaker.begin(1)
        await speaker.done()
        await scene.until_nothing_is_missing()
        longest = 0.0
        for order in orders:
            await _kill_all(scene, broker)
            speaker.begin(1)
            await _start(scene, broker, order)
            up = time.monotonic()
            await speaker.done()
            await scene.until_nothing_is_missing()
            longest = max(longest, time.monotonic() - up)
            outcome.times += 1
        await scene.judge(seed, outcome)
    outcome.figures = {"longest from the last start to the answer_s": round(longest, 2)}
    outcome.seconds = time.monotonic() - began
    return outcome


async def _start(scene: Scene, broker: ServerProcess, order: tuple[str, ...]) -> None:
    for who in order:
        match who:
            case "broker":
                await asyncio.to_thread(broker.start)
            case "gateway":
                await scene.start_gateway()
            case _:
                await scene.start_orchestrator()


async def _kill_all(scene: Scene, broker: ServerProcess) -> None:
    await asyncio.gather(scene.kill_gateway(), scene.kill_orchestrator(), asyncio.to_thread(broker.kill))
