"""Messages on their way to the broker: in the order in which a device said them, tried until the broker has them.

A message leaves the journal only with the broker's receipt. A receipt that promises no more than the
broker's memory is none: such a message stays in the journal until its answer is here, and is published again
when the broker may have forgotten it. What is more than fits into memory waits in the journal alone. Of devices that
wait an urgent one is next, with one message; those of each class have at least one turn in ten.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Self, TypeAlias

import structlog

from firmware_bridge.pacing import Backoff
from gateway.broker.base import (
    BrokerClosed,
    BrokerError,
    BrokerStatus,
    BrokerUnavailable,
    Durability,
    MessageBroker,
    Receipt,
    RoutingKey,
)
from gateway.contract.messages import PRIORITY_HEADER, RESULTS_TOPIC
from gateway.journal import AnyJournal, JournalError
from gateway.journal.dead_letters import unpublished
from gateway.journal.effects import Published, Queued
from gateway.journal.records import LetterRow
from gateway.pipeline.asking.unanswered import Unanswered
from gateway.process.mishaps import Mishaps
from transcription.priority import Priority, UrgentFirst, priority_of

log = structlog.get_logger(__name__)

HELD_LETTERS = 1024
"""Messages of a class that are held in memory, beside those that could not be journaled."""
UNJOURNALED_LETTERS = 4 * HELD_LETTERS
"""All of a class that is held in memory; further messages that could not be journaled are lost, and counted."""
PAGE = HELD_LETTERS // 2
"""Messages read from the journal at a time: a question to it waits behind all that is to be written."""
IN_FLIGHT = 64
"""Devices whose messages are being published at once."""
FIRST_RETRY_SECONDS = 0.1
LONGEST_RETRY_SECONDS = 1.0
"""A broker that is away is tried again after so long, doubling."""
AGAIN_SECONDS = 5.0
"""What a broker may have forgotten is published again at once, and once more when everybody who reads there
must be back, too: a broker that has nobody subscribed may keep nothing."""


@dataclass(frozen=True, slots=True)
class Posted:
    """The broker has a message."""

    letter: LetterRow
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Delayed:
    """The broker is not there to take a message; told at each attempt."""

    letter: LetterRow


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker will never take a message."""

    letter: LetterRow
    reason: str


Fate: TypeAlias = Posted | Delayed | Refused
"""What has become of a message."""


@dataclass(slots=True)
class _Backlog:
    """The messages of one class: how many are held, and how much of the journal's are read.

    ``more``: there are others in the journal, beyond what is held.
    """

    more: bool
    held: int = 0
    reading: bool = False
    read_to: int = 0
    passed_over: int = 0


class Outbox:
    """Publishes letters. ``async with``; nothing is published before ``start``."""

    def __init__(
        self,
        broker: MessageBroker,
        journal: AnyJournal,
        unanswered: Unanswered,
        tell: Callable[[Fate], None] = lambda _fate: None,
        mishaps: Mishaps | None = None,
    ) -> None:
        """``unanswered`` says whose answers are awaited, and takes what the broker may forget until then."""
        self.lost = 0
        """Messages that could be kept nowhere."""
        self.attempts: Counter[str] = Counter(dict.fromkeys(("published", "delayed", "refused", "failed"), 0))
        """Attempts to publish, by how they ended."""
        self._broker = broker
        self._journal = journal
        self._unanswered = unanswered
        self._tell = tell
        self._mishaps = Mishaps() if mishaps is None else mishaps
        self._held: dict[int, LetterRow] = {}
        self._lanes: dict[str, deque[LetterRow]] = {}
        self._idle: UrgentFirst[str] = UrgentFirst()  # lanes of which nothing is being published just now
        self._busy = 0
        self._backlogs = {one: _Backlog(journal.keeps) for one in Priority}
        self._unreadable = False
        self._again: set[int] = set()  # those of them that are being published again
        self._erased: set[int] = set()  # those of what is held that are not to be published any more
        self._instance = ""
        self._away_since: float | None = None
        self._backoff = Backoff(FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS)
        self._open = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """What is not published by now stays in the journal."""
        self._open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self) -> None:
        """Publish, first of all what a gateway before this one left in the journal."""
        self._open = True
        self._go_on()

    @property
    def waiting(self) -> int:
        """Messages in memory that the broker does not have."""
        return len(self._held)

    # -- in

    def put(self, letter: LetterRow, *, journaled: bool) -> None:
        """Publish it after those of its lane that were put before. ``journaled``: it is safe in the journal."""
        backlog = self._backlogs[_priority(letter)]
        if journaled and (backlog.more or backlog.held >= HELD_LETTERS):
            backlog.more = True  # it is read when its turn comes
            backlog.passed_over += 1
        elif backlog.held >= UNJOURNALED_LETTERS:
            self.lost += 1
            log.error("message lost: neither journal nor broker takes it", **_in_log(letter))
        else:
            self._hold(letter)
            if journaled:
                backlog.read_to = letter.number
        self._go_on()

    def erase(
        self,
        is_gone: Callable[[LetterRow], bool],
        without: Callable[[LetterRow], LetterRow | None] = lambda _letter: None,
    ) -> set[str]:
        """Publish these no more, unless they are on the wire just now; their correlation ids.

        ``without``: a message that stays, without what is erased; None: it has nothing of that.
        """
        gone = [one for one in (*self._held.values(), *self._unanswered.kept()) if is_gone(one)]
        for letter in gone:
            if letter.number in self._held:
                self._erased.add(letter.number)
            self._unanswered.end(letter.answer_id)
            self._journal.commit(Published(letter.number))
        for letter in {one.number: one for one in (*self._held.values(), *self._unanswered.kept())}.values():
            rest = None if letter.number in self._erased else without(letter)
            if rest is not None:
                self._rewrite(letter, rest)
        return {one.correlation_id for one in gone if one.correlation_id}

    def _rewrite(self, letter: LetterRow, rest: LetterRow) -> None:
        self._unanswered.replace(letter, rest)
        if letter.number in self._held:
            self._held[letter.number] = rest
            lane = self._lanes[_lane(letter)]
            lane[lane.index(letter)] = rest
        self._journal.commit(Queued(rest))

    def broker_changed(self, status: BrokerStatus) -> None:
        """To be told of each new connection before anything is published on it.

        What was only in the broker's memory is published again, under the same ``message_id``, unless the
        broker tells that it has not been restarted.
        """
        if not status.connected:
            return
        forgetful = not status.instance or status.instance != self._instance
        self._instance = status.instance
        if not forgetful:
            return
        letters = self._unanswered.kept()
        if letters:
            log.info("messages that the broker may have lost are published again", count=len(letters))
            self._publish_again(letters)
        self._spawn(self._publish_once_more, "outbox, once more")

    def _hold(self, letter: LetterRow, *, first: bool = False) -> None:
        if letter.number in self._held:
            return
        self._held[letter.number] = letter
        self._backlogs[_priority(letter)].held += 1
        name = _lane(letter)
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = deque()
            self._idle.put(name, _priority(letter))
        lane.insert(0 if first else len(lane), letter)

    def _publish_again(self, letters: Iterable[LetterRow]) -> None:
        """Before all that their devices have said since."""
        for letter in sorted(letters, key=lambda one: one.number, reverse=True):
            if letter.number in self._held:
                continue
            self._again.add(letter.number)
            self._hold(letter, first=True)
        self._go_on()

    async def _publish_once_more(self) -> None:
        """What has no answer by then, also of what was published while those who read there were coming back."""
        await asyncio.sleep(AGAIN_SECONDS / 2)
        letters = self._unanswered.kept()
        await asyncio.sleep(AGAIN_SECONDS / 2)
        self._publish_again(letter for letter in letters if letter.answer_id in self._unanswered)

    # -- out

    def _go_on(self) -> None:
        if not self._open:
            return
        while self._idle and self._busy < IN_FLIGHT:
            self._busy += 1
            self._spawn(self._publish_lanes, "publish")
        self._read_on()

    def _read_on(self) -> None:
        """Of each class of which so few are held that there is room."""
        for priority, backlog in self._backlogs.items() if self._open else ():
            if backlog.more and not backlog.reading and backlog.held <= HELD_LETTERS // 2:
                backlog.reading = True
                self._spawn(partial(self._read, priority, backlog), f"outbox {priority}")

    def _spawn(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        """Everybody's messages, so that nobody's ids are on it who happened to put one."""
        task = asyncio.create_task(self._contained(work), name=name, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _contained(self, work: Callable[[], Awaitable[None]]) -> None:
        with self._mishaps.contained("the outbox"):
            await work()

    async def _read(self, priority: Priority, backlog: _Backlog) -> None:
        """The next page of what waits in the journal."""
        try:
            await self._read_page(priority, backlog)
        except Exception as error:  # noqa: BLE001 - the boundary: the rest is still to be read
            self._mishaps.note("the outbox", error)
            await asyncio.sleep(LONGEST_RETRY_SECONDS)
        backlog.reading = False
        self._go_on()

    async def _read_page(self, priority: Priority, backlog: _Backlog) -> None:
        passed_over = backlog.passed_over
        try:
            letters = await self._journal.letters(backlog.read_to, PAGE, priority)
        except JournalError as error:
            if not self._unreadable:
                log.warning("the outbox cannot be read", reason=str(error))
            self._unreadable = True
            await asyncio.sleep(LONGEST_RETRY_SECONDS)
        else:
            self._unreadable = False
            for letter in letters:
                self._hold(letter)
                backlog.read_to = letter.number
            backlog.more = len(letters) == PAGE or backlog.passed_over != passed_over

    async def _publish_lanes(self) -> None:
        """One message after the other, each of the device whose turn it is."""
        try:
            while self._idle:
                name = self._idle.get()
                lane = self._lanes[name]
                letter = lane[0]
                with structlog.contextvars.bound_contextvars(**_in_log(letter)):
                    is_over = self._is_over(letter) or await self._publish_or_give_up(letter)
                if is_over:
                    lane.remove(self._held[letter.number])  # others may have been put before it
                    self._let_go(letter)
                    self._read_on()
                if lane:
                    self._idle.put(name, _priority(lane[0]))
                else:
                    del self._lanes[name]
        finally:
            self._busy -= 1
        self._go_on()

    def _let_go(self, letter: LetterRow) -> None:
        del self._held[letter.number]
        self._backlogs[_priority(letter)].held -= 1
        self._again.discard(letter.number)
        self._erased.discard(letter.number)

    def _is_over(self, letter: LetterRow) -> bool:
        """Whether it was erased, or was to be published again and its answer was faster."""
        if letter.number in self._erased:
            return True
        return letter.number in self._again and letter.answer_id not in self._unanswered

    async def _publish_or_give_up(self, letter: LetterRow) -> bool:
        """One attempt. A message over which the gateway stumbles must not stop those behind it."""
        try:
            return await self._publish(letter)
        except Exception as error:  # noqa: BLE001 - the boundary: between this message and the others
            self.attempts["failed"] += 1
            self._mishaps.note("a message to the broker", error, message_id=letter.message_id)
            with self._mishaps.contained("a message to the broker", message_id=letter.message_id):
                self._refuse(letter, f"the gateway failed on it ({type(error).__name__})")
            return True

    async def _publish(self, letter: LetterRow) -> bool:
        """One attempt. Returns whether there need be no other."""
        try:
            receipt = await self._broker.publish(
                letter.topic,
                RoutingKey(letter.agent or letter.user_id, letter.device_id, letter.session_id),
                letter.payload,
                correlation_id=letter.correlation_id,
                reply_to=letter.reply_to,
                message_id=letter.message_id,
                content_type=letter.content_type,
                headers=_headers(letter),
            )
        except BrokerUnavailable as error:
            self.attempts["delayed"] += 1
            with self._mishaps.contained("a message that has to wait", message_id=letter.message_id):
                self._tell(Delayed(letter))
            await self._wait_for_broker(error)
            return False
        except BrokerClosed:
            await asyncio.Event().wait()  # the gateway is ending; this task will be cancelled
        except BrokerError as error:
            self.attempts["refused"] += 1
            self._refuse(letter, str(error))
        else:
            self.attempts["published"] += 1
            self._published(letter, receipt)
        return True

    def _published(self, letter: LetterRow, receipt: Receipt) -> None:
        if self._away_since is not None:
            away = asyncio.get_running_loop().time() - self._away_since
            log.info("messages are published again", after_seconds=round(away, 1), waiting=len(self._held))
        self._away_since = None
        self._backoff.reset()
        letter, told = self._held.get(letter.number, letter), False  # it may have lost words meanwhile
        with self._mishaps.contained("a message that is published", message_id=letter.message_id):
            self._tell(Posted(letter, receipt))
            told = True
        may_be_lost = receipt.durability is Durability.MEMORY and self._journal.keeps
        if not (told and may_be_lost and self._unanswered.keep(letter)):
            self._unanswered.release(letter)
            self._journal.commit(Published(letter.number))

    def _refuse(self, letter: LetterRow, reason: str) -> None:
        log.error("message refused by the broker", message_id=letter.message_id, reason=reason)
        dead = () if letter.number in self._erased else (unpublished(letter, reason),)
        self._journal.commit(Published(letter.number), *dead)
        with self._mishaps.contained("a message that is refused", message_id=letter.message_id):
            self._tell(Refused(letter, reason))

    async def _wait_for_broker(self, error: BrokerError) -> None:
        """Back off; all devices wait for the same broker, and each tries."""
        now = asyncio.get_running_loop().time()
        if self._away_since is None:
            self._away_since = now
            log.warning("messages wait for the broker", reason=str(error))
        await asyncio.sleep(self._backoff.next())


def _in_log(letter: LetterRow) -> dict[str, str]:
    known = {
        "message_id": letter.message_id,
        "correlation_id": letter.correlation_id,
        "session_id": letter.session_id,
        "device_id": letter.device_id,
        "agent": letter.agent,
    }
    return {name: value for name, value in known.items() if value}


def _headers(letter: LetterRow) -> dict[str, str]:
    """As they travel: brokers look at no body."""
    priority = _priority(letter)
    return (
        letter.headers if priority is Priority.NORMAL else {**letter.headers, PRIORITY_HEADER: priority.value}
    )


def _priority(letter: LetterRow) -> Priority:
    return priority_of(letter.priority)


def _lane(letter: LetterRow) -> str:
    """What is published in order: a device's transcripts over all its sessions, and what else there is of each.

    What one agent is asked waits for no other agent's.
    """
    if letter.topic == RESULTS_TOPIC:
        return letter.device_id
    return f"{letter.topic}/{letter.session_id}/{letter.agent}"
