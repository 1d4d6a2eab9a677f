"""Text for a device outside any turn: told when it is there, kept like an answer until it has it or it is too late.

An announcement is nobody's answer: its correlation id is its own, its stream 0, its session empty. Unlike an
answer it is for the device and not for one boot of it, so a device that was switched off gets it afterwards. An answer
that came late goes this way, too, under another id on the link; else it keeps the name of its utterance.

::

    CannotAnnounce     so many wait already
      KeptBack         the content filter lets nobody have it
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from firmware_bridge.shares import HOUSE, has_share
from gateway.contract.messages import AudioFacts, Timings, new_id
from gateway.journal import AnyJournal, JournalError
from gateway.journal.effects import Answered, Asked, Delivered, Effect, HandedOver, Received, Remembered
from gateway.journal.records import HistoryReply, HistoryRow, RequestRow, RequestState, redacted_reply
from gateway.pipeline.content.port import KEPT_BACK, ContentFilter, Way
from gateway.pipeline.sessions.names import NO_BOOT, NO_STREAM, StreamName, UtteranceName
from gateway.pipeline.sessions.rows import utterance_name
from gateway.pipeline.telling.announcer import Announcer
from gateway.process.mishaps import Mishaps
from gateway.settings.history import HistorySettings
from gateway.settings.privacy import PrivacySettings

log = structlog.get_logger(__name__)

MAX_WAITING = 1_000
"""Announcements that wait for their devices; one who announces has no more of them than are left for others."""
MAX_WAITING_OF_A_DEVICE = 16
"""For one device, of one who announces; twice as many of all."""


class CannotAnnounce(Exception):
    """There is no room for another one."""


class KeptBack(CannotAnnounce):
    """The content filter lets nobody have it."""


@dataclass(slots=True, eq=False)
class _Announcement:
    """``told_as``: its id on the link. ``sent_to``: the boot of its device that is being told; None: none yet.

    ``is_safe``: it may be told. Times are the event loop's.
    """

    row: RequestRow
    asked_at: float
    deadline: float
    told_as: str
    sent_to: int | None = None
    owner: str = HOUSE
    is_safe: bool = True


class Announcements:
    """Those that wait for their devices, oldest first."""

    def __init__(
        self,
        announcer: Announcer,
        journal: AnyJournal,
        mishaps: Mishaps,
        history: HistorySettings,
        privacy: PrivacySettings,
        *,
        content: ContentFilter,
    ) -> None:
        self._announce = announcer
        self._content = content
        self._journal = journal
        self._mishaps = mishaps
        self._remembers = history.enabled
        self._redact = privacy.redact
        self._waiting: dict[str, _Announcement] = {}
        self._told_as: dict[str, _Announcement] = {}
        self._boots: dict[str, int] = {}  # of the devices that are there

    def __len__(self) -> int:
        return len(self._waiting)

    async def announce(
        self,
        device_id: str,
        user_id: str,
        text: str,
        agent: str,
        seconds: float,
        *,
        owner: str = "",
        received: Received | None = None,
    ) -> str:
        """Its correlation id, once it is as safe as an answer. ``seconds``: after them it is too late.

        ``agent`` is the name of who announces, ``owner`` whose part of the room it takes (theirs). ``received``: the
        message that it came in; empty, where that came before.

        Raises CannotAnnounce.
        """
        name = UtteranceName("", user_id, StreamName(device_id, NO_BOOT, NO_STREAM), "", new_id("a"))
        ruling = await self._content.look(Way.ANNOUNCEMENT, text, name)
        if ruling.dropped:
            raise KeptBack(KEPT_BACK)
        text = ruling.text
        self._check_room(device_id, owner := owner or agent)
        now = time.time()
        row = RequestRow(
            **name.row_ids(),
            asked_at=now,
            deadline=now + seconds,
            message=b"",
            state=RequestState.DONE,
            text=text,
            due=True,
        )
        one, kept = self._wait(row, owner), self._kept(row, agent, ruling.flags)
        one.is_safe = False
        if not await self._is_new(*([received] if received else ()), Asked(row), *kept):
            self._drop(one)
            return ""
        one.is_safe = True
        self._announce.reply(name, text, agent=agent, flags=ruling.flags)
        self.tell(device_id)
        return name.correlation_id

    async def keep(self, row: RequestRow, owner: str, *effects: Effect) -> None:
        """A late answer, which is told as one of these (``tell``); ``row`` is its request.

        Raises CannotAnnounce.
        """
        self._check_room(row.device_id, owner)
        try:
            await self._journal.commit(Asked(row), *effects)
        except JournalError as error:
            log.debug("not durable", reason=str(error))  # the journal's state is told once
        self._wait(row, owner)

    async def _is_new(self, *effects: Effect) -> bool:
        try:
            return await self._journal.commit(*effects)
        except JournalError as error:
            log.debug("not durable", reason=str(error))  # the journal's state is told once
            return True

    def restore(self, row: RequestRow) -> None:
        """One that a gateway before this one had not got rid of."""
        self._wait(row)

    def devices(self) -> set[str]:
        """For whom something waits."""
        return {one.row.device_id for one in self._waiting.values() if one.is_safe}

    def rows(self, device_id: str) -> list[RequestRow]:
        """Those that wait for a device and are safe."""
        return [one.row for one in self._waiting.values() if one.row.device_id == device_id and one.is_safe]

    def handed_on(self, correlation_id: str) -> None:
        """Another gateway has it now, and tells it."""
        if (one := self._waiting.get(correlation_id)) is not None:
            self._forget(one)

    def renew(self, device_id: str) -> None:
        """Its link begins anew: what it was sent and has not taken is lost with the one before."""
        for one in self._waiting.values():
            if one.row.device_id == device_id:
                one.sent_to = None

    def welcome(self, device_id: str, boot: int) -> None:
        """A device is there."""
        self._boots[device_id] = boot
        self.tell(device_id)

    def suspend(self, device_id: str) -> None:
        """It is gone, perhaps only for now: the link keeps what that boot was sent."""
        self._boots.pop(device_id, None)

    def delivered(self, device_id: str, correlation_id: str) -> None:
        """A device has acknowledged a reply, perhaps one of these."""
        one = self._told_as.get(correlation_id)
        if one is None or one.row.device_id != device_id:
            return
        correlation_id, waited_ms = one.row.correlation_id, 1000 * (_now() - one.asked_at)
        self._forget(one, *([HandedOver(correlation_id, waited_ms)] if self._remembers else ()))
        log.debug("announcement delivered", device_id=device_id, correlation_id=correlation_id)
        self._announce.delivered(utterance_name(one.row), waited_ms)

    def expire(self) -> None:
        """Forget those that are too late; try again with those that their device had no room for."""
        now = _now()
        for one in [one for one in self._waiting.values() if one.deadline <= now]:
            log.warning("announcement not delivered in time", device_id=one.row.device_id)
            self._forget(one)
        for device_id in {one.row.device_id for one in self._waiting.values() if one.sent_to is None}:
            self.tell(device_id)

    def erase(self, is_gone: Callable[[RequestRow], bool]) -> set[str]:
        """Tell these to nobody any more; by what they are told."""
        gone = [one for one in self._waiting.values() if is_gone(one.row)]
        for one in gone:
            self._forget(one)
        return {one.told_as for one in gone}

    def tell(self, device_id: str) -> None:
        """What waits for that device, if it is there."""
        boot = self._boots.get(device_id)
        if boot is None:
            return
        for one in list(self._waiting.values()):
            row = one.row
            if row.device_id != device_id or one.sent_to == boot or not one.is_safe:
                continue
            try:
                stream = StreamName(device_id, boot, NO_STREAM)
                if not self._announce.announcement(stream, one.told_as, row.text):
                    return  # its outbox is full; soon again
            except Exception as error:  # noqa: BLE001 - the boundary: between this announcement and the others
                self._mishaps.note("an announcement", error, correlation_id=row.correlation_id)
                self._forget(one)
                continue
            one.sent_to = boot

    def _check_room(self, device_id: str, owner: str) -> None:
        waiting = self._waiting.values()
        of_device = Counter(one.owner for one in waiting if one.row.device_id == device_id)
        if not has_share(2 * MAX_WAITING_OF_A_DEVICE, of_device, owner):
            raise CannotAnnounce(f"{of_device.total()} announcements wait for {device_id} already")
        if not has_share(MAX_WAITING, Counter(one.owner for one in waiting), owner):
            raise CannotAnnounce(f"{len(waiting)} announcements wait already")

    def _wait(self, row: RequestRow, owner: str = HOUSE) -> _Announcement:
        asked_at = _now() - max(0.0, row.age)
        told_as = new_id("a") if row.session_id else row.correlation_id  # the answer before it went by that
        one = _Announcement(row, asked_at, asked_at + row.deadline - row.asked_at, told_as, owner=owner)
        self._waiting[row.correlation_id] = self._told_as[told_as] = one
        return one

    def _kept(self, row: RequestRow, agent: str, flags: tuple[str, ...]) -> tuple[Effect, ...]:
        """What the history learns of it."""
        if not self._remembers:
            return ()
        reply = HistoryReply(text=row.text, agent=agent, flags=flags)
        return (
            Remembered(_history_row(row, redact=self._redact)),
            Answered(row.correlation_id, redacted_reply(reply) if self._redact else reply),
        )

    def _forget(self, one: _Announcement, *effects: Effect) -> None:
        self._drop(one)
        self._journal.commit(Delivered(one.row.correlation_id), *effects)

    def _drop(self, one: _Announcement) -> None:
        self._waiting.pop(one.row.correlation_id, None)
        self._told_as.pop(one.told_as, None)


def _history_row(request: RequestRow, *, redact: bool) -> HistoryRow:
    """An announcement as it is remembered; what it says is its reply."""
    return HistoryRow(
        **replace(utterance_name(request), utterance_id=request.correlation_id).ids(),
        spoken_at=request.asked_at,
        text="",
        success=True,
        error=None,
        language="",
        confidence=0.0,
        audio=AudioFacts(seconds=0.0),
        timings=Timings(),
        redacted=redact,
        is_announcement=True,
    )


def _now() -> float:
    """By the event loop's clock, which is never set."""
    return asyncio.get_running_loop().time()
