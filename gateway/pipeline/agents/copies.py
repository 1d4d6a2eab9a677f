"""The copies of one agent that say that they are there. No I/O, no clock."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from msgspec import structs

from gateway.contract.agents import ABSENT_SECONDS, AgentPresence

MOST_COPIES = 32
"""Of one agent; where more say that they are there, those that were silent for longest are forgotten."""
VERSION_CHARACTERS = 40
DESCRIPTION_CHARACTERS = 200
"""Of what a copy says that it is, more is cut off."""
CLOCKS_AGREE_SECONDS = 2.0
"""Copies whose clocks differ by more have no common one."""


@dataclass(frozen=True, slots=True)
class AgentCopy:
    """One of them, as it said last; ``seen_at`` is by the caller's clock."""

    presence: AgentPresence
    seen_at: float


class AgentCopies:
    """Those that were there within ABSENT_SECONDS."""

    def __init__(self) -> None:
        self._copies: OrderedDict[str, AgentCopy] = OrderedDict()  # the one that was heard of last at the end
        self.seen_at: float | None = None
        """When any of them was there last."""
        self.have_left = False
        """Whether the last of them said that it leaves."""

    def seen(self, presence: AgentPresence, now: float) -> None:
        """One says that it is there, or that it leaves."""
        self._forget_silent(now)
        self._copies.pop(presence.instance, None)
        self.seen_at = now
        if presence.state == "leaving":
            self.have_left = not self._copies
            return
        self.have_left = False
        self._copies[presence.instance] = AgentCopy(_short(presence), now)
        if len(self._copies) > MOST_COPIES:
            self._copies.popitem(last=False)

    def here(self, now: float) -> tuple[AgentCopy, ...]:
        """Those that are there, the one that was heard of last at the end."""
        self._forget_silent(now)
        return tuple(self._copies.values())

    def clock(self, now: float) -> float:
        """What time they have (Unix); 0 where they do not say, or do not agree."""
        clocks = [copy.presence.timestamp + now - copy.seen_at for copy in self.here(now)]
        if not clocks or not all(math.isfinite(clock) and clock > 0 for clock in clocks):
            return 0.0
        return clocks[-1] if max(clocks) - min(clocks) <= CLOCKS_AGREE_SECONDS else 0.0

    def _forget_silent(self, now: float) -> None:
        while self._copies and now - next(iter(self._copies.values())).seen_at >= ABSENT_SECONDS:
            self._copies.popitem(last=False)


def _short(presence: AgentPresence) -> AgentPresence:
    return structs.replace(
        presence,
        version=presence.version[:VERSION_CHARACTERS],
        description=presence.description[:DESCRIPTION_CHARACTERS],
    )
