"""What a hub has missed, asked of the gateway that said it or of another hub; and what others ask of this one."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import structlog

from firmware_bridge.pacing import Allowance
from gateway.broker.base import BrokerClosed, BrokerError, BufferPolicy, MessageBroker, RoutingKey
from gateway.contract.events import HUB_EPOCH
from gateway.contract.house import (
    ASKS_TOPIC,
    MOST_IN_BATCH,
    MOST_STANDING,
    TOLD_TOPIC,
    HouseAsk,
    HouseTold,
    decode_ask,
    decode_shown,
    decode_told,
)
from gateway.contract.messages import BadMessage, encode, new_id
from gateway.house.incoming import Incoming
from gateway.house.neighbours import Neighbour
from gateway.house.outgoing import BATCH_BYTES, Outgoing
from gateway.house.presence import HousePresence
from gateway.house.statements import Statements
from gateway.hub.hub import Hub

log = structlog.get_logger(__name__)

TELL_SECONDS = 1.5
"""Who has told nothing for so long is not waited for."""
ATTEMPTS = 4
AGAIN_SECONDS = 0.3
ASKS_AT_ONCE = 32
ASKS_PER_SECOND = 4.0
"""That this one answers; others are left to ask somebody else."""


@dataclass(slots=True)
class _Waiting:
    """An ask of ours. ``parts`` counts what came of the answer."""

    whom: str
    parts: int = 0
    anew: set[str] = field(default_factory=set)
    """Epochs of which so much is forgotten that listeners begin anew."""
    done: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)


class HouseAsks:
    """Both ends of asking, of one hub."""

    def __init__(
        self,
        hub: Hub,
        incoming: Incoming,
        outgoing: Outgoing,
        statements: Statements,
        presence: HousePresence,
    ) -> None:
        self.is_ready = False
        """Whether this hub knows what there was in the house before it came."""
        self.counts: Counter[str] = Counter()
        self._hub = hub
        self._incoming = incoming
        self._outgoing = outgoing
        self._statements = statements
        self._presence = presence
        self._tasks: asyncio.TaskGroup | None = None
        self._waiting: dict[str, _Waiting] = {}
        self._gaps: dict[str, asyncio.Task[None]] = {}
        self._allowance = Allowance(ASKS_AT_ONCE, ASKS_PER_SECOND, time.monotonic())

    async def run(self, broker: MessageBroker, name: str) -> None:
        """Until the broker is closed."""
        self._broker, self._name = broker, name
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                answering = tasks.create_task(self._hear_asks(), name="asks of other hubs")
                await self._hear_told()
                self._tasks = None
                answering.cancel()
                for gap in self._gaps.values():
                    gap.cancel()
        except* BrokerClosed:
            pass  # before it was ever there
        finally:
            self._tasks = None
            self._gaps.clear()

    # -- what this one has missed

    def missed(self, epoch: str) -> None:
        """Something of it is missing: asked for, once."""
        if self.is_ready and self._tasks is not None and epoch not in self._gaps:
            self._gaps[epoch] = self._tasks.create_task(self._fill(epoch), name=f"gap of {epoch}")

    async def whole(self, whom: Neighbour) -> bool:
        """All that another hub knows; whether it told."""
        told = await self._ask(whom, self._incoming.seqs(), whole=True)
        self._hub.history.mix()
        return told

    async def _fill(self, epoch: str) -> None:
        try:
            await self._asked_in_turn(epoch)
        except BrokerClosed:
            return
        finally:
            self._gaps.pop(epoch, None)

    async def _asked_in_turn(self, epoch: str) -> None:
        for whom in self._whom(epoch):
            told = await self._ask(whom, {epoch: self._incoming.seq(epoch)})
            if told and self._incoming.release(epoch):
                return
            await asyncio.sleep(AGAIN_SECONDS)
        followed = self._incoming.followed(epoch)
        if followed is not None and followed.is_behind:
            self.counts["never told"] += 1
            log.warning(
                "events of another gateway are lost here", gateway=followed.gateway, after=followed.seq
            )
            self._incoming.release(epoch, whatever_is_missing=True)
            self._hub.renew()

    def _whom(self, epoch: str) -> list[Neighbour]:
        """The gateway itself first, then whoever else knows."""
        neighbours = self._presence.neighbours
        itself = neighbours.of_epoch(epoch)
        others = [one for one in neighbours.here() if one.facts.ready and one is not itself]
        random.shuffle(others)
        first = [itself] if itself is not None and itself.is_here else []
        return [*first, *first, *others][:ATTEMPTS]

    async def _ask(self, whom: Neighbour, after: dict[str, int], *, whole: bool = False) -> bool:
        ask = HouseAsk(ask=new_id("a"), gateway=self._name, to=whom.facts.instance, after=after, whole=whole)
        waiting = self._waiting[ask.ask] = _Waiting(whom.name)
        self.counts["asked"] += 1
        try:
            await self._broker.publish(ASKS_TOPIC, RoutingKey("house", whom.name, self._name), encode(ask))
            while not waiting.done.is_set():
                waiting.news.clear()
                async with asyncio.timeout(TELL_SECONDS):
                    await waiting.news.wait()
        except BrokerClosed:
            raise
        except (BrokerError, TimeoutError):
            return False
        finally:
            del self._waiting[ask.ask]
            if waiting.anew:
                self._hub.renew()
        return True

    async def _hear_told(self) -> None:
        told = self._broker.subscribe(TOLD_TOPIC, f"device.{self._name}", policy=BufferPolicy.DROP_OLDEST)
        async with told as deliveries:
            async for delivery in deliveries:
                try:
                    self._told(decode_told(delivery.message.payload))
                except BadMessage as error:
                    self.counts["unreadable"] += 1
                    log.warning("what another hub told is refused", reason=str(error))
                with suppress(BrokerError):
                    await delivery.ack()

    def _told(self, told: HouseTold) -> None:
        waiting = self._waiting.get(told.ask)
        if waiting is None or waiting.whom != told.gateway:
            self.counts["unasked"] += 1
            return
        try:
            if told.epoch and not self._incoming.is_own(told.epoch):
                if self._incoming.told(told, quietly=told.epoch in waiting.anew):
                    waiting.anew.add(told.epoch)
            elif not told.epoch:
                self._take_statements(told)
        finally:
            waiting.parts += 1
            if told.last:
                waiting.done.set()
            waiting.news.set()

    def _take_statements(self, told: HouseTold) -> None:
        """What another hub says of gateways that are not there is what this one would say."""
        for raw in told.standing:
            event, _ = decode_shown(raw)
            if event.epoch.startswith(HUB_EPOCH):
                self._hub.stands(self._statements.restated(event).event)  # type: ignore[arg-type]

    # -- what others have missed

    async def _hear_asks(self) -> None:
        asks = self._broker.subscribe(ASKS_TOPIC, f"device.{self._name}", policy=BufferPolicy.DROP_OLDEST)
        async with asks as deliveries:
            async for delivery in deliveries:
                with suppress(BrokerError):
                    await delivery.ack()
                try:
                    ask = decode_ask(delivery.message.payload)
                except BadMessage as error:
                    self.counts["unreadable"] += 1
                    log.warning("what another hub asks cannot be read", reason=str(error))
                    continue
                if ask.to == self._presence.instance and self._allowance.take(time.monotonic()):
                    with suppress(BrokerError):
                        await self._answer(ask)

    async def _answer(self, ask: HouseAsk) -> None:
        self.counts["answered"] += 1
        key = RoutingKey("house", ask.gateway, self._name)
        for told in self._answers(ask):
            await self._broker.publish(TOLD_TOPIC, key, encode(told))

    def _answers(self, ask: HouseAsk) -> Iterator[HouseTold]:
        known = {**self._incoming.seqs(), self._hub.epoch: self._outgoing.seq}
        after = {**dict.fromkeys(known, 0), **ask.after} if ask.whole else ask.after
        for epoch, seq in after.items():
            if epoch in known and not epoch.startswith(HUB_EPOCH):
                yield from self._of(ask, epoch, seq, known[epoch])
        end = HouseTold(ask=ask.ask, gateway=self._name, last=True)
        if ask.whole:
            end = msgspec.structs.replace(end, standing=self._standing(self._statements.epoch))
        yield end

    def _of(self, ask: HouseAsk, epoch: str, after: int, seq: int) -> Iterator[HouseTold]:
        forgotten = self._hub.history.forgotten(epoch)
        followed = self._incoming.followed(epoch)
        told = HouseTold(
            ask=ask.ask,
            gateway=self._name,
            epoch=epoch,
            of=self._name if followed is None else followed.gateway,
            forgotten=forgotten,
            seq=seq,
            standing=self._standing(epoch) if after < forgotten else (),
        )
        events: list[msgspec.Raw] = []
        size = 0
        for item in self._hub.history.of(epoch, max(after, forgotten)):
            if events and (size + item.size > BATCH_BYTES or len(events) >= MOST_IN_BATCH):
                yield msgspec.structs.replace(told, events=tuple(events))
                told = msgspec.structs.replace(told, standing=())
                events, size = [], 0
            events.append(msgspec.Raw(item.data))
            size += item.size
        yield msgspec.structs.replace(told, events=tuple(events))

    def _standing(self, epoch: str) -> tuple[msgspec.Raw, ...]:
        picture = self._hub.standing()
        parts = (*picture.devices, *picture.sessions, *picture.health, *picture.conversation)
        return tuple(msgspec.Raw(encode(one)) for one in parts if one.epoch == epoch)[-MOST_STANDING:]
