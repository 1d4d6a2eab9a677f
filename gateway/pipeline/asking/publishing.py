"""The middle of the way: a text, or the failure to find one, out of the recognizer's hands into the outbox.

One commit makes the utterance done, its message the outbox's, and the request for its answer known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from gateway.broker import client_id
from gateway.broker.base import MessageBroker, Receipt
from gateway.config.configuration import GatewayConfig
from gateway.contract.messages import DEAD_TOPIC, REPLIES_TOPIC, RESULTS_TOPIC, TranscriptionMessage
from gateway.journal import AnyJournal, JournalError
from gateway.journal.dead_letters import not_transcribed
from gateway.journal.records import Effect, LetterRow, Queued, Remembered, Transcribed
from gateway.pipeline.asking.answers import Answers
from gateway.pipeline.asking.outbox import Outbox
from gateway.pipeline.asking.rows import history_row, letter_row, utterance_row
from gateway.pipeline.asking.utterance import Spoken
from gateway.pipeline.hearing.streams import Conversation, Hearing
from gateway.pipeline.sessions.requests import CorrelationError
from gateway.pipeline.sessions.session import TurnEvent
from gateway.pipeline.telling.announcer import Announcer
from gateway.process.mishaps import Mishaps
from gateway.settings.broker import BrokerSettings

NOT_UNDERSTOOD = "Sorry, that could not be transcribed."
SWITCHED_OFF = "Sorry, transcription is switched off."
"""What a device is told when there is no transcript to answer."""


def replies_group(settings: BrokerSettings) -> str:
    """The group under which this gateway, and no other, reads replies."""
    return f"gateway-{client_id(settings)}"


class Publishing:
    """Owns the outbox and the answers to what goes through it. ``async with``."""

    def __init__(
        self,
        config: GatewayConfig,
        *,
        broker: MessageBroker,
        announcer: Announcer,
        journal: AnyJournal,
        hearing: Hearing,
        is_off: Callable[[], bool],
        mishaps: Mishaps,
    ) -> None:
        """``is_off``: whether transcription is switched off, which is no failure to understand."""
        self._settings = config.orchestrator
        self._remembers = config.history.enabled
        self._redact = config.privacy.redact
        self._announce = announcer
        self._journal = journal
        self._hearing = hearing
        self._is_off = is_off
        self._now = asyncio.get_running_loop().time
        self.outbox = Outbox(
            broker, journal, self._published, self._refused, mishaps, on_delayed=self._delayed
        )
        self.answers = Answers(
            config,
            broker,
            announcer,
            journal,
            group=replies_group(config.broker),
            on_hints=hearing.ask,
            settled=self.outbox.answered,
            mishaps=mishaps,
        )
        self._informed: dict[str, Conversation] = {}  # by correlation id, until its utterance is safe

    async def __aenter__(self) -> Self:
        await self.answers.__aenter__()
        await self.outbox.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self.outbox.__aexit__()
        finally:
            await self.answers.__aexit__()

    # -- who may forget the audio

    def keep_informed(self, conversation: Conversation, spoken: Spoken) -> None:
        """Tell a device that it may forget an utterance, once its text is safe."""
        self._informed[spoken.name.correlation_id] = conversation

    def forget(self, spoken: Spoken) -> None:
        """Its text will not come; its device is not told anything."""
        self._informed.pop(spoken.name.correlation_id, None)

    def release(self, spoken: Spoken) -> None:
        """It has ended without a text: its device need not keep it."""
        self._settle(spoken.name.correlation_id)

    def _settle(self, correlation_id: str) -> None:
        conversation = self._informed.pop(correlation_id, None)
        if conversation is not None:
            self._hearing.settle(conversation)

    # -- into the outbox

    async def publish(
        self, spoken: Spoken, message: TranscriptionMessage, dead: LetterRow | None = None, *died: Effect
    ) -> None:
        """What was understood, or why not; ``dead`` and ``died`` are published and committed with it."""
        failure = message.error
        spoken_at = spoken.spoken_at(self._now())
        told = self._announce.transcript(spoken.name, message, spoken_at)
        letter = letter_row(RESULTS_TOPIC, message, self._journal.next_number(), REPLIES_TOPIC)
        letters = [letter] if dead is None else [dead, letter]
        effects: list[Effect] = [Transcribed(message.utterance_id), *died, *map(Queued, letters)]
        if self._remembers:
            effects.append(Remembered(history_row(spoken.name, message, spoken_at, redact=self._redact)))
        try:
            if message.success and message.text:  # before publishing: the fastest reply finds its request
                effects.append(self.answers.ask(spoken, message, letter.payload, told=told))
        except CorrelationError as error:
            failure = str(error)
        journaled = await self._commit(*effects)
        if journaled:
            spoken.turn.durable = True
            self._settle(spoken.name.correlation_id)
        for one in letters:
            self.outbox.put(one, journaled=journaled)
        if failure is not None:
            self._fail(spoken, message, failure)
        elif not message.text:  # nothing to answer
            self.answers.end_turn(spoken, message, TurnEvent.PUBLISH)

    async def give_up(self, spoken: Spoken, reason: str, attempts: int) -> None:
        """Put away what was never transcribed, where the operator looks for it. Its turn fails as any other."""
        dead = letter_row(DEAD_TOPIC, spoken.dead(reason, attempts), self._journal.next_number())
        died = not_transcribed(utterance_row(spoken, self._now()), reason)
        await self.publish(spoken, spoken.message(None, reason, self._now()), dead, *died)

    async def put_away(self, spoken: Spoken, reason: str) -> None:
        """What the gateway stumbled over, for the operator to look at: nobody is told, and it is not tried again."""
        await self._commit(*not_transcribed(utterance_row(spoken, self._now()), reason))

    def publish_again(self, letter: LetterRow) -> None:
        """A dead letter that was brought back to life, and is in the journal."""
        self.outbox.put(letter, journaled=True)

    async def _commit(self, *effects: Effect) -> bool:
        """Whether they will outlive the gateway."""
        try:
            await self._journal.commit(*effects)
        except JournalError:
            return False
        return self._journal.keeps

    # -- what the outbox tells

    def _published(self, letter: LetterRow, receipt: Receipt) -> bool:
        """The broker has a message. Returns whether an answer to it is awaited."""
        asked = self.answers.asked.get(letter.correlation_id) if letter.topic == RESULTS_TOPIC else None
        if asked is not None:
            self.answers.note_published(asked)
        if asked is not None and not receipt.subscribers:  # nobody who could answer
            self.answers.withdraw(letter.correlation_id)
            self.answers.end_turn(asked.spoken, asked.message, TurnEvent.PUBLISH)
        elif asked is not None:
            self.answers.wait(asked.spoken)
        self._settle(letter.correlation_id)
        return asked is not None and bool(receipt.subscribers)

    def _delayed(self, letter: LetterRow) -> None:
        """The broker is not there."""
        asked = self.answers.asked.get(letter.correlation_id) if letter.topic == RESULTS_TOPIC else None
        if asked is not None:
            self.answers.wait_for_broker(asked)

    def _refused(self, letter: LetterRow, reason: str) -> None:
        """The broker will never take a message."""
        asked = self.answers.asked.get(letter.correlation_id)
        if asked is not None and letter.topic == RESULTS_TOPIC:
            self._fail(asked.spoken, asked.message, reason)
        self._settle(letter.correlation_id)

    def _fail(self, spoken: Spoken, message: TranscriptionMessage, reason: str) -> None:
        self.answers.withdraw(message.correlation_id)
        self._announce.failure(spoken.session, message.correlation_id, self._apology(message))
        self.answers.end_turn(spoken, message, TurnEvent.FAIL, reason)

    def _apology(self, message: TranscriptionMessage) -> str:
        if message.text:
            return self._settings.fallback_text
        return SWITCHED_OFF if self._is_off() else NOT_UNDERSTOOD
