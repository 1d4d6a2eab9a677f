"""What could not be done, put away with its reason: how it comes back to life, and how people see it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.msgpack import Decoder, Encoder
from msgspec.structs import replace

from gateway.contract.messages import new_id
from gateway.journal.effects import Died, Effect, Heard, LetterTaken, Queued, Transcribed
from gateway.journal.errors import JournalError
from gateway.journal.records import DeadLetterRow, LetterKind, LetterRow, RequestRow, UtteranceRow

MAX_REASON = 500
"""Characters of a reason that are kept."""

SUMMARY = ("number", "kind", "subject", "reason", "died_at", "topic", "device_id", "session_id")
_JSON_INSIDE = ("payload", "message", "facts")

_encode = Encoder().encode
_letter = Decoder(LetterRow).decode
_request = Decoder(RequestRow).decode
_utterance = Decoder(UtteranceRow).decode


def unpublished(letter: LetterRow, reason: str) -> Died:
    """A message that never reached the broker."""
    return Died(_dead_letter(LetterKind.OUTGOING, letter, reason))


def refused(letter: LetterRow, reason: str) -> Died:
    """A message from the broker that could not be taken."""
    return Died(_dead_letter(LetterKind.INCOMING, letter, reason))


def not_transcribed(utterance: UtteranceRow, reason: str) -> tuple[Transcribed, Died]:
    """An utterance that no engine can do: it is taken from the others and kept with its audio."""
    letter = DeadLetterRow(
        kind=LetterKind.UTTERANCE,
        subject=utterance.utterance_id,
        reason=reason[:MAX_REASON],
        died_at=time.time(),
        device_id=utterance.device_id,
        session_id=utterance.session_id,
        record=_encode(utterance),
    )
    return Transcribed(utterance.utterance_id), Died(letter)


def undelivered(request: RequestRow, reason: str) -> Died:
    """An answer that its device has never taken."""
    letter = DeadLetterRow(
        kind=LetterKind.ANSWER,
        subject=request.correlation_id,
        reason=reason[:MAX_REASON],
        died_at=time.time(),
        device_id=request.device_id,
        session_id=request.session_id,
        record=_encode(request),
    )
    return Died(letter)


def revived(row: DeadLetterRow, number: int) -> Sequence[Effect]:
    """The effects that bring a dead letter back to life; ``number``: the next one of the outbox.

    A message, whichever way it was going, is published (again) on its own topic; an utterance is
    transcribed again. Raises JournalError for what cannot come back.
    """
    match row.kind:
        case LetterKind.OUTGOING | LetterKind.INCOMING:
            letter = replace(_letter(row.record), number=number, queued_at=time.time())
            if row.kind is LetterKind.INCOMING:  # a broker that has had it under its name would drop it
                letter = replace(letter, message_id=new_id("m"))
            return Queued(letter), LetterTaken(row.number)
        case LetterKind.UTTERANCE:
            utterance = replace(_utterance(row.record), attempts=0)
            return Heard(utterance, again=True), LetterTaken(row.number)
        case LetterKind.ANSWER:
            raise JournalError("an answer whose device has gone cannot be delivered any more")


def contents(row: DeadLetterRow) -> LetterRow | UtteranceRow | RequestRow:
    """What a dead letter was before."""
    match row.kind:
        case LetterKind.UTTERANCE:
            return _utterance(row.record)
        case LetterKind.ANSWER:
            return _request(row.record)
        case _:
            return _letter(row.record)


def whose(row: DeadLetterRow) -> tuple[str, str]:
    """The user and the correlation id of a dead letter; both empty when it has neither."""
    if not row.record:
        return "", ""
    inside = contents(row)
    return inside.user_id, inside.correlation_id


def summary(letter: DeadLetterRow) -> dict[str, Any]:
    """What it was and why it died, without any words of anybody's."""
    return {field: getattr(letter, field) for field in SUMMARY}


def whole(letter: DeadLetterRow) -> dict[str, Any]:
    """What it holds, with the words in it; its audio is left out. Empty when it holds nothing."""
    if not letter.record:
        return {}
    inside = contents(letter)
    facts = {field: getattr(inside, field) for field in inside.__struct_fields__ if field != "audio"}
    return {name: _readable(value) if name in _JSON_INSIDE else value for name, value in facts.items()}


def _dead_letter(kind: LetterKind, letter: LetterRow, reason: str) -> DeadLetterRow:
    return DeadLetterRow(
        kind=kind,
        subject=letter.message_id,
        reason=reason[:MAX_REASON],
        died_at=time.time(),
        topic=letter.topic,
        device_id=letter.device_id,
        session_id=letter.session_id,
        record=_encode(letter),
    )


def _readable(raw: bytes) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return raw.decode("utf-8", "replace")
