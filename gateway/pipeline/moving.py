"""A device that goes from one gateway to another: what goes with it, of its speech and of its answers.

The gateway that it leaves tells how far it has heard each stream, and what was said and answered last. What was said to
its end there is answered there, and each answer follows the device. The one that it comes to takes all of that up as it
would take up what a gateway before it had left in the journal.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import dataclass

import structlog
from msgspec.structs import replace

from gateway.contract.messages import BadMessage, new_id
from gateway.journal import AnyJournal, JournalError
from gateway.journal.effects import Asked, Effect, Rebooted, StreamOpened, TurnSaid
from gateway.journal.records import RequestRow, StreamRow, TurnRow
from gateway.pipeline.asking.questions import Questions
from gateway.pipeline.hearing.heard_stream import HeardStream
from gateway.pipeline.hearing.streams import Hearing
from gateway.pipeline.recovery import Recovery
from gateway.pipeline.sessions.names import NO_BOOT, SpeechPlace, StreamName
from gateway.pipeline.sessions.rows import stream_row
from gateway.pipeline.telling.announcements import Announcements
from gateway.pipeline.telling.due_answers import DueAnswers
from transcription.audio import SAMPLE_RATE

log = structlog.get_logger(__name__)

MOST_STREAMS = 64
"""The link remembers no more of a device either."""
MOST_TURNS = 32
TRAILING_SAMPLES = SAMPLE_RATE // 2
"""Of the pause at an utterance's end, which another may have taken for shorter."""
REMEMBERED = 4_096
"""Answers of other gateways that were taken, so that each is taken once."""


class Having(enum.StrEnum):
    """Whether speech was heard at a gateway. ``undecided``: it was, and also that one asks who else has it."""

    NOT = "not"
    COMING = "coming"
    UNDECIDED = "undecided"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Luggage:
    """What a gateway knows of one boot of a device."""

    streams: tuple[StreamRow, ...] = ()
    turns: tuple[TurnRow, ...] = ()


class Moving:
    """Both ends of a move."""

    def __init__(
        self,
        hearing: Hearing,
        questions: Questions,
        due: DueAnswers,
        announcements: Announcements,
        recovery: Recovery,
        *,
        journal: AnyJournal,
        turns_kept: int,
    ) -> None:
        self._hearing = hearing
        self._questions = questions
        self._due = due
        self._announcements = announcements
        self._recovery = recovery
        self._journal = journal
        self._turns_kept = max(1, turns_kept)
        self._taken: OrderedDict[str, None] = OrderedDict()

    # -- a device goes

    async def hand_over(self, device_id: str, boot: int) -> Luggage:
        """It is at another gateway, with that boot, and its link here is over. Answers follow (``owed``)."""
        going = self._hearing.hand_over(device_id, boot)
        self._due.moved(device_id, boot)
        self._announcements.suspend(device_id)
        self._announcements.renew(device_id)
        try:
            await self._journal.commit(Rebooted(device_id, boot))  # and with it, all that was heard before
            streams, turns = await self._journal.of_device(device_id, boot)
        except JournalError as error:
            log.warning("a device goes without what the journal has of it", reason=str(error))
            streams, turns = [], []
        rows = {row.session_id: row for row in streams}
        for heard, needed_from in going:
            row = rows.get(heard.session.session_id) or stream_row(heard.session, heard.begun, 0)
            rows[row.session_id] = replace(row, heard_to=_heard_to(heard, row, needed_from), ended=False)
        for row in rows.values():  # should it come back
            self._hearing.former.remember(row)
        return Luggage(tuple(rows.values())[-MOST_STREAMS:], tuple(turns)[-MOST_TURNS:])

    async def has(self, place: SpeechPlace) -> Having:
        """Whether all of this is in utterances that were heard here, or is being heard."""
        try:
            rows, _ = await self._journal.of_device(place.device_id, place.boot)
        except JournalError:
            return Having.NOT
        row = next((one for one in rows if one.stream == place.stream), None)
        if row is None or not 0 <= row.heard_from <= place.start:
            return Having.NOT
        if row.heard_to >= place.end - TRAILING_SAMPLES:
            return Having.WHOLE
        name = StreamName(place.device_id, place.boot, place.stream)
        return Having.COMING if name in self._hearing.streams else Having.NOT

    def owed(self, device_id: str) -> list[RequestRow]:
        """The answers and announcements that a device has not taken here."""
        return [*self._due.rows(device_id), *self._announcements.rows(device_id)]

    def owed_devices(self) -> set[str]:
        """Those that have not taken something here."""
        return self._due.devices() | self._announcements.devices()

    def handed_on(self, correlation_id: str) -> None:
        """The gateway at which the device is has taken an answer, and will tell it."""
        self._due.handed_on(correlation_id)
        self._announcements.handed_on(correlation_id)

    # -- and comes

    def take_up(self, luggage: Luggage) -> None:
        """What the gateway before knew of a device that is about to be let in."""
        streams = [self._renamed(row) for row in luggage.streams]
        said = [TurnSaid(row, self._turns_kept) for row in luggage.turns]
        self._journal.commit(*map(StreamOpened, streams), *said)
        self._recovery.take_up(streams)
        self._questions.conversing.restore(luggage.turns)

    def _renamed(self, row: StreamRow) -> StreamRow:
        """Where answers of a session are awaited here since it was here before, the rest is another one."""
        row = replace(row, heard_from=row.heard_to)  # what is before is in utterances, but not here
        return (
            row
            if self._hearing.sessions.get(row.session_id) is None
            else replace(row, session_id=new_id("s"))
        )

    async def take_answer(self, row: RequestRow) -> bool:
        """An answer that came at a gateway at which its device is no more; false: it is not safe here (yet)."""
        if row.correlation_id in self._taken:
            return True
        boot = self._hearing.boot(row.device_id)
        if row.boot != NO_BOOT and boot not in (NO_BOOT, row.boot):
            return True  # switched off meanwhile: it has forgotten what it asked
        effects: tuple[Effect, ...] = (Asked(row),)
        try:
            await self._journal.commit(*effects)
            self._restore(row)
        except JournalError as error:
            log.debug("not durable", reason=str(error))  # the journal's state is told once
            return False
        except BadMessage as error:
            log.warning("an answer of another gateway cannot be read", reason=str(error))
        self._taken[row.correlation_id] = None
        if len(self._taken) > REMEMBERED:
            self._taken.popitem(last=False)
        return True

    def _restore(self, row: RequestRow) -> None:
        device_id = row.device_id
        if row.boot == NO_BOOT:
            self._announcements.restore(row)
            self._announcements.tell(device_id)
            return
        self._due.restore(row)
        if self._hearing.connected(device_id):
            self._due.welcome(device_id, self._hearing.boot(device_id))


def _heard_to(heard: HeardStream, row: StreamRow, needed_from: int) -> int:
    """Audio before it is in utterances that are safe, or in none."""
    return max(row.heard_to, heard.session.settled_position(needed_from))
