"""Several answers made one, and several failures one reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.contract.messages import DATA_BYTES, encode_data
from gateway.pipeline.teams.members import Member, MemberState
from gateway.pipeline.teams.outcome import Cause, TeamOutcome
from gateway.pipeline.teams.plans import TeamPlan

MAX_REASON = 1_000
"""Characters of a reason, whoever makes them."""


def combined(
    plan: TeamPlan, chosen: Sequence[Member], missing: Sequence[str], good: Sequence[Member]
) -> TeamOutcome:
    """The reply out of the answers of those who are ``chosen``; ``good``: all who answered."""
    if len(chosen) == 1:
        (one,) = chosen
        parts = [one] if one in good else [*good, one]
        return TeamOutcome(
            one.text, one.name, agents=tuple(each.name for each in parts), missing=tuple(missing),
            confidence=one.confidence, data=one.data, cached=any(each.cached for each in parts),
        )  # fmt: skip
    return TeamOutcome(
        " ".join(filter(None, (one.text.strip() for one in chosen))),
        plan.name,
        agents=tuple(one.name for one in chosen),
        missing=tuple(missing),
        confidence=min(one.confidence for one in chosen),
        data=_together(chosen),
        cached=any(one.cached for one in chosen),
    )


def _together(chosen: Sequence[Member]) -> dict[str, Any] | None:
    """What each has for programs, by its name; no more in all than one may have."""
    data: dict[str, Any] = {}
    room = DATA_BYTES
    for one in chosen:
        size = len(encode_data(one.data)) if one.data else 0
        if 0 < size <= room:
            data[one.name] = one.data
            room -= size
    return data or None


def failure(plan: TeamPlan, members: Sequence[Member], *, falls_short: bool) -> TeamOutcome:
    """That there is no reply, and why. Somebody who did not understand has said so in words."""
    puzzled = [one for one in members if one.state is MemberState.DONE and not one.understood]
    reasons = [_named(one.name, _reason(one)) for one in members if not one.good]
    return TeamOutcome(
        next((one.text for one in puzzled if one.text), ""),
        puzzled[0].name if puzzled else plan.name,
        error="; ".join(reasons)[:MAX_REASON] or "nobody is asked",
        missing=tuple(one.name for one in members if not one.good),
        cause=_cause(members, puzzled),
        falls_short=falls_short,
    )


def _cause(members: Sequence[Member], puzzled: Sequence[Member]) -> Cause:
    asked = [one for one in members if one.attempt and not one.gone]
    if not asked:
        return Cause.NOBODY
    if puzzled:
        return Cause.PUZZLED
    failed = any(one.error is not None and not one.timed_out for one in asked)
    return Cause.FAILED if failed else Cause.LATE


def _named(agent: str, reason: str) -> str:
    """Whose reason it is, which some say themselves."""
    return reason if reason.startswith((f"{agent} ", f"{agent}: ")) else f"{agent}: {reason}"


def _reason(member: Member) -> str:
    if member.state is MemberState.DONE:
        return "it did not understand"
    if member.error is not None:
        return member.error
    if member.gone:
        return "it is not there any more"
    return "it had not answered" if member.attempt else "it was not asked"  # its time was up, or the team's
