"""Time as it passes, whatever becomes of the wall clock: how long ago something was, and what is over for good.

A wall clock may be set. A board without one begins in 1970 and is told the time minutes later; another is set 40
days ahead for a minute and back. So nothing is old because a wall clock says so: what passed while the machine ran
is counted since its boot, and what passed while it was switched off is believed slowly, and within a bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from msgspec import Struct

DAY = 86_400.0
SET_SINCE = 1_735_689_600.0
"""2025-01-01. A clock that says less was never set."""
BELIEVED_A_SECOND = 60.0
"""A wall clock that is ahead is caught up with by so much in each second: a minute's mistake costs an hour."""
LONGEST_ABSENCE = 30 * DAY
"""A machine that was switched off is believed to have been off for so long at most."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Instant(Struct, frozen=True):
    """What the machine says. ``wall``: Unix seconds; ``up``: seconds since its boot, sleep included."""

    wall: float
    up: float
    boot: str


class Mark(Struct, frozen=True, array_like=True):
    """What is kept of a clock, so that it goes on after a restart. ``lead`` None: the wall clock says nothing."""

    base: float
    caught_up: float
    lead: float | None
    wall: float
    up: float
    boot: str


def instant() -> Instant:
    """Now. The first call reads a file."""
    return Instant(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), _boot_id())


class SteadyClock:
    """Seconds that have passed, from any beginning: never back, and ahead only by what may be believed.

    The value is ``base + up + caught_up``; ``caught_up`` runs after ``wall + lead``, which is where the clock would
    be if the wall clock had been right all the time.
    """

    def __init__(
        self,
        mark: Mark | None,
        begin: float,
        *,
        follows: bool = False,
        instant: Callable[[], Instant] = instant,
    ) -> None:
        """``mark``: of the clock before this one; None: there was none, it is ``begin`` now.

        ``follows``: it is to become what the wall clock says; otherwise that only tells how long the machine was off.
        """
        self._instant = instant
        self._follows = follows
        self._most = float("inf") if follows else LONGEST_ABSENCE
        self._lead = 0.0 if follows else None
        at = instant()
        self._base, self._caught_up, self._seen_up = begin - at.up, 0.0, at.up
        if mark is not None and mark.boot == at.boot and mark.up <= at.up:
            self._base, self._caught_up, self._lead = mark.base, mark.caught_up, mark.lead
        elif mark is not None:
            self._base = mark.base + mark.caught_up + mark.up
            if not follows and mark.wall >= SET_SINCE:
                self._lead = self._base - mark.wall

    def now(self) -> float:
        """In seconds; 0 means nothing."""
        at = self._instant()
        value = self._base + at.up + self._caught_up
        if self._lead is not None:
            ahead = at.wall + self._lead - value
            most = min(BELIEVED_A_SECOND * (at.up - self._seen_up), self._most - self._caught_up)
            is_first = self._follows and value < SET_SINCE <= at.wall  # the time has come
            self._caught_up += max(0.0, ahead if is_first else min(ahead, most))
        self._seen_up = at.up
        return self._base + at.up + self._caught_up

    def mark(self) -> Mark:
        """To be kept for the next one."""
        at = self._instant()
        self.now()
        return Mark(self._base, self._caught_up, self._lead, at.wall, at.up, at.boot)


@cache
def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
