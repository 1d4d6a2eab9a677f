"""A gateway that dies in the middle of whatever it does, and a house that goes on with the next one on its journal.

Each thing that others notice (a commit, a message published, one acknowledged) is a deed. One that dies ``at`` the
n-th deed has not done it, nor anything after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

from gateway.broker.base import BrokerError, Delivery, Message, MessageBroker, Receipt, Subscription
from gateway.broker.opening import open_broker
from gateway.journal import Journal
from gateway.journal.dead_letters import contents
from gateway.journal.effects import Effect
from gateway.journal.records import AgentRow, DeadLetterRow, LetterRow
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import Orchestrator
from gateway.settings.broker import BrokerSettings
from gateway.settings.journal import JournalSettings
from tests.gateway.works import Air, Works, open_works
from tests.record import passes
from tests.system.house import Board, running

NEVER = 1_000_000


class Fuse:
    """Counts the deeds of one gateway; at the ``at``-th it dies."""

    def __init__(self, at: int = NEVER) -> None:
        self.deeds: list[str] = []
        self.dead = asyncio.Event()
        self.works: Works | None = None
        self._at = at

    def blows(self, deed: str) -> bool:
        """Whether it dies before this."""
        if self.dead.is_set():
            return True
        self.deeds.append(deed)
        if len(self.deeds) < self._at:
            return False
        self.blow()
        return True

    def blow(self) -> None:
        self.dead.set()
        if self.works is not None:
            self.works.hush()


async def _nothing_more() -> None:
    await asyncio.Event().wait()


class _Handed:
    """A delivery whose settling is a deed."""

    def __init__(self, delivery: Delivery, fuse: Fuse) -> None:
        self._delivery = delivery
        self._fuse = fuse
        self.message: Message = delivery.message
        self.attempt = delivery.attempt

    async def ack(self) -> None:
        if self._fuse.blows(f"ack {self.message.topic}"):
            await _nothing_more()
        await self._delivery.ack()

    async def nack(self, delay: float = 0.0) -> None:
        await self._delivery.nack(delay)

    async def reject(self, reason: str) -> None:
        if self._fuse.blows(f"reject {self.message.topic}: {reason}"):
            await _nothing_more()
        await self._delivery.reject(reason)


class _Handing:
    """A subscription of a gateway that may die."""

    def __init__(self, subscription: Subscription, fuse: Fuse) -> None:
        self._subscription = subscription
        self._fuse = fuse

    async def __aenter__(self) -> Self:
        await self._subscription.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._subscription.__aexit__(None, None, None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _Handed:
        delivery = await self._subscription.__anext__()
        if self._fuse.dead.is_set():
            await _nothing_more()
        return _Handed(delivery, self._fuse)


class MortalBroker:
    """The gateway's end of a broker; the presence of agents is nobody's deed."""

    refused = b""
    """What is never taken of its messages: those with these bytes, and those of this topic."""
    refused_topic = ""

    def __init__(self, broker: MessageBroker, fuse: Fuse) -> None:
        self._broker = broker
        self._fuse = fuse

    async def publish(self, topic: str, key: Any, payload: bytes, **options: Any) -> Receipt:
        if self._fuse.blows(f"publish {topic}"):
            await _nothing_more()
        if topic == self.refused_topic or (self.refused and self.refused in payload):
            raise BrokerError("not today")
        return await self._broker.publish(topic, key, payload, **options)

    def subscribe(self, topic: str, *arguments: Any, **options: Any) -> Any:
        subscription = self._broker.subscribe(topic, *arguments, **options)
        return subscription if topic == "orchestrator.presence" else _Handing(subscription, self._fuse)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)


class House:
    """A broker, agents and boards that stay, and one gateway after the other."""

    def __init__(self, folder: Path, url: str) -> None:
        self.journal = folder / "journal.db"
        self.url = url
        self.settings: dict[str, Any] = {}
        self.boards: list[Board] = []
        self.inside: list[Orchestrator] = []
        """Who lives and dies with each gateway, in its process."""
        self.asked: list[tuple[str, str, str]] = []
        """Who worked on what, under which request id: agent, correlation id, request id."""
        self.undone: list[tuple[str, str]] = []
        """Who undid what: agent, request id."""
        self.cannot_undo = 0
        """So often undoing fails."""
        self._life = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._life.aclose()

    def open_broker(self) -> MessageBroker:
        return open_broker(self.url, BrokerSettings(url=self.url, lease_seconds=1.0))

    async def work(self, *agents: Orchestrator) -> None:
        """These are there, whatever becomes of the gateway."""
        for agent in agents:
            broker = self.open_broker()
            self._life.push_async_callback(broker.close, 0.1)
            self._life.enter_context(running(agent.run(broker)))

    @asynccontextmanager
    async def working(self, agent: Orchestrator) -> AsyncIterator[None]:
        """It is there, and then it is gone."""
        broker = self.open_broker()
        with running(agent.run(broker)):
            yield
        await broker.close(0.1)

    def agent(self, name: str, answer: Any) -> Orchestrator:
        """``answer(heard)`` is a coroutine; that it was called is remembered."""
        one = Orchestrator(name)

        @one.on_transcript
        async def answers(heard: Heard) -> Any:
            self.asked.append((name, heard.correlation_id, heard.request_id))
            return await answer(heard)

        @one.on_compensation
        async def undo(heard: Heard, _reason: str) -> None:
            self.cannot_undo -= 1
            if self.cannot_undo >= 0:
                raise LookupError("not now")
            self.undone.append((name, heard.request_id))

        return one

    async def board(self, name: str = "kitchen") -> Board:
        """One on a wire that nobody holds yet."""
        one = Board(name, _Loose(name), speed=float("inf"), ring_frames=6000)
        self.boards.append(await self._life.enter_async_context(one))
        return one

    @asynccontextmanager
    async def gateway(self, at: int = NEVER, **parts: dict[str, Any]) -> AsyncIterator[tuple[Works, Fuse]]:
        """One that dies at its ``at``-th deed, or at the end of the block at the latest."""
        fuse, broker = Fuse(at), self.open_broker()
        try:
            options = {"subscribed": False, "journal": self.journal, **(parts or self.settings)}
            async with _mortal(MortalBroker(broker, fuse), fuse, options) as works:
                for board in self.boards:
                    board.wire.move(works.carrier)  # type: ignore[attr-defined]
                try:
                    with running(*(agent.run(works.broker) for agent in self.inside)):
                        yield works, fuse
                finally:
                    fuse.blow()
                    for board in self.boards:
                        board.wire.unplug()  # type: ignore[attr-defined]
                    await asyncio.sleep(0)
        finally:
            await broker.close(0.0)

    # -- what is left

    async def left(self) -> tuple[list[LetterRow], list[AgentRow], list[DeadLetterRow]]:
        """Messages, what is known of agents, dead letters."""
        async with Journal(JournalSettings(path=str(self.journal))) as one:
            letters = await one.letters(0, 1000)
            return letters, [row async for row in one.agents()], [row async for row in one.dead_letters()]


class _Loose(Air):
    """A wire that can be plugged into another gateway."""

    def __init__(self, name: str) -> None:
        super().__init__(None, name)  # type: ignore[arg-type]
        self._plugged.clear()

    def move(self, carrier: Any) -> None:
        self._carrier = carrier
        self.replug()


@asynccontextmanager
async def _mortal(broker: MortalBroker, fuse: Fuse, options: dict[str, Any]) -> AsyncIterator[Works]:
    with suppress(BrokerError):
        async with open_works(beside=broker, on_made=lambda works: _arm(works, fuse), **options) as works:  # type: ignore[arg-type]
            yield works


def _arm(works: Works, fuse: Fuse) -> None:
    fuse.works = works
    commit = works.journal.commit

    def deadly(*effects: Effect) -> asyncio.Future[bool]:
        names = " ".join(type(effect).__name__ for effect in effects)
        if effects and fuse.blows(f"commit {names}"):
            return asyncio.get_running_loop().create_future()
        return commit(*effects)

    works.journal.commit = deadly  # type: ignore[method-assign]


async def are_there(works: Works, *names: str) -> None:
    """They have told the gateway."""
    agents, now = works.pipeline.agents, asyncio.get_running_loop().time
    assert agents is not None
    await passes(lambda: all(agents._agents[name].copies.here(now()) for name in names))


async def until_idle(works: Works) -> None:
    await works.idle()
    await passes(lambda: works.pipeline._outbox.waiting == 0)


def words_of(letter: DeadLetterRow) -> bytes:
    inside = contents(letter)
    assert isinstance(inside, LetterRow)
    return inside.payload
