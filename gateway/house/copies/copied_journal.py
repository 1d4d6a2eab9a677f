"""The journal of a gateway for which another stands by: what is durable is in that one's journal, too.

As long as nobody stands by, or the other one does not answer for ``ALONE_SECONDS``, it goes on alone, and says so.
While the place may be another's, nothing of devices that the other one may hear, too, becomes durable here.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import structlog

from gateway.broker.base import BrokerClosed, BrokerError, MessageBroker, RoutingKey
from gateway.contract.messages import BadMessage, new_id
from gateway.house.copies.wire import (
    COPIED_TOPIC,
    COPIES_TOPIC,
    MOST_PARTS,
    BatchCopied,
    CopyPart,
    decode_copied,
    encode,
    pack,
    pieces,
)
from gateway.house.row.tenure import LEASE_SECONDS, RENEW_SECONDS, Tenure
from gateway.house.row.wire import MSGPACK
from gateway.journal.effects import Effect, KeptAlone, KeptTogether, SetApart, WentAlone
from gateway.journal.errors import JournalError, NotDurable
from gateway.journal.journal import Journal
from gateway.journal.tables.copying import OF_ONE_BOX, everything, names

log = structlog.get_logger(__name__)

ALONE_SECONDS = LEASE_SECONDS + RENEW_SECONDS
"""No device waits longer for the other one's disk. By then, one that is cut off has lost its place."""
BEAT_SECONDS = 1.0
"""How often the other one is told something, be it nothing."""
FIRST_SECONDS = 30.0
"""How long a copy of all that is there may take."""
AGAIN_SECONDS = 1.0
LOOK_SECONDS = 0.25
NOBODY = "nobody stands by"
TERM_NUMBERS = 10_000_000
"""Messages of one run: those of two that had the place one after the other have numbers of their own."""


class CopyState(enum.Enum):
    """How it is with the other one."""

    ALONE = "alone"
    COPYING = "copying"
    TOGETHER = "together"


@dataclass(slots=True, eq=False)
class _Waiting:
    """A commit whose other half is not done. ``local``: its own half; ``ticket``: who waits for both."""

    effects: tuple[Effect, ...]
    local: asyncio.Future[bool]
    ticket: asyncio.Future[bool]


class CopiedJournal(Journal):
    """A ``Journal`` with a second one behind it."""

    copies: JournalCopies

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._begin_term(TERM_NUMBERS)
        return self

    def commit(self, *effects: Effect) -> asyncio.Future[bool]:
        """As in the journal; awaiting it waits for the other one's, too."""
        return self.copies.commit(effects)

    def commit_here(self, *effects: Effect) -> asyncio.Future[bool]:
        """In this journal alone."""
        return super().commit(*effects)


class JournalCopies:
    """Keeps the other one's journal as ours is."""

    def __init__(
        self,
        journal: CopiedJournal,
        broker: MessageBroker,
        tenure: Tenure,
        *,
        is_there: Callable[[], bool],
        is_only_here: Callable[[str], bool],
        on_standing: Callable[[bool, str], None],
    ) -> None:
        """``is_there``: whether somebody stands by. ``is_only_here``: whether no other gateway hears a device (its id).

        ``on_standing``: whether all is there, too, and why not.
        """
        self.standing = CopyState.ALONE
        journal.copies = self
        self._journal = journal
        self._broker = broker
        self._tenure = tenure
        self._is_there = is_there
        self._is_only_here = is_only_here
        self._on_standing = on_standing
        self._queue: list[_Waiting] = []
        self._flight: list[_Waiting] = []
        self._held: list[_Waiting] = []
        self._news = asyncio.Event()
        self._copy = ""
        self._number = 0
        self._answer: asyncio.Future[BatchCopied] | None = None
        self._is_ours = False
        self._is_said = False
        self._is_over = False

    @property
    def is_together(self) -> bool:
        """Whether all that is durable is there, too."""
        return self.standing is CopyState.TOGETHER

    # -- as the journal sees it

    def commit(self, effects: tuple[Effect, ...]) -> asyncio.Future[bool]:
        """Make all of them durable, here and there."""
        shared = tuple(effect for effect in effects if not isinstance(effect, OF_ONE_BOX))
        if not shared:
            return self._journal.commit_here(*effects)
        is_free = self._may_go_alone(shared)
        if not is_free and self._is_ours:
            self._is_ours = False
            self._journal.commit_here(SetApart())
        local = self._journal.commit_here(*effects)
        if self._is_over and not is_free:
            return local
        if self.standing is CopyState.COPYING and is_free:  # as long as it lasts, what is here is enough
            self._queue.append(_Waiting(shared, local, local))
            return local
        waiting = _Waiting(shared, local, asyncio.get_running_loop().create_future())
        waiting.ticket.add_done_callback(_looked_at)
        if self.standing is not CopyState.ALONE and not self._is_over:
            self._queue.append(waiting)
            self._news.set()
        elif is_free:
            self._keep_alone(waiting)
            return local
        else:
            self._held.append(waiting)
        return waiting.ticket

    def give_up(self) -> None:
        """The place is another's: whoever waits for that one's disk is told that it is in vain."""
        self._is_over = True
        waiting = [*self._flight, *self._queue, *self._held]
        self._flight, self._queue, self._held = [], [], []
        for one in waiting:
            if not one.ticket.done() and one.ticket is not one.local:
                one.ticket.set_exception(NotDurable("another gateway has the place of this one"))

    async def flush(self, seconds: float) -> None:
        """Wait, for a while, until the other one has everything."""
        end = time.monotonic() + seconds
        while self.is_together and (self._queue or self._flight) and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    # -- what goes on beside

    async def run(self) -> None:
        """Until the broker is closed."""
        key = f"device.{self._tenure.place}"
        async with self._broker.subscribe(COPIED_TOPIC, key) as copied, asyncio.TaskGroup() as tasks:
            copying = tasks.create_task(self._copy_all(), name="copies of the journal")
            releasing = tasks.create_task(self._release_held(), name="what waits for no copy")
            async for delivery in copied:
                self._hear(delivery.message.payload)
                with suppress(BrokerError):
                    await delivery.ack()
            copying.cancel()
            releasing.cancel()

    def _hear(self, payload: bytes) -> None:
        try:
            told = decode_copied(payload)
        except BadMessage as error:
            log.warning("what the gateway that stands by tells cannot be read", reason=str(error))
            return
        answer = self._answer
        if (
            answer is not None
            and not answer.done()
            and (told.copy, told.number) == (self._copy, self._number)
        ):
            answer.set_result(told)

    async def _copy_all(self) -> None:
        await self._go_alone("")
        while True:
            reason = ""
            if self._tenure.holds:
                if self._is_said:
                    self._become_own()
                if self._is_there():
                    reason = await self._copy_until_lost()
            if self.standing is not CopyState.ALONE:
                await self._go_alone(reason)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _copy_until_lost(self) -> str:
        """Why it is over. Whoever is told of a loss by then has all that waited."""
        try:
            await self._until_it_listens()
            await self._first()
            while True:
                await self._next()
        except BrokerClosed:
            raise
        except (BrokerError, JournalError, TimeoutError) as error:
            return str(error) or "it does not answer"

    async def _until_it_listens(self) -> None:
        """All that is there would be told in vain, and waited for long. Whatever is answered to nothing is enough."""
        self._copy, self._number = new_id("copy"), 0
        await self._tell([], BEAT_SECONDS)

    async def _first(self) -> None:
        """All that is there, and what comes meanwhile."""
        self._copy, self._number = new_id("copy"), 0
        self._set(CopyState.COPYING, "it is being copied")
        there = await self._journal.ask(everything)
        await self._send([there], FIRST_SECONDS)
        while self._queue:
            await self._send_queue(FIRST_SECONDS)
        self._journal.commit_here(KeptTogether())
        self._is_ours = False
        self._set(CopyState.TOGETHER, "")

    async def _next(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(BEAT_SECONDS):
                await self._news.wait()
        self._news.clear()
        await self._send_queue(ALONE_SECONDS)

    async def _send_queue(self, seconds: float) -> None:
        self._flight, self._queue = self._queue, []
        await self._send([one.effects for one in self._flight], seconds)
        for one in self._flight:  # the other one has it: it is as it is here
            _settle(one)
        self._flight = []

    async def _send(self, commits: list[tuple[Effect, ...]], seconds: float) -> None:
        """Until the other one has it. Raises TimeoutError, BrokerError and JournalError."""
        told = await self._tell(commits, seconds)
        if told.reason:
            raise JournalError(told.reason)

    async def _tell(self, commits: list[tuple[Effect, ...]], seconds: float) -> BatchCopied:
        """Its answer. Raises TimeoutError, BrokerError and JournalError."""
        self._number += 1
        self._answer = asyncio.get_running_loop().create_future()
        data = list(pieces(pack(commits)))
        if len(data) > MOST_PARTS:
            raise JournalError("it is too much to be copied")
        async with asyncio.timeout(seconds):
            await self._until_published(data)
            return await self._answer

    async def _until_published(self, data: list[bytes]) -> None:
        for part, piece in enumerate(data):
            message = CopyPart(
                gateway=self._tenure.holder,
                copy=self._copy,
                number=self._number,
                part=part,
                parts=len(data),
                data=piece,
            )
            while True:
                try:
                    await self._publish(message)
                    break
                except BrokerClosed:
                    raise
                except BrokerError as error:
                    log.debug("the journal is not copied", reason=str(error))
                    await asyncio.sleep(LOOK_SECONDS)

    async def _publish(self, part: CopyPart) -> None:
        key = RoutingKey("house", self._tenure.place, "journal")
        await self._broker.publish(COPIES_TOPIC, key, encode(part), content_type=MSGPACK)

    # -- alone

    async def _go_alone(self, reason: str) -> None:
        self._held += [one for one in (*self._flight, *self._queue) if one.ticket is not one.local]
        self._flight, self._queue = [], []
        self._set(CopyState.ALONE, reason)
        self._is_ours = False
        self._is_said = False
        await self._say_alone()

    async def _say_alone(self) -> None:
        """Alone goes only whom the broker hears: who is cut off waits, however long its lease may last."""
        if self._is_said or not self._tenure.holds:
            return
        void = CopyPart(gateway=self._tenure.holder, copy=self._copy, number=self._number, void=True)
        try:
            await self._publish(void)
        except BrokerError as error:
            log.debug("the other one does not know that it has no copy", reason=str(error))
            return
        self._is_said = True
        if self._tenure.holds:
            self._become_own()
        self._release()

    def _become_own(self) -> None:
        if not self._is_ours:
            self._is_ours = True
            self._journal.commit_here(WentAlone())

    async def _release_held(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.standing is CopyState.ALONE:
                await self._say_alone()
                self._release()

    def _release(self) -> None:
        held, self._held = self._held, []
        for one in held:
            if self._may_go_alone(one.effects):
                self._keep_alone(one)
                _settle(one)
            else:
                self._held.append(one)

    def _may_go_alone(self, effects: tuple[Effect, ...]) -> bool:
        """What the other one may hear itself is not durable here while the place may be that one's."""
        return (self._is_said and self._tenure.holds) or all(map(self._is_only_here, _devices(effects)))

    def _keep_alone(self, one: _Waiting) -> None:
        rows = names(one.effects)
        if rows and not self._is_ours:
            self._journal.commit_here(KeptAlone(rows))

    def _set(self, standing: CopyState, reason: str) -> None:
        self.standing = standing
        self._on_standing(self.is_together, reason or NOBODY)


def _devices(effects: tuple[Effect, ...]) -> set[str]:
    """Whose speech, texts and answers these are about; those that only end something name nobody."""
    parts = [part for effect in effects for part in (effect, *msgspec.structs.astuple(effect))]
    return {device_id for part in parts if (device_id := getattr(part, "device_id", ""))}


def _settle(one: _Waiting) -> None:
    if one.ticket is not one.local:
        one.local.add_done_callback(lambda local: _pass_on(local, one.ticket))


def _pass_on(local: asyncio.Future[Any], ticket: asyncio.Future[Any]) -> None:
    if ticket.done():
        return
    if local.cancelled():
        ticket.cancel()
    elif (error := local.exception()) is not None:
        ticket.set_exception(error)
    else:
        ticket.set_result(local.result())


def _looked_at(future: asyncio.Future[bool]) -> None:
    if not future.cancelled():
        future.exception()
