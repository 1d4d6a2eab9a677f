"""Listeners that want the same, found by whose events they may get: a thousand people are not asked about each other's.

A filter's ``reach`` bounds whose events can pass it; it is asked about no others, and has the last word.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from gateway.access.principals import own_device_beside
from gateway.contract.events import HubEventBase
from gateway.hub.snapshot import Filter

_Lane = TypeVar("_Lane")


class Group(Generic[_Lane]):
    """Those of one wish."""

    __slots__ = ("lanes", "wanted")

    def __init__(self, wanted: Filter) -> None:
        self.wanted = wanted
        self.lanes: dict[_Lane, None] = {}


class Groups(Generic[_Lane]):
    """All of them."""

    def __init__(self) -> None:
        self._all: dict[Filter, Group[_Lane]] = {}
        self._of_everybody: dict[Group[_Lane], None] = {}
        self._of_user: dict[str, dict[Group[_Lane], None]] = {}
        self._of_device: dict[str, dict[Group[_Lane], None]] = {}

    def __bool__(self) -> bool:
        """Whether there is anybody."""
        return bool(self._all)

    def join(self, wanted: Filter, lane: _Lane) -> None:
        """One more."""
        group = self._all.get(wanted)
        if group is None:
            group = self._all[wanted] = Group(wanted)
            for place, name in self._places(wanted):
                place.setdefault(name, {})[group] = None
            if wanted.reach is None:
                self._of_everybody[group] = None
        group.lanes[lane] = None

    def leave(self, wanted: Filter, lane: _Lane) -> None:
        """One less. Idempotent."""
        group = self._all.get(wanted)
        if group is None:
            return
        group.lanes.pop(lane, None)
        if group.lanes:
            return
        del self._all[wanted]
        self._of_everybody.pop(group, None)
        for place, name in self._places(wanted):
            del place[name][group]
            if not place[name]:
                del place[name]

    def wanted(self) -> list[Filter]:
        """What they wish for."""
        return list(self._all)

    def wanting(self, event: HubEventBase) -> list[Group[_Lane]]:
        """Whoever is to get it."""
        return [group for group in self._asked(event) if group.wanted(event)]

    def wants(self, event: HubEventBase) -> bool:
        """Whether anybody is."""
        return any(group.wanted(event) for group in self._asked(event))

    def _asked(self, event: HubEventBase) -> dict[Group[_Lane], None]:
        """Each of those once who could want it."""
        user = getattr(event, "user_id", None)
        device = getattr(event, "device_id", None) or getattr(event, "about", None) or None
        if user is None and device is None:
            return dict.fromkeys(self._all.values())
        asked = dict(self._of_everybody)
        asked.update(self._of_user.get(user or "", {}))
        if device is not None:
            asked.update(self._of_device.get(device, {}))
            asked.update(self._of_device.get(own_device_beside(device), {}))
        return asked

    def _places(self, wanted: Filter) -> Iterator[tuple[dict[str, dict[Group[_Lane], None]], str]]:
        if wanted.reach is not None:
            for name in wanted.reach.users:
                yield self._of_user, name
            for name in wanted.reach.devices:
                yield self._of_device, name
