"""What a team's work came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Cause(StrEnum):
    """Why there is no reply."""

    NOBODY = "nobody"
    """None of them could be asked at all, or those who were are not there any more."""
    LATE = "late"
    """None answered in time, or said that it would not."""
    FAILED = "failed"
    PUZZLED = "puzzled"
    """They answered that they did not understand."""


@dataclass(frozen=True, slots=True)
class TeamOutcome:
    """The reply, or (``error``) why there is none; ``text`` may be there all the same: that nobody understood.

    ``agent``: whose reply it is, the team's where several made it. ``agents``: whose answers are in it; ``missing``:
    whose should be, which makes it ``partial``. ``cause``: of an error. ``falls_short``: of what there
    should be too little came, so that what was shown before is no reply either. ``cached``: somebody's
    answer in it was given before, to the same. ``echo_of``: it is the
    answer to that request, which was the same voice.
    """

    text: str
    agent: str
    error: str | None = None
    agents: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    confidence: float = 0.0
    data: dict[str, Any] | None = None
    cause: Cause | None = None
    falls_short: bool = False
    cached: bool = False
    echo_of: str = ""

    @property
    def partial(self) -> bool:
        """Whether somebody's answer is not in it that should be."""
        return bool(self.agents and self.missing)
