"""A gateway and the one that stands by for it, each at a host of its own: killed, frozen, cut off from the broker.

Boards on MQTT speak all the while. Whoever serves is struck, the other one takes its place, and the first one gets it
back.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.instruments.report import percentile
from tests.chaos.checker import Findings
from tests.chaos.outcome import Outcome
from tests.chaos.scene import SETTINGS, Scene
from tests.record import passes
from tests.servers.mosquitto import EVERYBODY, MOSQUITTO
from tests.servers.network.clusters import RedisAt, ServerAt
from tests.servers.network.hosts import Hosts
from tests.system.house import Board, board
from tests.system.process import Running, run

BROKER, KITCHEN, ATTIC = "broker", "kitchen", "attic"
BLOWS = ("killed", "cut off", "frozen")
BOARDS = 3
SESSIONS = 4
HEALED_SECONDS = 120.0
TAKEN, GIVEN_BACK = "the place is free, and taken over", "the place is given back"
HEALTHY = "standby is healthy"
ANSWERED = "orchestrator is healthy"


class MosquittoAt(ServerAt):
    """Where boards and gateways meet."""

    READY: ClassVar[bytes] = b"running"

    @property
    def url(self) -> str:
        return f"mqtt://{self.address}:1883"

    def program(self) -> Sequence[str]:
        config = self.folder / "mosquitto.conf"
        config.write_text(f"user root\npersistence false\nlistener 1883 {self.address}\n{EVERYBODY}\n")
        return [MOSQUITTO, "-c", str(config)]


class MqttScene(Scene):
    """All boards on MQTT."""

    def board(self, name: str) -> Board:
        return board(self.folder, name, self._mqtt, ring_frames=6000)


class Row:
    """The two gateways."""

    def __init__(self, folder: Path, hosts: Hosts, redis: str, mqtt: str) -> None:
        self.running: dict[str, Running] = {}
        self._lives: dict[str, AsyncExitStack] = {}
        self._folder, self._hosts = folder, hosts
        self._redis, self._mqtt = redis, mqtt

    async def start(self, name: str) -> None:
        """Until it serves or stands by."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        house: dict[str, Any] = {"name": name, "has_standby": True}
        if name == ATTIC:
            house = {"name": name, "standby_for": KITCHEN}
        broker = {"url": self._redis, "client_id": name, "lease_seconds": 2.0}
        self._lives[name] = life = AsyncExitStack()
        at_host: Callable[[Sequence[str]], list[str]] = lambda command: self._hosts.command(name, command)  # noqa: E731
        self.running[name] = await life.enter_async_context(
            run(
                folder, self._mqtt, at=at_host, broker=broker, house=house, web={"enabled": False}, **SETTINGS
            )
        )

    async def kill(self, name: str) -> None:
        """``kill -9``."""
        await self.running[name].kill()
        await self._lives[name].aclose()

    async def logs(self, name: str, event: str, count: int) -> None:
        """Wait until it has logged it so often."""
        gateway = self.running[name]
        await passes(lambda: len(gateway.logged(event)) >= count, HEALED_SECONDS)

    def times(self, name: str, event: str) -> int:
        return len(self.running[name].logged(event))

    async def close(self) -> None:
        for life in self._lives.values():
            await life.aclose()


async def scenario(folder: Path, *, rounds: int, seed: int, blows: Sequence[str] = BLOWS) -> Outcome:
    """Each blow once in a round."""
    outcome = Outcome(scenario="")
    began = time.monotonic()
    took: dict[str, list[float]] = {}
    with Hosts(BROKER, KITCHEN, ATTIC) as hosts:
        redis = RedisAt(folder, hosts, BROKER).start()
        mosquitto = MosquittoAt(folder, hosts, BROKER).start()
        try:
            for number in range(rounds):
                home = folder / f"round{number}"
                home.mkdir()
                async with _row(home, hosts, redis.url, mosquitto.url) as row:
                    scene = MqttScene(
                        home, redis.url, mosquitto.url, boards=BOARDS, seed=seed + number, names=f"r{number}b"
                    )
                    outcome.add(
                        seed + number, await _round(scene, row, hosts, blows, outcome=outcome, took=took)
                    )
        finally:
            mosquitto.kill()
            redis.kill()
    everything = [seconds for one in took.values() for seconds in one]
    outcome.figures = {
        "taken over p50_s": round(percentile(everything, 50), 1),
        **{f"max {blow}_s": round(max(one), 1) for blow, one in took.items()},
    }
    outcome.seconds = time.monotonic() - began
    return outcome


@asynccontextmanager
async def _row(home: Path, hosts: Hosts, redis: str, mqtt: str) -> AsyncIterator[Row]:
    row = Row(home, hosts, redis, mqtt)
    try:
        await row.start(KITCHEN)
        await row.start(ATTIC)
        await row.logs(KITCHEN, HEALTHY, 1)
        yield row
    finally:
        await row.close()


async def _round(
    scene: Scene,
    row: Row,
    hosts: Hosts,
    blows: Sequence[str],
    *,
    outcome: Outcome,
    took: dict[str, list[float]],
) -> dict[str, Findings]:
    async with scene:
        await scene.witness()
        await scene.start_orchestrator()
        await row.logs(KITCHEN, ANSWERED, 1)  # what is published before its group is there, it is never asked
        for speaker in scene.speakers:
            await speaker.switch_on()
            speaker.begin(SESSIONS * len(blows))
        chance = scene.chance
        for blow in chance.sample(blows, len(blows)):
            await asyncio.sleep(chance.uniform(0.2, 3.0))
            took.setdefault(blow, []).append(await _strike(blow, row, hosts))
            outcome.times += 1
        for speaker in scene.speakers:
            await speaker.done()
        found = await scene.all_came()
        if not all(one.clean for one in found.values()):
            outcome.fault("; ".join(f"{name}: {row.running[name].log_lines()[-3:]}" for name in row.running))
        return found


async def _strike(blow: str, row: Row, hosts: Hosts) -> float:
    """The first one is struck, replaced, well again, and has its place back: how long the second one took."""
    kitchen = row.running[KITCHEN]
    taken, given = row.times(ATTIC, TAKEN), row.times(ATTIC, GIVEN_BACK)
    own, healthy = (0, 0) if blow == "killed" else (row.times(KITCHEN, one) for one in (TAKEN, HEALTHY))
    began = time.monotonic()
    match blow:
        case "killed":
            await row.kill(KITCHEN)
        case "frozen":
            kitchen.stop(signal.SIGSTOP)
        case _:
            hosts.part({KITCHEN})
    await row.logs(ATTIC, TAKEN, taken + 1)
    seconds = time.monotonic() - began
    match blow:
        case "killed":
            await row.start(KITCHEN)
        case "frozen":
            kitchen.stop(signal.SIGCONT)
        case _:
            hosts.heal()
    await row.logs(ATTIC, GIVEN_BACK, given + 1)
    await row.logs(KITCHEN, TAKEN, own + 1)
    await row.logs(KITCHEN, HEALTHY, healthy + 1)
    return seconds
