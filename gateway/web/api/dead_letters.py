"""What could not be done: shown, brought back to life, and forgotten."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from msgspec import Meta, Struct, convert

from gateway.access.principals import Right
from gateway.journal import Journal
from gateway.journal.dead_letters import summary, whole, whose
from gateway.journal.records import DeadLetterRow, LetterKind, Verb
from gateway.web.api.operation import AnyCall, Call, Operation
from gateway.web.entrance.problems import Problem, not_found, unavailable

_Number = Annotated[int, Meta(ge=0, le=(1 << 62) - 1)]


class DeadLetter(Struct, frozen=True, kw_only=True):
    """One dead letter, without the words in it. ``subject``: the id of the message or utterance."""

    number: int
    kind: LetterKind
    subject: str
    reason: str
    died_at: float
    topic: str
    device_id: str
    session_id: str


class DeadLetterPage(Struct, frozen=True):
    """Oldest first. ``next``: what the next page is ``after``; null: there is none."""

    dead_letters: tuple[DeadLetter, ...]
    next: int | None


class WholeDeadLetter(DeadLetter, frozen=True, kw_only=True):
    """One dead letter. ``contents``: what it was, but for audio; null where words are kept from everybody."""

    contents: dict[str, Any] | None


class LetterNumber(Struct, frozen=True):
    """Which one."""

    number: _Number


class Page(Struct, frozen=True, kw_only=True):
    """Which ones."""

    after: Annotated[_Number, Meta(description="Those with higher numbers.")] = 0
    limit: Annotated[int, Meta(ge=1, le=200, description="Dead letters on a page.")] = 50


async def list_dead_letters(call: Call[None, Page, None]) -> DeadLetterPage:
    """A page of them; those beyond the scope are passed over."""
    rows = await _journal(call).history.dead_letters(call.query.after, call.query.limit)
    more = rows[-1].number if len(rows) == call.query.limit else None
    seen = (convert(summary(row), DeadLetter) for row in rows if _is_seen(row, call))
    return DeadLetterPage(tuple(seen), more)


async def show_dead_letter(call: Call[LetterNumber, None, None]) -> WholeDeadLetter:
    """All of one."""
    letter = await _find(call)
    contents = None if call.parts.running().config.privacy.redact else whole(letter)
    return convert({**summary(letter), "contents": contents}, WholeDeadLetter)


async def replay_dead_letter(call: Call[LetterNumber, None, None]) -> None:
    """Publish or transcribe it again."""
    await _carry_out(call, Verb.REPLAY)


async def purge_dead_letter(call: Call[LetterNumber, None, None]) -> None:
    """Forget it."""
    await _carry_out(call, Verb.PURGE)
    await _journal(call).scrub()


async def _carry_out(call: Call[LetterNumber, None, None], verb: Verb) -> None:
    letter = await _find(call)
    if verb is Verb.REPLAY and letter.kind is LetterKind.ANSWER:
        raise Problem(HTTPStatus.CONFLICT, "an answer whose device has gone cannot be delivered any more")
    if not await call.parts.running().pipeline.carry_out(verb, letter.number):
        raise not_found("dead letter")


async def _find(call: Call[LetterNumber, None, None]) -> DeadLetterRow:
    number = call.path.number
    rows = await _journal(call).history.dead_letters(number - 1, 1)
    if not rows or rows[0].number != number or not _is_seen(rows[0], call):
        raise not_found("dead letter")
    return rows[0]


def _is_seen(letter: DeadLetterRow, call: AnyCall) -> bool:
    user_id, _ = whose(letter)
    if not user_id and not letter.device_id:  # whose words are in it, nobody knows
        return not call.principal.is_scoped
    return call.principal.sees(user_id=user_id or None, device_id=letter.device_id or None)


def _journal(call: AnyCall) -> Journal:
    journal = call.parts.running().journal
    if not isinstance(journal, Journal):
        raise unavailable("there are no dead letters without a journal", "set journal.enabled to true")
    return journal


_MISSING = (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)

OPERATIONS = (
    Operation(
        name="listDeadLetters", method="GET", path="/dead-letters", right=Right.OPERATE, run=list_dead_letters,
        summary="What could not be done, and why", query=Page, answer=DeadLetterPage,
        problems=(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
    Operation(
        name="showDeadLetter", method="GET", path="/dead-letters/{number}", right=Right.OPERATE,
        run=show_dead_letter, summary="One of them, with the words in it", path_type=LetterNumber,
        answer=WholeDeadLetter, problems=_MISSING,
    ),
    Operation(
        name="purgeDeadLetter", method="DELETE", path="/dead-letters/{number}", right=Right.OPERATE,
        run=purge_dead_letter, summary="Forget it for good", path_type=LetterNumber, problems=_MISSING,
    ),
    Operation(
        name="replayDeadLetter", method="POST", path="/dead-letters/{number}/replay", right=Right.OPERATE,
        run=replay_dead_letter, summary="Publish it, or transcribe it, again", path_type=LetterNumber,
        problems=(HTTPStatus.CONFLICT, *_MISSING),
    ),
)  # fmt: skip
