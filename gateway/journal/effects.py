"""What can happen to the journal's rows: the effects that make, change and remove them.

A commit is a list of effects that hold together or not at all. Every effect may be applied again without harm.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from gateway.journal.records import (
    AgentRow,
    DeadLetterRow,
    HistoryReply,
    HistoryRow,
    LetterRow,
    RequestRow,
    RequestState,
    StreamRow,
    TurnRow,
    UtteranceRow,
)


class StreamOpened(Struct, frozen=True):
    """A device began to speak."""

    stream: StreamRow


class HeardFrom(Struct, frozen=True):
    """A stream is heard from here on without a hole: before this position something is missing, or is another's."""

    session_id: str
    position: int


class StreamEnded(Struct, frozen=True):
    """No more audio is expected of a stream. What comes of it all the same is a session of its own."""

    session_id: str


class Rebooted(Struct, frozen=True):
    """A device is there with ``boot``: streams and answers of its earlier boots are over."""

    device_id: str
    boot: int


class Heard(Struct, frozen=True):
    """An utterance is complete. Known already by its session and start: the commit returns False.

    ``again``: it is put back to be transcribed once more, known or not.
    """

    utterance: UtteranceRow
    again: bool = False


class Tried(Struct, frozen=True):
    """An utterance is tried once more after a restart."""

    utterance_id: str


class Transcribed(Struct, frozen=True):
    """An utterance has its text, or never will: its audio is not needed any more.

    ``forget``: nor is it to be kept, as speech else may be.
    """

    utterance_id: str
    forget: bool = False


class Queued(Struct, frozen=True):
    """A message is to be published."""

    letter: LetterRow


class Published(Struct, frozen=True):
    """The broker has acknowledged a message."""

    number: int


class Asked(Struct, frozen=True):
    """An answer is awaited."""

    request: RequestRow


class Received(Struct, frozen=True):
    """A message of others was taken. Known already: the commit returns False and does nothing."""

    source: str
    message_id: str


class PieceCame(Struct, frozen=True):
    """A piece of an answer; ``text`` is appended: to one agent's, where ``request_id`` says which.

    Where it says which message it was, it is taken as by Received. Known already, it alone does nothing.
    """

    correlation_id: str
    text: str
    source: str = ""
    message_id: str = ""
    request_id: str = ""


class InterimCame(Struct, frozen=True):
    """A whole first answer, to which a better one follows: ``text`` is the answer so far."""

    correlation_id: str
    text: str


class AgentMoved(Struct, frozen=True):
    """An agent of a team was asked, answered, failed, was stopped: this is how it is with it now."""

    row: AgentRow


class RequestEnded(Struct, frozen=True):
    """A request ended; ``due``: with an answer that its device has yet to take."""

    correlation_id: str
    state: RequestState
    text: str = ""
    error: str | None = None
    fallback: bool = False
    due: bool = False


class Delivered(Struct, frozen=True):
    """The device has taken the answer."""

    correlation_id: str


class Remembered(Struct, frozen=True):
    """An utterance is to be found in the history. Known already: it is what it is now."""

    row: HistoryRow


class PublishedIn(Struct, frozen=True):
    """How long it took until the broker had a transcript, for the history."""

    correlation_id: str
    publish_ms: float


class Answered(Struct, frozen=True):
    """What an utterance was answered, for the history."""

    correlation_id: str
    reply: HistoryReply


class HandedOver(Struct, frozen=True):
    """When the device had the answer, for the history."""

    correlation_id: str
    speech_to_reply_ms: float


class TurnSaid(Struct, frozen=True):
    """A turn of a conversation, of which the last ``kept`` are. Others of the device are of one that is over."""

    turn: TurnRow
    kept: int


class TurnAnswered(Struct, frozen=True):
    """What a turn was answered, in place of what it was before."""

    correlation_id: str
    reply: str
    agent: str


class Erased(Struct, frozen=True):
    """Of an utterance nothing is kept: neither words nor audio, wherever they are. Speech without a text goes on."""

    utterance_id: str


class Withdrawn(Struct, frozen=True):
    """Nothing is kept of what goes by this correlation id: neither what waits for the broker, an answer or a device."""

    correlation_id: str


class ToldOthers(Struct, frozen=True):
    """The store that the house shares has all changes of the history up to this one."""

    number: int


class TellAgain(Struct, frozen=True):
    """It has lost some: all of the history is to be told again."""


class Swept(Struct, frozen=True):
    """It has nothing any more that is not in the history, after all was told again."""


UTTERANCE, USER = "utterance", "user"
"""What can be wanted forgotten in the whole house."""


class ForgetEverywhere(Struct, frozen=True):
    """Of an utterance, or of a user until ``at`` (Unix time), nothing is to be kept in the whole house.

    ``kind`` is UTTERANCE or USER.
    """

    kind: str
    subject: str
    at: float


class ForgotAsAsked(Struct, frozen=True):
    """What others wanted to be forgotten is, up to this one of the store with this ``epoch``."""

    epoch: str
    version: int


class Died(Struct, frozen=True):
    """Something could not be done, and is kept as a dead letter."""

    letter: DeadLetterRow


class LetterTaken(Struct, frozen=True):
    """A dead letter was brought back to life, or is not wanted any more."""

    number: int


class ErrandDone(Struct, frozen=True):
    """What somebody asked for from outside is done."""

    number: int


class WentAlone(Struct, frozen=True):
    """From now on nobody else has what is here: of the copy that another gateway keeps, nothing holds any more."""


class KeptAlone(Struct, frozen=True):
    """Of an utterance, message, request or agent's part (``room``, and by which name), nobody else has a copy."""

    rows: tuple[tuple[str, str], ...]


class SetApart(Struct, frozen=True):
    """Of all work that is here now, nobody else has a copy; of what comes, perhaps."""


class KeptTogether(Struct, frozen=True):
    """All that is here has been copied to the gateway that stands by."""


class CopyTaken(Struct, frozen=True):
    """What another gateway has is copied here: what was copied before is not so any more, what nobody else has stays.

    The rows follow in the same commit. ``received``: messages of others that it knows, by source and id.
    """

    received: tuple[tuple[str, str], ...] = ()


class CopyGivenUp(Struct, frozen=True):
    """What was copied here is old: whoever it is of has gone on with it, or will."""


Effect: TypeAlias = (
    StreamOpened
    | HeardFrom
    | StreamEnded
    | Rebooted
    | Heard
    | Tried
    | Transcribed
    | Queued
    | Published
    | Asked
    | Received
    | PieceCame
    | InterimCame
    | AgentMoved
    | RequestEnded
    | Delivered
    | Remembered
    | PublishedIn
    | Answered
    | HandedOver
    | TurnSaid
    | TurnAnswered
    | Erased
    | Withdrawn
    | ToldOthers
    | TellAgain
    | Swept
    | ForgetEverywhere
    | ForgotAsAsked
    | Died
    | LetterTaken
    | ErrandDone
    | WentAlone
    | KeptAlone
    | SetApart
    | KeptTogether
    | CopyTaken
    | CopyGivenUp
)


def bulk(effect: Effect) -> int:
    """About how many bytes an effect holds, for the bound of what waits in memory."""
    match effect:
        case Heard(utterance):
            held = len(utterance.audio)
        case Queued(letter):
            held = len(letter.payload)
        case Asked(request):
            held = len(request.message)
        case Died(letter):
            held = len(letter.record)
        case Remembered(row):
            held = 256 + len(row.text)
        case TurnSaid(turn):
            held = 256 + len(turn.text)
        case (
            TurnAnswered(reply=text) | PieceCame(text=text) | InterimCame(text=text) | RequestEnded(text=text)
        ):
            held = len(text)
        case AgentMoved(row):
            held = len(row.text) + len(row.data) + (len(row.letter.payload) if row.letter is not None else 0)
        case _:
            held = 0
    return 256 + held
