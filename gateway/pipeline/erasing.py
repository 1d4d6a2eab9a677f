"""What is kept of somebody, erased wherever it waits in memory: for the broker, an answer, a device, or a listener.

The journal's part is in ``gateway/journal``; here is what would bring words back that the journal has no more.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from msgspec import Struct, structs

from gateway.broker.base import Message, MessageBroker
from gateway.contract.agents import (
    ANNOUNCEMENTS_TOPIC,
    ANSWERS_TOPIC,
    OUTDATED_TOPIC,
    PRESENCE_TOPIC,
    REQUESTS_TOPIC,
    decode_request,
)
from gateway.contract.messages import BadMessage, encode
from gateway.journal.records import LetterRow, RequestRow
from gateway.pipeline.asking.answers import Answers
from gateway.pipeline.asking.outbox import Outbox
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.telling.announcements import Announcements
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.device_logs import DeviceLogs
from gateway.pipeline.telling.devices import Devices
from gateway.pipeline.turns import Turns

OF_AGENTS = frozenset({REQUESTS_TOPIC, ANSWERS_TOPIC, PRESENCE_TOPIC, ANNOUNCEMENTS_TOPIC, OUTDATED_TOPIC})
"""Topics whose keys begin with an agent's name, and not a user's."""


class Whose(Struct, frozen=True, kw_only=True):
    """What is to be erased: all of a user, or what goes by a correlation id, or is this utterance."""

    user_id: str = ""
    correlation_id: str = ""
    utterance_id: str = ""

    def __call__(self, one: UtteranceName | RequestRow | LetterRow) -> bool:
        """Whether it is that."""
        return bool(
            (self.user_id and one.user_id == self.user_id)
            or (self.correlation_id and one.correlation_id == self.correlation_id)
        )

    def without(self, letter: LetterRow) -> LetterRow | None:
        """What an agent is asked, without this turn of the conversation before; None: it does not have it."""
        if not letter.agent or not self.correlation_id:
            return None
        request = decode_request(letter.payload)
        turns = tuple(one for one in request.conversation if one.correlation_id != self.correlation_id)
        if len(turns) == len(request.conversation):
            return None
        return structs.replace(letter, payload=encode(structs.replace(request, conversation=turns)))

    def of_message(self, message: Message, user_of: Callable[[str], str]) -> bool:
        """Whether a message of the broker is that; ``user_of`` a device."""
        return bool(
            (self.user_id and _user(message, user_of) == self.user_id)
            or (self.correlation_id and message.correlation_id == self.correlation_id)
        )

    def of_turn(self, user_id: str, utterance_id: str) -> bool:
        """Whether a turn is that."""
        return bool(
            (self.user_id and user_id == self.user_id)
            or (self.utterance_id and utterance_id == self.utterance_id)
        )


def _user(message: Message, user_of: Callable[[str], str]) -> str:
    """Whose words are in it; in the key of what agents are asked, and say to each other and to devices, is an agent."""
    key = message.routing_key
    if message.topic not in OF_AGENTS:
        return key.user
    if message.topic == REQUESTS_TOPIC:
        with suppress(BadMessage):
            return decode_request(message.payload).transcript.user_id
    return user_of(key.device)


class Erasing:
    """The parts of the gateway that hold words for a while."""

    def __init__(
        self,
        *,
        devices: Devices,
        broker: MessageBroker,
        answers: Answers,
        outbox: Outbox,
        announcements: Announcements,
        announcer: Announcer,
        logs: DeviceLogs,
        turns: Turns,
    ) -> None:
        self._turns = turns
        self._devices = devices
        self._broker = broker
        self._answers = answers
        self._outbox = outbox
        self._announcements = announcements
        self._announcer = announcer
        self._logs = logs

    async def erase(self, whose: Whose) -> int:
        """Let go of it. What is being said goes on; what is on a wire has left.

        Returns how many utterances had no text yet: they are gone from the journal, too.
        """
        ended = await self._turns.erase(whose.of_turn)
        gone = (
            self._outbox.erase(whose, whose.without)
            | self._announcements.erase(whose)
            | self._answers.waiting(whose)
        )
        self._announcer.witnesses.erase(whose)
        if whose.correlation_id:
            gone.add(whose.correlation_id)
        self._devices.blank(gone)
        await self._answers.erase(whose)
        self._broker.forget(partial(whose.of_message, user_of=self._announcer.user))
        if whose.user_id:
            for name in self._logs.names():
                if self._announcer.user(name) == whose.user_id:
                    self._logs.forget(name)
        return ended
