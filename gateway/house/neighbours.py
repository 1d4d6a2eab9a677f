"""Which gateways and hubs of the house are there, told by what they say each second. No I/O, no clock.

Time is counted in what comes back of what this one says itself: while the broker is away, or this process was asleep,
nothing of that comes back either, and nobody is held for dead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.contract.house import GATEWAY_GONE_SECONDS, GATEWAY_SECONDS, GatewayPresence

MOST_NEIGHBOURS = 256
"""That are known at once, those that have gone included; further ones are counted only."""
GONE_BEATS = round(GATEWAY_GONE_SECONDS / GATEWAY_SECONDS)
FORGOTTEN_BEATS = round(86_400 / GATEWAY_SECONDS)
"""One that has gone, and that nobody came back for, is forgotten after so long."""


@dataclass(slots=True)
class Neighbour:
    """A gateway or hub beside this one. ``gone``: why it is not there; empty: it is."""

    facts: GatewayPresence
    heard_at: int
    gone: str = ""

    @property
    def name(self) -> str:
        """What it is called in the house."""
        return self.facts.gateway

    @property
    def is_here(self) -> bool:
        """Whether it is there."""
        return not self.gone


class Neighbours:
    """All of them, by their instance: two that go by one name are two."""

    def __init__(self, instance: str) -> None:
        """``instance``: this one's own."""
        self.on_change: list[Callable[[Neighbour], None]] = []
        """To be told of each word of somebody else's, and when one is not there any more."""
        self.beats = 0
        """How often this one has heard itself."""
        self.refused = 0
        """Of neighbours for whom there is no room."""
        self._instance = instance
        self._known: dict[str, Neighbour] = {}

    def hear(self, told: GatewayPresence) -> None:
        """Somebody says that it is there, perhaps this one."""
        if told.instance == self._instance:
            self._beat()
        elif told.instance:
            self._heard(told)

    def here(self) -> list[Neighbour]:
        """Those that are there."""
        return [one for one in self._known.values() if one.is_here]

    def known(self) -> list[Neighbour]:
        """Those that have gone, too."""
        return list(self._known.values())

    def find(self, instance: str) -> Neighbour | None:
        """The one of that instance."""
        return self._known.get(instance)

    def of_name(self, gateway: str) -> Neighbour | None:
        """The one that goes by this name: one that is there, else the one that was last."""
        theirs = [one for one in self._known.values() if one.name == gateway]
        return max(theirs, key=lambda one: (one.is_here, one.heard_at), default=None)

    def of_epoch(self, epoch: str) -> Neighbour | None:
        """The one whose run that is."""
        return next((one for one in self._known.values() if epoch and one.facts.epoch == epoch), None)

    def _heard(self, told: GatewayPresence) -> None:
        one = self._known.get(told.instance)
        if one is None:
            if len(self._known) >= MOST_NEIGHBOURS and not self._make_room():
                self.refused += 1
                return
            one = self._known[told.instance] = Neighbour(told, self.beats)
        elif one.facts.state == "leaving" and told.timestamp <= one.facts.timestamp:
            return  # said before it left, and overtaken
        one.facts, one.heard_at = told, self.beats
        one.gone = "it was stopped" if told.state == "leaving" else ""
        self._tell(one)

    def _beat(self) -> None:
        self.beats += 1
        for one in list(self._known.values()):
            silent = self.beats - one.heard_at
            if one.is_here and silent >= GONE_BEATS:
                one.gone = "nothing is heard of it"
                self._tell(one)
            elif one.gone and (silent >= FORGOTTEN_BEATS or self._is_replaced(one)):
                del self._known[one.facts.instance]

    def _is_replaced(self, gone: Neighbour) -> bool:
        return any(one.is_here and one.name == gone.name for one in self._known.values())

    def _make_room(self) -> bool:
        gone = [one for one in self._known.values() if one.gone]
        if gone:
            del self._known[min(gone, key=lambda one: one.heard_at).facts.instance]
        return bool(gone)

    def _tell(self, one: Neighbour) -> None:
        for tell in self.on_change:
            tell(one)
