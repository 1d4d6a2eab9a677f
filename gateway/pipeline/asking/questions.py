"""Transcripts that were put to the orchestrators: each is kept here, with its turn, until its one end.

That end is an answer, a failure, or the fallback: at its deadline (`answers.py`), or where nobody is there to answer
(`patience.py`).
The journal has every question, so that it outlives the gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from firmware_bridge.link.events import DeviceStatus
from gateway.contract.messages import RESULTS_TOPIC, TranscriptionMessage
from gateway.journal import AnyJournal
from gateway.journal.effects import Asked, Effect, PublishedIn, RequestEnded
from gateway.journal.records import LetterRow, RequestRow, RequestState
from gateway.pipeline.asking.conversing import Conversing
from gateway.pipeline.asking.outbox import Posted, Refused
from gateway.pipeline.asking.rows import pending_request, request_row
from gateway.pipeline.asking.silence import Silence
from gateway.pipeline.asking.unanswered import Unanswered
from gateway.pipeline.asking.utterance import Spoken
from gateway.pipeline.sessions.conversations import Conversation
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.sessions.requests import AnswerState, CorrelationTracker, PendingRequest
from gateway.pipeline.sessions.session import SessionState, TurnEvent, TurnState
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.due_answers import A_DELIVERY
from gateway.pipeline.telling.fallback_texts import Apology
from gateway.process.mishaps import Mishaps
from gateway.settings.history import HistorySettings
from gateway.settings.orchestrator import OrchestratorSettings


@dataclass(slots=True, eq=False)
class Question:
    """A transcript that was put to the orchestrators, until its answer is there."""

    spoken: Spoken
    message: TranscriptionMessage
    request: PendingRequest
    told: bool
    """Whether its device was told the transcript."""
    publish_ms: float = 0.0
    """From the text to the broker's receipt; 0: there is none yet."""
    delayed: bool = False
    """Whether its device was told that it is waited for, although the broker does not have it yet."""
    again: bool = False
    """Whether a gateway before this one asked it."""
    conversation: Conversation = field(default_factory=Conversation)
    """In which it is asked, with what was said before it."""
    interim: tuple[str, str] | None = None
    """A whole first answer that was shown, and whose it is."""
    awaited: bool = False
    """Whether somebody may be at work on it who does not say when it goes: it is waited for until the deadline."""

    @property
    def is_published(self) -> bool:
        """Whether the broker has the transcript, as far as is known."""
        return bool(self.publish_ms) or self.again


class Questions:
    """Those that are open, by correlation id; no more than the tracker has requests."""

    def __init__(
        self,
        unanswered: Unanswered,
        conversing: Conversing,
        announcer: Announcer,
        journal: AnyJournal,
        *,
        settings: OrchestratorSettings,
        history: HistorySettings,
        mishaps: Mishaps,
    ) -> None:
        self._settings = settings
        self._announce = announcer
        self._journal = journal
        self._unanswered = unanswered
        self.conversing = conversing
        """In which conversation they are asked."""
        self._remembers = history.enabled
        self._mishaps = mishaps
        self._now = asyncio.get_running_loop().time
        self._open: dict[str, Question] = {}
        self.silence = Silence(settings.patience_seconds)
        """About which of them there was no sign of life for too long."""
        self.to_nobody = asyncio.Event()
        """Whether there are some that nobody got."""
        self._to_nobody: list[str] = []
        self.tracker = CorrelationTracker(
            max_pending=settings.max_pending, late_seconds=settings.late_seconds
        )

    def __len__(self) -> int:
        return len(self._open)

    def get(self, correlation_id: str) -> Question | None:
        """One that is open."""
        return self._open.get(correlation_id)

    # -- asked, before the transcript is published: the fastest reply is to find its request

    def ask(
        self,
        spoken: Spoken,
        message: TranscriptionMessage,
        payload: bytes,
        *,
        told: bool,
        conversation: Conversation,
    ) -> Asked:
        """Expect an answer to ``message``; returns what is to be committed. Raises CorrelationError."""
        now = self._now()
        request = PendingRequest(spoken.name, now, now + self._settings.timeout_seconds)
        self.tracker.register(request, now)
        self._keep(Question(spoken.without_audio(), message, request, told, conversation=conversation))
        return Asked(request_row(request, payload, now))

    def restore(self, row: RequestRow) -> PendingRequest:
        """What a gateway before this one asked, with its answer so far or its end. Raises CorrelationError."""
        now = self._now()
        request = pending_request(row, now, self._settings.timeout_seconds)
        self.tracker.restore(request, row.text, now, AnswerState(row.state.value))
        return request

    def ask_again(
        self, spoken: Spoken, message: TranscriptionMessage, request: PendingRequest, text: str
    ) -> None:
        """The answer to one of those is still awaited; ``text``: as far as it has been shown."""
        waited_ms = message.timings.queue_ms + message.timings.recognize_ms
        spoken_at = message.timestamp - waited_ms / 1000 - message.audio.seconds
        self._announce.recovered(request.name, message, spoken_at)
        conversation = self.conversing.reopen(request.name)
        if not message.addressed:  # of a team, that is a whole first answer
            self._announce.live.resume(request.name, text)
        self._keep(Question(spoken, message, request, told=False, again=True, conversation=conversation))

    def _keep(self, question: Question) -> None:
        self._open[question.request.correlation_id] = question
        self.silence.begin(question.request.correlation_id, self._now())
        self._unanswered.expect(question.request.correlation_id)

    # -- published, or not

    def posted(self, posted: Posted) -> None:
        """The broker has a message, perhaps one of these."""
        question = self._asked_by(posted.letter)
        if question is None:
            return
        self.note_published(question)
        self.wait(question)
        if not posted.receipt.subscribers and not question.message.addressed:
            self._to_nobody.append(posted.letter.correlation_id)
            self.to_nobody.set()

    def asked_nobody(self) -> list[Question]:
        """Those that nobody got who could answer; each is returned once."""
        names, self._to_nobody = self._to_nobody, []
        self.to_nobody.clear()
        return [one for name in names if (one := self._open.get(name)) is not None]

    def delayed(self, letter: LetterRow) -> None:
        """The broker is not there to take it: the transcribing is over all the same. Idempotent."""
        question = self._asked_by(letter)
        if question is None or question.delayed:
            return
        if question.spoken.turn.state is TurnState.TRANSCRIBING:
            question.delayed = True
            self._announce.status(question.spoken.session, DeviceStatus.THINKING)

    def refused(self, refused: Refused) -> None:
        """The broker will never take it. Those who are asked by name have messages of their own."""
        question = self._asked_by(refused.letter)
        if question is not None and not question.message.addressed:
            self.fail(question.spoken, question.message, refused.reason, Apology.FAILED)

    def _asked_by(self, letter: LetterRow) -> Question | None:
        return self._open.get(letter.correlation_id) if letter.topic == RESULTS_TOPIC else None

    def note_published(self, question: Question) -> None:
        """The broker has the transcript, or a sign of life proves that it had it: how long that took."""
        self.silence.sign(question.request.correlation_id, self._now())
        waited_ms = 1000 * (self._now() - question.request.published_at)
        question.publish_ms = question.publish_ms or waited_ms

    def wait(self, question: Question) -> None:
        """Its answer is what is waited for now. Idempotent."""
        spoken = question.spoken
        if spoken.turn.state is TurnState.TRANSCRIBING:
            spoken.session.advance(spoken.turn, TurnEvent.ASK)
            self._announce.status(spoken.session, DeviceStatus.THINKING)

    def renew(self, device_id: str) -> None:
        """Its link begins anew: what it was told may be lost with the one before; what it had it knows."""
        for question in self._open.values():
            if question.request.name.device_id == device_id:
                question.told = False

    def welcome(self, device_id: str, boot: int) -> None:
        """A device is there, perhaps after a restart of the gateway: it is told the transcripts that it missed."""
        for question in self._open.values():
            name = question.request.name
            if not question.told and (name.device_id, name.boot) == (device_id, boot):
                with self._mishaps.contained(A_DELIVERY, correlation_id=name.correlation_id):
                    question.told = self._announce.transcript_again(name, question.message)
                    self._announce.status(question.spoken.session, DeviceStatus.THINKING)

    # -- the end

    def take(self, correlation_id: str) -> Question | None:
        """One whose answer is here: it is open no more."""
        self.conversing.ended(correlation_id)
        self.silence.end(correlation_id)
        return self._open.pop(correlation_id, None)

    def withdraw(self, correlation_id: str) -> None:
        """Nobody was asked after all."""
        question = self.take(correlation_id)
        self.tracker.cancel(correlation_id, self._now())
        if question is not None:
            ended = RequestEnded(correlation_id, RequestState.CANCELLED)
            self._journal.commit(ended, *self.settled(correlation_id), *self.published_in(question))

    def fail(self, spoken: Spoken, message: TranscriptionMessage, reason: str, cause: Apology) -> None:
        """There will be no answer, for this ``reason``; the device's user is told the ``cause``."""
        self.withdraw(message.correlation_id)
        self._announce.failure(spoken.session, message.correlation_id, cause, message.language)
        self.end_turn(spoken, message, TurnEvent.FAIL, reason)

    def waiting(self, is_gone: Callable[[UtteranceName], bool]) -> set[str]:
        """The correlation ids of those that are meant."""
        return {name for name, one in self._open.items() if is_gone(one.request.name)}

    def forget(self, is_gone: Callable[[UtteranceName], bool]) -> None:
        """No words of these are handed to anybody with what is still open."""
        self.conversing.forget(is_gone)
        for question in self._open.values():
            question.conversation = self.conversing.before(question.request.name)

    def settled(self, correlation_id: str) -> tuple[Effect, ...]:
        """What is to be committed beside the end of a request."""
        return self._unanswered.end(correlation_id)

    def published_in(self, question: Question | None) -> tuple[Effect, ...]:
        """What the history learns of its publication."""
        if not self._remembers or question is None or not question.publish_ms:
            return ()
        return (PublishedIn(question.request.correlation_id, question.publish_ms),)

    def end_turn(
        self, spoken: Spoken, message: TranscriptionMessage, event: TurnEvent, error: str | None = None
    ) -> None:
        """The turn's end, and its one canonical line in the log. The text is never in it."""
        spoken.advance(event)
        spoken.log(message, error, self._now())
        session = spoken.session
        if session.state is SessionState.CLOSED:
            self._announce.status(session, DeviceStatus.IDLE)
        elif session.state is not SessionState.DRAINING:  # which another of its turns will end
            self._announce.attention(session)
