"""From a complete utterance to its text, and on to whoever publishes it.

Its device hears at once that it is being transcribed, and may forget the audio as soon as that is safe: in the
journal, or without one with the broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import msgspec
import structlog

from firmware_bridge.link.events import DeviceStatus
from gateway.journal import AnyJournal, JournalError
from gateway.journal.effects import Heard, HeardFrom, Transcribed, Tried
from gateway.pipeline.arbitration.contests import Contested
from gateway.pipeline.asking import rows
from gateway.pipeline.asking.publishing import Publishing
from gateway.pipeline.asking.rows import utterance_row
from gateway.pipeline.asking.utterance import Spoken, new_name
from gateway.pipeline.hearing.heard_stream import Complete, HeardStream
from gateway.pipeline.hearing.settling import Settling
from gateway.pipeline.hearing.streams import Hearing
from gateway.pipeline.in_order import InOrder
from gateway.pipeline.sessions.hints import SessionHints
from gateway.pipeline.sessions.session import Session, TooManyTurns, Turn, TurnEvent
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.devices import Devices
from gateway.pipeline.telling.fallback_texts import Apology
from gateway.pipeline.turns import OnItsWay, Turns
from transcription.errors import GivenUp, RecognizerClosed, TranscriptionError
from transcription.priority import Priority
from transcription.recognizing import BUSY, Guessing, Recognized, Recognizing
from transcription.settings import TranscriptionSettings
from transcription.wake.unspoken import without_wake_word

log = structlog.get_logger(__name__)

CAUGHT_UP = 0.25
"""Share of the recognizer's queue at which devices may go on: all that they kept comes at once then."""

MAX_ATTEMPTS = 3
"""An utterance over which so many gateways ended, with the engine in their own process, is not tried again."""

LEFT_AT_ONCE = 2
"""Utterances of a gateway before this one, of each class, that are transcribed at once, behind those spoken now."""


class Understanding:
    """Leads utterances through the recognizer, each in a turn of its own."""

    def __init__(
        self,
        settings: TranscriptionSettings,
        turns: Turns,
        *,
        hearing: Hearing,
        settling: Settling,
        recognizer: Recognizing,
        publishing: Publishing,
        devices: Devices,
        announcer: Announcer,
        journal: AnyJournal,
    ) -> None:
        self._settings = settings
        self._turns = turns
        self._hearing = hearing
        self._settling = settling
        self._recognizer = recognizer
        self._publishing = publishing
        self._devices = devices
        self._announce = announcer
        self._journal = journal
        self._now = asyncio.get_running_loop().time
        self._in_order = InOrder()
        self._left = {one: asyncio.Semaphore(LEFT_AT_ONCE) for one in Priority}
        self._left_of: dict[str, list[asyncio.Task[bool]]] = {}
        """By session, what is transcribed that a gateway before this one heard, in its order."""

    def reconfigure(self, settings: TranscriptionSettings) -> None:
        """For utterances that are transcribed from now on; who waits may be of another class."""
        self._settings = settings
        self._devices.set_busy(self._announce.is_busy)

    def begin(self, complete: Complete) -> None:
        """An utterance is complete: its device hears so at once, the text follows."""
        heard, utterance = complete.heard, complete.utterance
        session, live = heard.session, heard.end_live()
        try:
            turn = session.begin_turn(utterance.start, utterance.end, live.utterance_id if live else "")
        except TooManyTurns as error:
            log.warning(
                "utterance refused",
                session_id=session.session_id,
                device_id=session.device_id,
                reason=str(error),
            )
            self._announce.failure(session, "", Apology.NOT_TRANSCRIBED)
            heard.drop_guess()
            return
        guess, heard.guess = heard.guess, None
        shown, dropped = (live.shown, live.dropped) if live else (0, 0)
        name = new_name(session, turn)
        spoken = Spoken(name, session, turn, utterance, self._now(), partials=shown, partials_dropped=dropped)
        one = OnItsWay(session, turn, spoken)
        try:
            session.advance(turn, TurnEvent.RECOGNIZE)
            self._announce.status(session, DeviceStatus.TRANSCRIBING)
            kept = self._journal.commit(Heard(utterance_row(spoken, self._now())))
        except Exception as error:  # noqa: BLE001 - the boundary, as it is around what follows
            self._turns.fail(one, error)
            return
        self._turns.start(one, partial(self._lead, heard, spoken, guess, kept, complete.contested))

    async def _lead(
        self,
        heard: HeardStream,
        spoken: Spoken,
        guess: Guessing | None,
        kept: asyncio.Future[bool],
        contested: Contested | None,
    ) -> None:
        """One utterance, from its end to the outbox; its device may forget it as soon as it is durable."""
        correlation_id = spoken.name.correlation_id
        kept.add_done_callback(lambda done: self._keep(heard, spoken, done))
        self._settling.hold(heard, correlation_id)
        if contested is not None and (decision := await contested.decision()).by:
            if guess is not None:
                guess.drop()
            await self._publishing.leave(spoken, decision)
            self._settling.release(correlation_id)
            return
        before = self._left_in(spoken.session)
        if not await self._transcribe(spoken, heard.hints, guess, before, kept=heard.device_keeps):
            self._settling.abandon(correlation_id)
        elif spoken.turn.durable:
            self._settling.release(correlation_id)
        else:  # until the broker has it
            self._settling.settle(heard)

    def _keep(self, heard: HeardStream, spoken: Spoken, done: asyncio.Future[bool]) -> None:
        if not self._journal.keeps or done.cancelled() or done.exception() is not None:
            return  # it stays with its device until its text is safe
        if not done.result():
            log.warning("heard before under another id", **spoken.name.in_log())
        spoken.turn.durable = True
        self._settling.settle(heard)

    def recorded(
        self,
        spoken: Spoken,
        hints: SessionHints,
        before: list[asyncio.Task[bool]],
        *,
        lull: Callable[[], Awaitable[None]] | None,
    ) -> tuple[asyncio.Task[bool], asyncio.Future[bool]]:
        """An utterance of a recording, published after those ``before`` it. Its turn, and its being in the journal.

        ``lull``: waited for before it is transcribed, which is then done behind what devices say.
        """
        session, turn = spoken.session, spoken.turn
        session.advance(turn, TurnEvent.RECOGNIZE)
        self._announce.status(session, DeviceStatus.TRANSCRIBING)
        kept = self._journal.commit(Heard(utterance_row(spoken, self._now())))
        work = partial(self._lead_recorded, spoken, hints, before, lull)
        return self._turns.start(OnItsWay(session, turn, spoken), work), kept

    async def _lead_recorded(
        self,
        spoken: Spoken,
        hints: SessionHints,
        before: list[asyncio.Task[bool]],
        lull: Callable[[], Awaitable[None]] | None,
    ) -> None:
        if lull is not None:
            await lull()
        await self._transcribe(spoken, hints, None, before, kept=True, behind=lull is not None)

    def again(self, session: Session, turn: Turn, owner: Awaitable[str] | None = None) -> None:
        """What a gateway before this one heard, and the journal has: as soon as there is room for it.

        Unless ``owner`` names another gateway, which has heard it since.
        """
        name, before = session.session_id, self._left_in(session)
        work = partial(self._lead_again, session, turn, before, owner)
        task = self._turns.start(OnItsWay(session, turn), work)
        self._left_of[name] = [*before, task]
        task.add_done_callback(lambda _done: self._forget_left(name))

    def _left_in(self, session: Session) -> list[asyncio.Task[bool]]:
        return list(self._left_of.get(session.session_id, ()))

    def _forget_left(self, session_id: str) -> None:
        if all(task.done() for task in self._left_of.get(session_id, ())):
            self._left_of.pop(session_id, None)

    async def _lead_again(
        self,
        session: Session,
        turn: Turn,
        before: list[asyncio.Task[bool]],
        owner: Awaitable[str] | None,
    ) -> None:
        async with self._left[session.priority]:
            try:
                row = await self._journal.utterance(turn.utterance_id)
                spoken = rows.spoken(row, session, turn, self._now()) if row is not None else None
            except (JournalError, msgspec.DecodeError) as error:
                log.warning("utterance left for the next start", reason=str(error))
                row, spoken = None, None
            if spoken is not None:
                structlog.contextvars.bind_contextvars(correlation_id=spoken.name.correlation_id)
            if row is None or spoken is None:
                session.advance(turn, TurnEvent.CANCEL)
            elif row.attempts >= MAX_ATTEMPTS:
                reason = "the gateway ended each time it was transcribed"
                await self._publishing.give_up(spoken, reason, row.attempts)
            else:
                if self._settings.isolation == "inline":  # the engine's crash is the gateway's
                    self._journal.commit(Tried(row.utterance_id))
                hints = SessionHints(self._settings, session.device_id)
                hints.know(self._hearing.names(session.device_id))
                await self._transcribe(spoken, hints, None, before, kept=True, whose=owner)

    async def _transcribe(
        self,
        spoken: Spoken,
        hints: SessionHints,
        guess: Guessing | None,
        before: list[asyncio.Task[bool]],
        *,
        kept: bool,
        behind: bool = False,
        whose: Awaitable[str] | None = None,
    ) -> bool:
        """False: the gateway ends first, and it is the next one's. Published after what was said ``before``.

        ``whose``: as ``again`` has the owner; what is said here later does not overtake it meanwhile.
        """
        self._watch_busy()
        recognized, failure = None, None
        owner, priority = spoken.session.owner, spoken.session.priority
        with self._in_order.begun((owner, priority, behind)) as earlier:
            if whose is not None and (gateway := await whose):
                self._leave_to(gateway, spoken)
                return True
            try:
                recognized = await self._recognizer.transcribe(
                    spoken.utterance,
                    owner=owner,
                    hints=hints.now,
                    deadline=None if behind else self._settings.wait_seconds,
                    guess=guess,
                    kept=kept,
                    behind=behind,
                    priority=priority,
                )
            except RecognizerClosed:
                return False  # it is in the journal, or its device keeps it
            except TranscriptionError as error:
                failure = error
            await earlier()
        if recognized is not None:
            recognized = _addressed(recognized, spoken.utterance.wake_word)
            hints.learn(recognized.transcript, spoken.utterance.seconds)
        self._watch_busy()
        if before:
            await asyncio.wait(before)
        if isinstance(failure, GivenUp):
            await self._publishing.give_up(spoken, str(failure), failure.times)
        else:
            error_text = None if failure is None else str(failure)
            await self._publishing.publish(spoken, spoken.message(recognized, error_text, self._now()))
        return True

    def _leave_to(self, gateway: str, spoken: Spoken) -> None:
        session, turn = spoken.session, spoken.turn
        log.info("speech was heard at another gateway since", utterance_id=turn.utterance_id, gateway=gateway)
        theirs = HeardFrom(session.session_id, turn.end)  # who asks for it later is not told that it is here
        self._journal.commit(Transcribed(turn.utterance_id, forget=True), theirs)
        session.advance(turn, TurnEvent.CANCEL)

    def _watch_busy(self) -> None:
        """Tell the devices of a class when the recognizer falls behind with it, and when it has caught up."""
        was = self._announce.busy
        busy = frozenset(one for one in Priority if self._is_behind(one, was=one in was))
        if busy == was:
            return
        self._announce.busy = busy
        falls_behind, waiting = busy - was, self._recognizer.waiting
        log.warning("recognizer falls behind" if falls_behind else "recognizer caught up", waiting=waiting)
        self._devices.set_busy(self._announce.is_busy)
        for heard in self._hearing.streams.values():
            if self._announce.priority(heard.session.device_id) in busy ^ was:
                self._announce.attention(heard.session)

    def _is_behind(self, priority: Priority, *, was: bool) -> bool:
        return self._recognizer.load(priority) > CAUGHT_UP if was else self._recognizer.load(priority) >= BUSY


def _addressed(recognized: Recognized, wake_word: str) -> Recognized:
    """What was said to whoever answers; the wake word was said to the device."""
    if not wake_word:
        return recognized
    return replace(recognized, transcript=without_wake_word(recognized.transcript, wake_word))
