"""The middle of the way: a text, or the failure to find one, out of the recognizer's hands into the outbox.

One commit makes the utterance done, its message the outbox's, and the request for its answer known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import structs

from gateway.contract.messages import DEAD_TOPIC, REPLIES_TOPIC, RESULTS_TOPIC, TranscriptionMessage
from gateway.journal import AnyJournal, JournalError
from gateway.journal.dead_letters import not_transcribed
from gateway.journal.effects import Effect, Queued, Remembered, Transcribed
from gateway.journal.records import LetterRow
from gateway.pipeline.arbitration.claims import Decision
from gateway.pipeline.asking.by_name import NO_MOVES, ByName, Moves
from gateway.pipeline.asking.in_between import looked_at
from gateway.pipeline.asking.outbox import Outbox
from gateway.pipeline.asking.questions import Questions
from gateway.pipeline.asking.rows import history_row, letter_row, utterance_row
from gateway.pipeline.asking.utterance import Spoken
from gateway.pipeline.content.port import KEPT_BACK, ContentFilter
from gateway.pipeline.sessions.conversations import Conversation
from gateway.pipeline.sessions.requests import CorrelationError
from gateway.pipeline.sessions.session import TurnEvent
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.fallback_texts import Apology
from gateway.settings.history import HistorySettings
from gateway.settings.privacy import PrivacySettings

NOBODY_MEANT = "the configuration names no agent that this is for"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be committed and sent for an answer to be awaited; ``error``: none is, for this ``cause``."""

    effects: tuple[Effect, ...] = ()
    moves: Moves = NO_MOVES
    error: str | None = None
    cause: Apology = Apology.FAILED


class Publishing:
    """Puts each text to the orchestrators, as a question and as a message in the outbox."""

    def __init__(
        self,
        questions: Questions,
        outbox: Outbox,
        announcer: Announcer,
        journal: AnyJournal,
        *,
        by_name: ByName,
        history: HistorySettings,
        privacy: PrivacySettings,
        content: ContentFilter,
        is_off: Callable[[], bool],
    ) -> None:
        """``is_off``: whether transcription is switched off, which is no failure to understand."""
        self._questions = questions
        self._outbox = outbox
        self._by_name = by_name
        self._announce = announcer
        self._journal = journal
        self._remembers = history.enabled
        self._redact = privacy.redact
        self._content = content
        self._is_off = is_off
        self._now = asyncio.get_running_loop().time

    async def publish(
        self, spoken: Spoken, message: TranscriptionMessage, dead: LetterRow | None = None, *died: Effect
    ) -> None:
        """What was understood, or why not; ``dead`` and ``died`` are published and committed with it."""
        message, whole = await looked_at(self._content, spoken.name, message), message
        placed = self._questions.conversing.place(spoken, message)
        spoken, message = placed.spoken, placed.message
        if self._by_name.named:
            message = structs.replace(message, addressed=True)
        spoken_at = spoken.spoken_at(self._now())
        told = self._announce.transcript(spoken.name, message, spoken_at)
        number, priority = self._journal.next_number(), spoken.session.priority
        letter = letter_row(RESULTS_TOPIC, message, number, REPLIES_TOPIC, priority=priority)
        letters = [letter] if dead is None else [dead, letter]
        effects: list[Effect] = [
            Transcribed(message.utterance_id, forget=message.text != whole.text),
            *died,
            *map(Queued, letters),
            *placed.effects,
        ]
        if self._remembers:
            effects.append(Remembered(history_row(spoken.name, message, spoken_at, redact=self._redact)))
        asked = _Asked(error=message.error, cause=self._cause(message))
        if message.success and message.text:  # before publishing: the fastest reply finds its request
            asked = self._ask(spoken, message, letter.payload, told=told, conversation=placed.conversation)
        effects += asked.effects
        outcome = asked.moves.outcome
        if outcome is not None:  # known already, or nobody could be asked: its end is committed with it
            journaled = await self._by_name.follow(message.correlation_id, Moves(outcome=outcome), *effects)
        else:
            journaled = await self._commit(*effects)
        if journaled:
            spoken.turn.durable = True
        for one in (*letters, *asked.moves.letters):
            self._outbox.put(one, journaled=journaled)
        if asked.error is not None:
            self._questions.fail(spoken, message, asked.error, asked.cause)
        elif not message.text:  # nothing to answer
            self._questions.end_turn(spoken, message, TurnEvent.PUBLISH)

    def _ask(
        self,
        spoken: Spoken,
        message: TranscriptionMessage,
        payload: bytes,
        *,
        told: bool,
        conversation: Conversation,
    ) -> _Asked:
        """Expect an answer; and put it to its team, where agents are asked by name."""
        try:
            question = self._questions.ask(spoken, message, payload, told=told, conversation=conversation)
        except CorrelationError as error:
            return _Asked(error=str(error), cause=Apology.FAILED)
        if not self._by_name.named:
            return _Asked((question,))
        moves = self._by_name.ask(message.correlation_id)
        if moves is None:
            return _Asked((question,), error=NOBODY_MEANT, cause=Apology.NOBODY)
        return _Asked((question, *moves.effects), moves)

    async def leave(self, spoken: Spoken, decision: Decision) -> None:
        """The same voice was heard better by another device, which answers: nobody is asked twice.

        Its device goes on as after speech without words; listeners and the history are told why.
        """
        message = spoken.message(None, decision.reason, self._now())
        effects: list[Effect] = [Transcribed(message.utterance_id)]
        if self._remembers:
            spoken_at = spoken.spoken_at(self._now())
            effects.append(Remembered(history_row(spoken.name, message, spoken_at, redact=self._redact)))
        if await self._commit(*effects):
            spoken.turn.durable = True
        self._announce.heard_elsewhere(spoken.name, decision)
        self._questions.end_turn(spoken, message, TurnEvent.PUBLISH, decision.reason)

    async def give_up(self, spoken: Spoken, reason: str, attempts: int) -> None:
        """Put away what was never transcribed, where the operator looks for it. Its turn fails as any other."""
        number, priority = self._journal.next_number(), spoken.session.priority
        dead = letter_row(DEAD_TOPIC, spoken.dead(reason, attempts), number, priority=priority)
        died = not_transcribed(utterance_row(spoken, self._now()), reason)
        await self.publish(spoken, spoken.message(None, reason, self._now()), dead, *died)

    async def put_away(self, spoken: Spoken, reason: str) -> None:
        """What the gateway stumbled over, for the operator to look at: nobody is told, and it is not tried again."""
        await self._commit(*not_transcribed(utterance_row(spoken, self._now()), reason))

    async def _commit(self, *effects: Effect) -> bool:
        """Whether they will outlive the gateway."""
        try:
            await self._journal.commit(*effects)
        except JournalError:
            return False
        return self._journal.keeps

    def _cause(self, message: TranscriptionMessage) -> Apology:
        if message.text:
            return Apology.FAILED
        if message.error == KEPT_BACK:
            return Apology.FILTERED
        return Apology.SWITCHED_OFF if self._is_off() else Apology.NOT_TRANSCRIBED
