"""All of a user erased, with a report: what there was, when, and what is kept where the gateway cannot erase it."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Annotated

from msgspec import Meta, Struct

from gateway.access.principals import Right
from gateway.web.api.operation import Call, Carry, Operation, Token
from gateway.web.api.utterances import forgetting_of, journal_of, tell_house
from gateway.web.entrance.problems import not_found
from gateway.web.personal.kept import Kept, kept_elsewhere


class Owner(Struct, frozen=True):
    """Whose utterances."""

    user_id: Annotated[Token, Meta(description="Everything of this user is erased.")]


class ErasureReport(Struct, frozen=True, kw_only=True):
    """What there is no longer. ``erased``: all of it together; ``began_at``, ``ended_at``: Unix seconds.

    ``unheard``: utterances that had no text yet; ``messages``: on their way to the broker; ``requests``: questions
    that were open, and answers that no device had taken; ``copies``: of the journal as it was before an upgrade.
    ``kept``: what is left elsewhere, and how it goes from there.
    """

    erased: int
    user_id: str
    began_at: float
    ended_at: float
    utterances: int
    unheard: int
    dead_letters: int
    requests: int
    messages: int
    copies: int
    kept: tuple[Kept, ...]


async def erase_user(call: Call[None, Owner, None]) -> ErasureReport:
    """All that a user ever said, some at a time."""
    user_id, began_at = call.query.user_id, time.time()
    if not call.principal.sees(user_id=user_id, device_id=None):
        raise not_found("user")
    gone = await forgetting_of(call).user(user_id)
    await tell_house(call)
    kept = await asyncio.to_thread(kept_elsewhere, call, user_id, journal_of(call).path)
    return ErasureReport(
        erased=gone.total,
        user_id=user_id,
        began_at=began_at,
        ended_at=time.time(),
        utterances=gone.utterances,
        unheard=gone.unheard,
        dead_letters=gone.dead_letters,
        requests=gone.requests,
        messages=gone.messages,
        copies=gone.copies,
        kept=tuple(kept),
    )


OPERATIONS = (
    Operation(
        name="eraseUser", method="DELETE", path="/utterances", right=Right.OPERATE, run=erase_user,
        summary="Erase all that is kept of a user, words and audio", query=Owner, answer=ErasureReport,
        problems=(
            HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE,
        ),
        carry=Carry.BY_THE_STORE,
    ),
)  # fmt: skip
