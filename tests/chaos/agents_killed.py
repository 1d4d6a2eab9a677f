"""A team of three agents, each a process: they, the gateway and the broker are killed while boards speak.

What the boards are told is held against the script, and what the agents did against what they were to do.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct

from firmware_bridge.simulator.user import ReplyShown, TranscriptShown
from gateway.broker.opening import open_broker
from gateway.contract.agents import PRESENCE_TOPIC
from gateway.settings.broker import BrokerSettings
from tests.chaos.agent import FAILING, TEAM, UNDONE, WORKED
from tests.chaos.checker import Came
from tests.chaos.corpus import sentence
from tests.chaos.echo import SAID
from tests.chaos.outcome import Outcome
from tests.chaos.scene import ROOT, Scene
from tests.servers.mosquitto import Mosquitto
from tests.servers.process import ServerProcess

BOARDS = 3
SESSIONS = 9
BETWEEN_SECONDS = (0.2, 1.2)
AWAY_SECONDS = (0.1, 1.0)
VICTIMS = ("gateway", "gateway", "broker", *TEAM)
"""In each round each of them dies once."""
SETTLED_SECONDS = 20.0
"""What is to be undone, is by so long after the last answer."""

ORCHESTRATOR: dict[str, Any] = {
    "agents": {name: {"timeout_seconds": 300.0, "breaker": {"failures": 0}} for name in TEAM},
    "teams": {
        "house": {
            "agents": list(TEAM), "policy": "all", "partial": False, "combine": "last",
            "after": {after: [before] for before, after in itertools.pairwise(TEAM)},
        }
    },
    "timeout_seconds": 300.0,
    "patience_seconds": 60.0,
}  # fmt: skip
ORCHESTRATOR["agents"][TEAM[0]]["compensates"] = True


class Deed(Struct, frozen=True):
    """A line of the ledger."""

    agent: str
    deed: str
    request_id: str
    correlation_id: str
    life: int
    text: str


class AgentScene(Scene):
    """The house, with a team in place of one orchestrator."""

    def __init__(self, folder: Path, url: str, mqtt: str, **options: Any) -> None:
        super().__init__(
            folder, url, mqtt, orchestrator=ORCHESTRATOR, broker={"lease_seconds": 2.0}, **options
        )
        self.ledger = folder / "ledger"
        self._agents: dict[str, asyncio.subprocess.Process] = {}

    async def __aexit__(self, *exc: object) -> None:
        for name in TEAM:
            await self.kill_agent(name)
        await super().__aexit__(*exc)

    async def start_agent(self, name: str) -> None:
        """A process of its own; whether it has connected is its own affair."""
        self._agents[name] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chaos.agent", name, self._url, str(self.ledger),
            cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    async def kill_agent(self, name: str) -> None:
        """``kill -9``."""
        process = self._agents.get(name)
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def all_are_there(self) -> None:
        """Start them, and wait until each has said so: from then on the broker keeps what they are asked."""
        broker = open_broker(self._url, BrokerSettings(url=self._url, client_id="doorman"))
        missing = set(TEAM)
        async with broker.subscribe(PRESENCE_TOPIC) as records:
            for name in TEAM:
                await self.start_agent(name)
            async for delivery in records:
                missing.discard(delivery.message.routing_key.user)
                await delivery.ack()
                if not missing:
                    break
        await broker.close(0.1)

    def answer(self, shown: ReplyShown) -> None:
        """A board was told the end of a turn: it is its own sentence, or the failure that was to be."""
        board = self._speakers[shown.device_id]._board
        assert board is not None
        heard = board.told.of(TranscriptShown, correlation_id=shown.correlation_id)
        said = sentence(heard[-1].text if heard else shown.text.removeprefix(SAID))
        failure = "fallback" if shown.fallback else ""
        if shown.error != (said in FAILING):
            failure = failure or f"error {shown.error}: {shown.text}"
        elif not shown.error and sentence(shown.text.removeprefix(SAID)) != said:
            failure = f"another's answer: {shown.text}"
        self.answered.append(Came(shown.device_id, said, "", failure))

    def deeds(self) -> list[Deed]:
        """What the agents did so far."""
        if not self.ledger.exists():
            return []
        return [Deed(**json.loads(line)) for line in self.ledger.read_text(encoding="utf-8").splitlines()]


async def scenario(
    folder: Path, broker: ServerProcess, url: str, outcome: Outcome, *, rounds: int, seed: int
) -> None:
    """Each round with the next seed. ``broker`` runs, and runs afterwards; ``url`` is its address."""
    began = time.monotonic()
    mosquitto = Mosquitto(folder).start()
    try:
        for number in range(seed, seed + rounds):
            home = folder / f"agents{number}"
            home.mkdir()
            async with AgentScene(
                home, url, mosquitto.url, boards=BOARDS, seed=number, names=f"g{number}b"
            ) as scene:
                await _round(scene, broker, random.Random(number), outcome)
                await scene.judge(number, outcome)
                await _judge_deeds(scene, number, outcome)
    finally:
        mosquitto.kill()
    outcome.seconds += time.monotonic() - began


async def _round(scene: AgentScene, broker: ServerProcess, chance: random.Random, outcome: Outcome) -> None:
    await scene.witness()
    await scene.all_are_there()
    await scene.start_gateway()
    for speaker in scene.speakers:
        await speaker.switch_on()
        speaker.begin(SESSIONS)
    for victim in chance.sample(VICTIMS, len(VICTIMS)):
        await asyncio.sleep(chance.uniform(*BETWEEN_SECONDS))
        await _kill(scene, victim, broker, chance.uniform(*AWAY_SECONDS))
        outcome.times += 1
    for speaker in scene.speakers:
        await speaker.done()


async def _kill(scene: AgentScene, victim: str, broker: ServerProcess, away: float) -> None:
    """It is gone, and after a while there again."""
    ways: dict[str, tuple[Callable[[], Awaitable[Any]], Callable[[], Awaitable[Any]]]] = {
        "gateway": (scene.kill_gateway, scene.start_gateway),
        "broker": (lambda: asyncio.to_thread(broker.kill), lambda: asyncio.to_thread(broker.start)),
    }
    kill, start = ways.get(victim, (lambda: scene.kill_agent(victim), lambda: scene.start_agent(victim)))
    await kill()
    await asyncio.sleep(away)
    await start()


async def _judge_deeds(scene: AgentScene, seed: int, outcome: Outcome) -> None:
    """Nobody is asked twice for one utterance, nor told to undo what stands; what is to be undone is, once."""
    clock = asyncio.get_running_loop().time
    until = clock() + SETTLED_SECONDS
    while _not_undone(scene.deeds()) and clock() < until:  # noqa: ASYNC110 - the ledger is another process's
        await asyncio.sleep(0.1)
    deeds = scene.deeds()
    outcome.repeated += _repeated(deeds)
    outcome.figures["undone"] = outcome.figures.get("undone", 0) + sum(one.deed == UNDONE for one in deeds)
    for fault in doubled(deeds):
        outcome.doubled += 1
        outcome.fault(f"seed {seed}, {fault}")
    for fault in _not_undone(deeds):
        outcome.lost += 1
        outcome.fault(f"seed {seed}, {fault}")
    for one in deeds:
        if one.deed == UNDONE and one.text not in FAILING:
            outcome.wrong += 1
            outcome.fault(f"seed {seed}, undone though it had not failed: {one}")


def doubled(deeds: Iterable[Deed]) -> list[str]:
    """One agent asked for one utterance under two ids, or the same thing done twice in one life."""
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    lives: Counter[tuple[str, str, str, int]] = Counter()
    for one in deeds:
        ids[one.agent, one.correlation_id].add(one.request_id)
        lives[one.agent, one.deed, one.request_id, one.life] += 1
    return [f"{who} was asked under {sorted(found)}" for who, found in ids.items() if len(found) > 1] + [
        f"{who} did it {count} times" for who, count in lives.items() if count > 1
    ]


def _repeated(deeds: Iterable[Deed]) -> int:
    """What an agent did again because it had died over it."""
    counts = Counter((one.agent, one.deed, one.request_id) for one in deeds)
    return sum(count - 1 for count in counts.values())


def _not_undone(deeds: Iterable[Deed]) -> list[str]:
    """What the first did, where the last failed and it was not told."""
    known = list(deeds)
    undone = {one.request_id for one in known if one.deed == UNDONE}
    failed = {one.correlation_id for one in known if one.agent == TEAM[-1] and one.text in FAILING}
    return [
        f"not undone: {one}"
        for one in known
        if one.agent == TEAM[0]
        and one.deed == WORKED
        and one.correlation_id in failed
        and one.request_id not in undone
    ]
