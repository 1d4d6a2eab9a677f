"""Each utterance put into its conversation, and its answer, too; with what the journal is to keep of that.

The conversations are the gateway's (:mod:`gateway.pipeline.sessions.conversations`); here is their clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from gateway.contract.messages import TranscriptionMessage
from gateway.contract.tracing import traceparent
from gateway.journal.effects import Effect, TurnAnswered, TurnSaid
from gateway.journal.records import TurnRow
from gateway.pipeline.asking.utterance import Spoken
from gateway.pipeline.sessions.conversations import Conversation, Conversations
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.telling.announcer import Announcer
from gateway.process.clock import DAY
from gateway.settings.history import HistorySettings
from gateway.settings.privacy import PrivacySettings
from gateway.settings.sessions import SessionSettings


@dataclass(frozen=True, slots=True)
class Placed:
    """An utterance in its conversation. ``message`` is what is published of it; ``effects`` go with it."""

    spoken: Spoken
    message: TranscriptionMessage
    conversation: Conversation
    effects: tuple[Effect, ...]


class Conversing:
    """Keeps the conversations up to date; every time is the event loop's."""

    def __init__(
        self,
        sessions: SessionSettings,
        privacy: PrivacySettings,
        history: HistorySettings,
        announcer: Announcer,
    ) -> None:
        """Where words are kept from everybody, they are not remembered; where there is no history, in memory only."""
        self._conversations = Conversations(
            sessions, keep_words=not privacy.redact, keep_seconds=history.days * DAY
        )
        self._writes_words = history.enabled
        self._announce = announcer
        self._now = asyncio.get_running_loop().time

    def place(self, spoken: Spoken, message: TranscriptionMessage) -> Placed:
        """Something has its text, or has none; it belongs to the conversation of the time when it began."""
        began, text = spoken.complete_at - spoken.utterance.seconds, message.text if message.success else ""
        conversation = self._conversations.said(
            spoken.name, text, began, timestamp=message.timestamp, visitor=spoken.session.visitor
        )
        spoken = spoken.within(conversation.id)
        message = replace(
            message,
            conversation_id=conversation.id,
            room=self._announce.place(message.device_id)[1],
            traceparent=traceparent(message.correlation_id),
        )
        effects = (self._said(spoken.name, message.timestamp),) if text else ()
        return Placed(spoken, message, conversation, effects)

    def answered(
        self, correlation_id: str, reply: str, agent: str, *, final: bool = True
    ) -> tuple[Effect, ...]:
        """It has an answer, in place of any before; not ``final``: a better one follows."""
        words = self._conversations.answered(correlation_id, reply, agent, self._now(), final=final)
        if words is None or not self._writes_words:
            return ()
        return (TurnAnswered(correlation_id, words.reply, words.agent),)

    def ended(self, correlation_id: str) -> None:
        """No answer is awaited any more. Idempotent."""
        self._conversations.ended(correlation_id, self._now())

    def may_still_tell(self, name: UtteranceName) -> bool:
        """Whether an answer that comes now would be understood: the talk goes on, and nothing was said since."""
        is_open = self._conversations.is_open(name.device_id, self._now())
        return is_open and not self._conversations.spoken_since(name.correlation_id)

    # -- what a gateway before this one knew

    def restore(self, rows: Iterable[TurnRow]) -> None:
        """Its turns, oldest first."""
        self._conversations.restore(rows, self._now())

    def reopen(self, name: UtteranceName) -> Conversation:
        """The answer to one of those is still awaited; the conversation before it."""
        self._conversations.reopen(name.correlation_id)
        return self.before(name)

    def before(self, name: UtteranceName) -> Conversation:
        """What was said before it in its conversation, as far as it is remembered now."""
        return self._conversations.before(name)

    # -- the end

    def lapse(self) -> None:
        """Put away what is over."""
        self._conversations.lapse(self._now())

    def change_hands(self) -> None:
        """What was said with a device that is another user's now was the former's."""
        self._conversations.change_hands(self._announce.user)

    def forget(self, is_gone: Callable[[UtteranceName], bool]) -> None:
        """Remember no words of these any more."""
        self._conversations.forget(is_gone)

    def _said(self, name: UtteranceName, timestamp: float) -> Effect:
        words = self._conversations.words(name.correlation_id)
        row = TurnRow(
            **name.row_ids(),
            conversation_id=name.conversation_id,
            text=words.text if words is not None and self._writes_words else "",
            timestamp=timestamp,
        )
        return TurnSaid(row, max(1, self._conversations.turns_kept))
