"""Listeners speak: text that is put to the orchestrators as if a device had heard it.

Each text is a turn of a session of its own, of the device that stands for the listener (``web-<name>``).
It is journaled, published and answered like speech; nobody waits for the answer but listeners.

::

    SayError
      BadText        nothing to say, or too much
      MayNotSpeak    the listener's token is not for that
      CannotSay      not now: the gateway is stopping, or has too many open sessions
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from msgspec import Struct

from gateway.access.principals import Principal, Right
from gateway.contract.messages import AudioFacts, TranscriptionMessage, WantedHints, new_id
from gateway.pipeline.asking.utterance import Spoken, new_name
from gateway.pipeline.hearing.streams import NOTHING_HEARD, Hearing
from gateway.pipeline.sessions.hints import AUTO
from gateway.pipeline.sessions.names import NO_BOOT, NO_STREAM, StreamName
from gateway.pipeline.sessions.session import Session, TooManySessions, TurnEvent
from gateway.pipeline.telling.announcer import Announcer

MAX_CHARACTERS = 4_000
"""Of one text: some minutes of speech."""
SAID = "text"
"""In place of the reason why an utterance ended: it never was speech."""


class SayError(Exception):
    """Base of what saying raises; its words are for whoever wanted to say something."""


class BadText(SayError, ValueError):
    """Nothing to say, or too much."""


class MayNotSpeak(SayError):
    """The listener's token is not for that."""


class CannotSay(SayError):
    """Not now."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """As which device somebody's words are put. ``guest``: whose they are where the settings do not know the device.

    ``owner``: whose part of what is shared they fill.
    """

    device_id: str
    owner: str
    guest: str | None = None


def own_speaker(principal: Principal) -> Speaker:
    """Who speaks as the device that stands for them. Raises MayNotSpeak."""
    if not principal.may(Right.SPEAK):
        raise MayNotSpeak(f"a token of the role {principal.role} does not speak")
    return Speaker(principal.own_device, principal.owner, principal.own_user)


class Said(Struct, frozen=True, kw_only=True):
    """What was said is under way, and as safe as an utterance; its answer will carry these ids."""

    session_id: str
    device_id: str
    correlation_id: str


class Saying:
    """Begins turns whose text is there from the start."""

    def __init__(self, hearing: Hearing, announcer: Announcer) -> None:
        self._hearing = hearing
        self._announce = announcer
        self._now = asyncio.get_running_loop().time

    def begin(
        self, text: str, principal: Principal, hints: WantedHints | None = None
    ) -> tuple[Spoken, TranscriptionMessage]:
        """A turn, and what is to be published of it; ``hints`` are for what is spoken after it. Raises SayError."""
        text = _checked(text)
        session = self.open(own_speaker(principal))
        turn = session.begin_turn(0, 0)
        session.advance(turn, TurnEvent.RECOGNIZE)
        session.end_stream()
        spoken = Spoken(new_name(session, turn), session, turn, NOTHING_HEARD, self._now())
        if hints is not None:
            self._hearing.ask_of(session.device_id, hints)
        return spoken, _message(spoken, text, hints)

    def open(self, speaker: Speaker, number: int = NO_STREAM) -> Session:
        """A session that is heard from no device. ``number``: others of the device have others. Raises CannotSay."""
        if self._hearing.closed:
            raise CannotSay("the gateway is stopping")
        device_id, guest = speaker.device_id, speaker.guest
        try:
            session = self._hearing.sessions.open(
                StreamName(device_id, NO_BOOT, number),
                self._announce.user(device_id, guest),
                end_on_silence=False,
                now=self._now(),
                visitor=speaker.owner,
                priority=self._announce.priority(device_id, guest),
            )
        except TooManySessions as error:
            raise CannotSay(str(error)) from error
        if guest is not None:  # who is refused has changed nothing
            self._announce.adopt(device_id, guest)
        return session


def _checked(text: str) -> str:
    text = text.strip()
    if not text:
        raise BadText("there is nothing to say")
    if len(text) > MAX_CHARACTERS:
        raise BadText(f"{len(text)} characters are more than {MAX_CHARACTERS}")
    if not text.isprintable() and any(
        ord(character) < 32 and character not in "\t\n\r" for character in text
    ):
        raise BadText("it has control characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadText("it is not Unicode text") from error
    return text


def _message(spoken: Spoken, text: str, hints: WantedHints | None) -> TranscriptionMessage:
    language = hints.language if hints is not None else None
    return TranscriptionMessage(
        **spoken.name.ids(),
        text=text,
        timestamp=time.time(),
        success=True,
        message_id=new_id("m"),
        language="" if language in {None, AUTO} else language,
        confidence=1.0,
        audio=AudioFacts(seconds=0.0, end_reason=SAID),
        priority=spoken.session.priority.value,
    )


async def done(task: asyncio.Task[bool]) -> None:
    """Until it came to its end, which whoever waits for it may leave before. Raises CannotSay."""
    await asyncio.wait({task})
    if task.cancelled():
        raise CannotSay("the gateway is stopping, or what was said is erased")
    if not task.result():
        raise CannotSay("something went wrong inside the gateway")
