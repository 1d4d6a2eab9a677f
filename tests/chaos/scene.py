"""A whole house over one broker: gateway and orchestrator as processes, boards, a witness and a listener.

What they say and see is kept in order, across every death of each of them, and held against the script.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import replace

from firmware_bridge.simulator.user import ReplyShown
from gateway.broker.opening import open_broker
from gateway.client.listener import GatewayUnreachable, Listener
from gateway.contract.events import SnapshotEvent, TranscriptionEvent
from gateway.contract.messages import RESULTS_TOPIC, decode_transcription
from gateway.settings.broker import BrokerSettings
from tests.chaos.checker import Came, Findings, Line, check
from tests.chaos.corpus import SENTENCES, sentence
from tests.chaos.echo import SAID
from tests.chaos.outcome import Outcome
from tests.record import Record
from tests.servers.process import free_port
from tests.system.house import RECORDINGS, Board, board, pcm, silence
from tests.system.process import Running, run

ROOT = Path(__file__).resolve().parents[2]
BREATH = silence(1.5)
"""Between two sentences of one session: longer than the silence that ends an utterance."""
PAUSE_SECONDS = 0.5
"""Between two sessions of a board, at most."""
SETTLE_SECONDS = 60.0
"""What has not come out so long after something else did will not: a busy machine is slow, and loses nothing."""
LAST_WORDS = 1
"""Lines kept for the end: when these have come, nothing that was said before is still on its way."""

LAST_LOG = 4000
"""Characters of the gateway's log that are told with a fault."""

WAIT = {"timeout_seconds": 300.0, "patience_seconds": 300.0}
"""Whoever is killed comes back: what is lost is to be seen, not who was missed meanwhile."""
SETTINGS: dict[str, Any] = {
    "orchestrator": {"app": "", "fallback_text": "Nobody answered.", **WAIT},
    "transcription": {"isolation": "process", "threads": 1},
    "shutdown": {"drain_seconds": 1.0},
}


class Session(Struct, frozen=True):
    """What a board says in one go."""

    lines: tuple[Line, ...]
    names: tuple[str, ...]

    @property
    def pcm(self) -> bytes:
        """The sentences, with silence between them."""
        return BREATH.join(pcm(name) for name in self.names)


def plays(device: str, chance: random.Random) -> list[Session]:
    """All that a device can say, each text once, in sessions of one to three sentences."""
    names = list(SENTENCES.values())
    chance.shuffle(names)
    sessions = []
    while names:
        take = tuple(names.pop() for _ in range(min(len(names), chance.choice((1, 1, 2, 3)))))
        number = len(sessions) + 1
        lines = (Line(device, number, n, RECORDINGS[name].text) for n, name in enumerate(take))
        sessions.append(Session(tuple(lines), take))
    return sessions


class Scene:
    """``async with Scene(folder, broker_url, mqtt_url, boards=3, seed=1) as scene``: nothing runs yet."""

    def __init__(
        self,
        folder: Path,
        url: str,
        mqtt: str,
        *,
        boards: int = 2,
        seed: int = 0,
        names: str = "board",
        gateway_url: str = "",
        orchestrator_url: str = "",
        **settings: dict[str, Any],
    ) -> None:
        """``gateway_url`` and ``orchestrator_url``: their own ways to the broker, where they are not ``url``."""
        self.folder = folder
        self.script: list[Line] = []
        self.excused: dict[str, set[Line]] = {"broker": set(), "boards": set(), "listener": set()}
        """By place, what died with its board before it came out there."""
        self.heard = Record()
        """``Came`` by ``Came``, what a subscriber of the broker got."""
        self.answered: list[Came] = []
        """The same, what boards were answered."""
        self.seen: list[Came] = []
        """The same, what a listener saw."""
        self.gateway: Running | None = None
        self.chance = random.Random(seed)
        self._url = url
        self._gateway_url = gateway_url or url
        self._orchestrator_url = orchestrator_url or url
        self._mqtt = mqtt
        self._count = boards
        self._names = names
        self._settings = {**SETTINGS, **settings}
        self._port = free_port()
        self._life = AsyncExitStack()
        self._speakers: dict[str, Speaker] = {}
        self._orchestrator: asyncio.subprocess.Process | None = None
        self._orchestrators = 0
        self._watchers: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        for number in range(self._count):
            name = f"{self._names}{number}"
            self._speakers[name] = Speaker(self, name, random.Random(self.chance.random()))
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in (*self._watchers.values(), *(s.task for s in self._speakers.values() if s.task)):
            task.cancel()
        await asyncio.gather(*self._watchers.values(), return_exceptions=True)
        for speaker in self._speakers.values():
            await speaker.switch_off()
        await self.kill_orchestrator()
        await self._life.aclose()

    # -- who can start and die

    async def start_gateway(self) -> None:
        """Until it has told systemd that it is ready."""
        settings = {**self._settings}
        broker = {"url": self._gateway_url, **settings.pop("broker", {})}
        self.gateway = await self._life.enter_async_context(
            run(self.folder, self._mqtt, web={"port": self._port}, broker=broker, **settings)
        )

    async def kill_gateway(self) -> None:
        """``kill -9``."""
        if self.gateway is not None:
            await self.gateway.kill()
            await self._life.aclose()

    async def start_orchestrator(self) -> None:
        """A process of its own; whether it has connected is its own affair."""
        self._orchestrators += 1
        self._orchestrator = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chaos.echo", self._orchestrator_url,
            cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    async def kill_orchestrator(self) -> None:
        """``kill -9``."""
        if self._orchestrator is not None and self._orchestrator.returncode is None:
            self._orchestrator.kill()
            await self._orchestrator.wait()

    async def witness(self) -> None:
        """A subscriber of the broker that is no orchestrator, from now on."""
        began = asyncio.Event()
        self._watchers["witness"] = asyncio.create_task(self._witness(began))
        await began.wait()

    def listen(self) -> None:
        """A listener, from now on; the one before it, if there is one, ends."""
        if "listener" in self._watchers:
            self._watchers["listener"].cancel()
        self._watchers["listener"] = asyncio.create_task(self._listen())

    @property
    def speakers(self) -> list[Speaker]:
        """The boards."""
        return list(self._speakers.values())

    def board(self, name: str) -> Board:
        """Every other one is on MQTT. A board that is switched on again has another boot."""
        mqtt = self._mqtt if self._mqtt and int(name[-1]) % 2 else ""
        return board(self.folder, name, mqtt, ring_frames=6000)

    # -- what they see

    async def _witness(self, began: asyncio.Event) -> None:
        broker = open_broker(self._url, BrokerSettings(url=self._url, client_id="witness"))
        try:
            async with broker.subscribe(RESULTS_TOPIC, group="witness") as results:
                began.set()
                async for delivery in results:
                    message = decode_transcription(delivery.message.payload)
                    failure = "" if message.success else str(message.error)
                    self.heard(
                        Came(
                            message.device_id,
                            sentence(message.text),
                            message.message_id,
                            failure,
                            delivery.message.timestamp,
                        )
                    )
                    await delivery.ack()
        finally:
            began.set()
            await broker.close(0.1)

    async def _listen(self) -> None:
        while True:
            with suppress(GatewayUnreachable):
                async with Listener(f"http://127.0.0.1:{self._port}/") as listener:
                    async for event in listener:
                        self._see(event)
            await asyncio.sleep(0.1)

    def _see(self, event: object) -> None:
        events = event.conversation if isinstance(event, SnapshotEvent) else (event,)
        for one in events:
            if isinstance(one, TranscriptionEvent):
                failure = "" if one.success else str(one.error)
                self.seen.append(Came(one.device_id, sentence(one.text), one.utterance_id, failure))

    def answer(self, shown: ReplyShown) -> None:
        """A board was answered: each time counts."""
        failure = "fallback" if shown.fallback else "error" if shown.error else ""
        self.answered.append(Came(shown.device_id, sentence(shown.text.removeprefix(SAID)), "", failure))

    def excuse(self, device: str, *, accepted: bool) -> None:
        """A board died. What the gateway had accepted must come out, but the board will not hear of it."""
        places = ("boards",) if accepted else ("boards", "broker", "listener")
        for place in places:
            missing = {line for line in self._findings(place).lost if line.device == device}
            self.excused[place] |= missing

    # -- what came of it

    def findings(self) -> dict[str, Findings]:
        """By place: the broker, the boards, the listener."""
        places = ("broker", "boards", "listener") if "listener" in self._watchers else ("broker", "boards")
        return {place: self._findings(place) for place in places}

    def _findings(self, place: str) -> Findings:
        came = {"broker": self.heard.items, "boards": self.answered, "listener": self.seen}[place]
        found = check(self.script, came, self.excused[place])
        if place == "boards" and self._orchestrators > 1:
            # What a killed one had in hand is answered by another when its lease is over: late, and not astray.
            found = replace(found, late=found.late + found.out_of_order, out_of_order=())
        return found

    async def all_came(self) -> dict[str, Findings]:
        """Wait until nothing is missing, hear everybody's last words, and judge."""
        await self.until_nothing_is_missing()
        await asyncio.gather(*(speaker.say_last_words() for speaker in self.speakers))
        await self.until_nothing_is_missing()
        return self.findings()

    async def judge(self, seed: int, outcome: Outcome) -> None:
        """Add what came of it, and where something is wrong the gateway's last words."""
        found = await self.all_came()
        outcome.add(seed, found)
        if not all(one.clean for one in found.values()):
            outcome.fault(f"seed {seed}, the gateway: {(self.folder / 'log').read_text()[-LAST_LOG:]}")

    async def until_nothing_is_missing(self) -> None:
        """Or until nothing more has come for so long that nothing will."""
        clock = asyncio.get_running_loop().time
        came, until = -1, 0.0
        while self._something_is_missing() and (self._came() > came or clock() < until):
            if self._came() > came:
                came, until = self._came(), clock() + SETTLE_SECONDS
            await asyncio.sleep(0.05)

    def _came(self) -> int:
        return len(self.heard.items) + len(self.answered) + len(self.seen)

    def _something_is_missing(self) -> bool:
        """What came as something else is not waited for."""
        found = self.findings().values()
        return any(len(one.lost) > len(one.never_said) for one in found)


class Speaker:
    """One board and its user: session after session, not waiting for answers."""

    def __init__(self, scene: Scene, name: str, chance: random.Random) -> None:
        self.name = name
        self.task: asyncio.Task[None] | None = None
        self._scene = scene
        self._sessions = plays(name, chance)
        self._board: Board | None = None
        self._chance = chance
        self._to_say = 0

    async def switch_on(self) -> None:
        """A board with a boot of its own."""
        self._board = self._scene.board(self.name)
        self._board.told = Told(self._scene.answer)
        self._board._report = self._board.told
        await self._board.__aenter__()

    async def switch_off(self) -> None:
        """Power loss: what it still held, and its answers on the way, are gone with it."""
        if self._board is not None:
            await self._board.__aexit__(None, None, None)
            self._board = None

    async def lose_power(self) -> None:
        """It is off in the middle of whatever it does, and on again with another boot."""
        assert self._board is not None
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        ring = self._board.end._ring
        self._scene.excuse(self.name, accepted=ring.oldest == ring.next)
        await self.switch_off()
        await self.switch_on()
        if self.task is not None:
            self.begin(self._to_say)

    def begin(self, sessions: int) -> None:
        """Speak so many sessions beside everything else, with pauses of a person."""
        self._to_say = sessions
        self.task = asyncio.create_task(self._keep_speaking(), name=f"{self.name} speaks")

    async def _keep_speaking(self) -> None:
        while self._to_say and self.left:
            self._to_say -= 1
            await self._say(self._sessions.pop(0))
            await asyncio.sleep(self._chance.uniform(0, PAUSE_SECONDS))

    async def done(self) -> None:
        """It has said what it was to say."""
        while self.task is not None and not self.task.done():
            await asyncio.gather(self.task, return_exceptions=True)

    @property
    def left(self) -> int:
        """Sessions it can still speak before its last words."""
        return len(self._sessions) - LAST_WORDS

    async def say_last_words(self) -> None:
        """One more session."""
        await self._say(self._sessions.pop(0))

    async def _say(self, session: Session) -> None:
        assert self._board is not None
        self._scene.script.extend(session.lines)
        await self._board.say(session.pcm, end_on_silence=len(session.lines) > 1, patience=0)


class Told(Record):
    """What a board was told; its answers are handed on."""

    def __init__(self, answer: Callable[[ReplyShown], None]) -> None:
        super().__init__()
        self._answer = answer

    def __call__(self, item: Any) -> None:
        super().__call__(item)
        if isinstance(item, ReplyShown) and item.final:
            self._answer(item)
