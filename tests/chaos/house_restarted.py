"""A house of two gateways, two hubs and two recognizers, restarted (or killed) one after the other under load.

Boards come over a balancer and speak without a break; listeners are at the hubs, and go on at the other one.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.instruments.report import percentile
from firmware_bridge.simulator.user import ReplyShown, SpeechEnded
from gateway.client.listener import GatewayUnreachable, Listener
from tests.chaos.balancer import BalancedWire, Balancer
from tests.chaos.checker import Came, Findings, check
from tests.chaos.outcome import Outcome
from tests.chaos.scene import SETTINGS, WAIT, Scene
from tests.record import passes
from tests.servers.process import free_port
from tests.system.house import Board, settings
from tests.system.process import EARSHOT, Running, run

BOARDS = 4
SESSIONS = 10
SPEED = 4.0
"""Four boards speak as sixteen people do."""
LONGEST_WAIT = 5.0
"""Seconds that a device may wait for its answer while everything is restarted in turn."""
BETWEEN_SECONDS = (0.2, 1.0)
START_SECONDS = 60.0
STOP_SECONDS = 20.0
PARTS = ("gateway", "hub", "recognizer")
NUMBERS = (1, 2)


class Process:
    """A hub or a recognizer, which can be ended and started again."""

    def __init__(self, folder: Path, config: Path, *arguments: str) -> None:
        self._log = folder / f"{arguments[0]}-{arguments[-1]}.log"
        self._command = (*EARSHOT, arguments[0], "--config", str(config), *arguments[1:])
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stderr=log, stdout=log, env={**os.environ, "PYTHONUNBUFFERED": "1"}
            )

    async def end(self, *, kill: bool) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            (self._process.kill if kill else self._process.terminate)()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise


class HouseScene(Scene):
    """Its gateways, hubs and recognizers, each by its part and number."""

    def __init__(self, folder: Path, url: str, *, seed: int) -> None:
        super().__init__(folder, url, "", boards=BOARDS, seed=seed, names=f"web-s{seed}b")
        self.ports = {(part, number): free_port() for part in ("gateway", "hub") for number in NUMBERS}
        self.waits: list[float] = []
        self.by_listener: dict[str, list[Came]] = {}
        self._gateways: dict[int, tuple[AsyncExitStack, Running]] = {}
        self._processes: dict[tuple[str, int], Process] = {}
        self._balancer = Balancer([self._url_of("gateway", number) for number in NUMBERS])

    # -- the parts

    async def open(self, stack: AsyncExitStack) -> None:
        """Everything, until it is ready."""
        await stack.enter_async_context(self._balancer)
        for number in NUMBERS:
            await self.start("recognizer", number)
            await self.start("gateway", number)
            await self.start("hub", number)
        await passes(lambda: len(self._balancer.ready) == len(NUMBERS))

    async def close(self) -> None:
        """All of it ends."""
        for part in self._processes.values():
            await part.end(kill=True)
        for life, _ in self._gateways.values():
            await life.aclose()

    async def start(self, part: str, number: int) -> None:
        home = self.folder / f"{part}{number}"
        await asyncio.to_thread(home.mkdir, exist_ok=True)
        if part == "gateway":
            life = AsyncExitStack()
            process = await life.enter_async_context(run(home, **self._parts(part, number)))
            self._gateways[number] = life, process
            return
        if (part, number) not in self._processes:
            config = home / "config.yaml"
            config.write_text(json.dumps(settings(home, **self._parts(part, number))))
            self._processes[part, number] = Process(home, config, part, "--name", f"{part}-{number}")
        await self._processes[part, number].start()
        if part == "hub":
            await self._is_ready(self._url_of(part, number))

    async def _is_ready(self, url: str) -> None:
        """Whoever restarts a house goes on when what was restarted is there again."""
        async with aiohttp.ClientSession() as session, asyncio.timeout(START_SECONDS):
            while True:
                with suppress(aiohttp.ClientError):
                    async with session.get(f"{url}readyz") as answer:
                        if answer.ok:
                            return
                await asyncio.sleep(0.05)

    async def end(self, part: str, number: int, *, kill: bool) -> None:
        """SIGTERM, as for a new version, or SIGKILL."""
        if part != "gateway":
            await self._processes[part, number].end(kill=kill)
            return
        life, process = self._gateways.pop(number)
        log = self.folder / f"gateway{number}" / "log"
        with (log.parent / "log.before").open("a", encoding="utf-8") as before:
            before.write(log.read_text(encoding="utf-8"))
        if not kill:
            await process.terminate(within=STOP_SECONDS)
        await life.aclose()

    def _parts(self, part: str, number: int) -> dict[str, Any]:
        name = f"{part}-{number}"
        common: dict[str, Any] = {
            **SETTINGS,
            "broker": {"url": self._url, "client_id": name, "lease_seconds": 2.0},
            "house": {"share": True, "name": name},
            "orchestrator": {"app": "", "fallback_text": "Nobody answered.", **WAIT},
            "log": {"format": "json"},
        }
        if part == "gateway":
            common["recognizers"] = {"use": "only"}
            common["shutdown"] = {"drain_seconds": 5.0}
        if part != "recognizer":
            common["web"] = {"port": self.ports[part, number]}
        return common

    async def until_somebody_answers(self) -> None:
        """The orchestrator is there: what is published before its group is, it is never asked."""
        for _, gateway in self._gateways.values():
            await gateway.logs("orchestrator is healthy")

    def _url_of(self, part: str, number: int) -> str:
        return f"http://127.0.0.1:{self.ports[part, number]}/"

    # -- who speaks and who listens

    def board(self, name: str) -> Board:
        """Each comes to whichever gateway the balancer finds."""
        return Board(name, BalancedWire(self._balancer), ring_frames=6000, speed=SPEED)

    def listen(self) -> None:
        """One at each hub; each knows the other."""
        urls = [self._url_of("hub", number) for number in NUMBERS]
        for number, url in enumerate(urls):
            place = f"listener {number + 1}"
            others = [other for other in urls if other != url]
            self.by_listener[place] = []
            self._watchers[place] = asyncio.create_task(self._follow(place, url, others))

    async def _follow(self, place: str, url: str, others: list[str]) -> None:
        while True:
            with suppress(GatewayUnreachable):
                async with Listener(url, others=others) as listener:
                    async for event in listener:
                        before = len(self.seen)
                        self._see(event)
                        self.by_listener[place] += self.seen[before:]
            await asyncio.sleep(0.1)

    def findings(self) -> dict[str, Findings]:
        """At the broker, at the boards, and at each listener; a snapshot after a loss may tell again what was told."""
        places = {place: self._findings(place) for place in ("broker", "boards")}
        return places | {place: check(self.script, _once(came)) for place, came in self.by_listener.items()}

    def note_waits(self) -> None:
        """From the end of what a board said to its last answer."""
        for speaker in self.speakers:
            assert speaker._board is not None
            told = speaker._board.told.items
            ended = {one.stream: one.at for one in told if isinstance(one, SpeechEnded)}
            for one in told:
                if isinstance(one, ReplyShown) and one.final and one.stream in ended:
                    self.waits.append(one.at - ended[one.stream])


def _once(came: list[Came]) -> list[Came]:
    """By utterance: a listener that begins anew is told what it may have had."""
    return list({one.message_id: one for one in reversed(came)}.values())[::-1]


async def scenario(
    folder: Path, url: str, *, rounds: int, seed: int, kill: bool, parts: Sequence[str] = PARTS
) -> Outcome:
    """In each round each of these parts once, in an order of the seed's."""
    outcome = Outcome(scenario="")
    began = time.monotonic()
    waits: list[float] = []
    for number in range(seed, seed + rounds):
        home = folder / f"house{number}"
        home.mkdir()
        waits += await _round(home, url, number, outcome, kill=kill, parts=parts)
    outcome.figures = {
        "wait p50_s": round(percentile(waits, 50), 2),
        "wait max_s": round(max(waits), 2),
    }
    outcome.seconds = time.monotonic() - began
    return outcome


async def _round(
    home: Path, url: str, seed: int, outcome: Outcome, *, kill: bool, parts: Sequence[str]
) -> list[float]:
    chance = random.Random(seed)
    async with AsyncExitStack() as stack, HouseScene(home, url, seed=seed) as scene:
        stack.push_async_callback(scene.close)
        await scene.open(stack)
        await scene.witness()
        scene.listen()
        await scene.start_orchestrator()
        await scene.until_somebody_answers()
        for speaker in scene.speakers:
            await speaker.switch_on()
            speaker.begin(SESSIONS)
        everybody = [(part, number) for part in parts for number in NUMBERS]
        for part, number in chance.sample(everybody, len(everybody)):
            await asyncio.sleep(chance.uniform(*BETWEEN_SECONDS))
            await scene.end(part, number, kill=kill)
            await scene.start(part, number)
            outcome.times += 1
        for speaker in scene.speakers:
            await speaker.done()
        outcome.add(seed, await scene.all_came())
        scene.note_waits()
        return scene.waits
