"""Which alerts there are: raised when something was amiss for a while, over when it was well for as long. No I/O."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from msgspec import Struct

MOST_ALERTS = 200
"""At once; what would be more is not told of, for their number says enough."""


class AlertState(enum.StrEnum):
    """Where one is."""

    RAISED = "raised"
    OVER = "over"


class Amiss(Struct, frozen=True, kw_only=True):
    """What is wrong now. ``name``: of which there are few, and never a device's; ``urgent``: people do without.

    ``at_once``: it is a fact, and no figure that may be better in a moment.
    """

    name: str
    text: str
    remedy: str
    shown: str = ""
    """What everybody with the page sees, where ``text`` is nothing for everybody; empty: the same."""
    urgent: bool = False
    at_once: bool = False


class Alert(Struct, frozen=True, kw_only=True):
    """What people are told. Times are Unix seconds; ``over_at`` is 0 as long as it is not."""

    name: str
    state: AlertState
    text: str
    remedy: str
    urgent: bool
    raised_at: float
    over_at: float = 0.0


@dataclass(slots=True)
class _Watched:
    amiss: Amiss
    since: float
    """When it began to be what it is not yet taken for: amiss, or well."""
    alert: Alert | None = None


class Alerts:
    """Told what is amiss at each look."""

    def __init__(
        self, after: float, now: Callable[[], float], clock: Callable[[], float] = time.time
    ) -> None:
        """``after``: seconds. ``now``: by which they are counted, which nobody sets; ``clock``: what is told."""
        self.raised = 0
        """Since the start."""
        self._after = after
        self._now = now
        self._clock = clock
        self._watched: dict[str, _Watched] = {}

    def shown(self, name: str) -> str:
        """What everybody with the page may see of it."""
        amiss = self._watched[name].amiss
        return amiss.shown or amiss.text

    @property
    def current(self) -> list[Alert]:
        """Those that are not over, urgent ones first."""
        found = [one.alert for one in self._watched.values() if one.alert is not None]
        return sorted(found, key=lambda one: (not one.urgent, one.raised_at))

    def reconfigure(self, after: float) -> None:
        """From now on."""
        self._after = after

    def restore(self, alerts: Iterable[Alert]) -> None:
        """Those of the gateway before: they are not raised again, and are over when nothing is amiss any more."""
        for one in alerts:
            known = Amiss(name=one.name, text=one.text, remedy=one.remedy, urgent=one.urgent)
            self._watched[one.name] = _Watched(known, self._now(), one)

    def look(self, found: Iterable[Amiss]) -> list[Alert]:
        """What is news: raised, or over."""
        amiss = {one.name: one for one in found}
        news = [alert for one in amiss.values() if (alert := self._amiss(one)) is not None]
        gone = [name for name in self._watched if name not in amiss]
        return news + [alert for name in gone if (alert := self._well(name)) is not None]

    def _amiss(self, one: Amiss) -> Alert | None:
        now, watched = self._now(), self._watched.get(one.name)
        if watched is None:
            if len(self._watched) >= MOST_ALERTS:
                return None
            watched = self._watched[one.name] = _Watched(one, now)
        watched.amiss = one
        if watched.alert is not None:
            watched.since = now
            return None
        if not one.at_once and now - watched.since < self._after:
            return None
        self.raised += 1
        watched.since = now
        watched.alert = Alert(
            name=one.name, state=AlertState.RAISED, text=one.text, remedy=one.remedy, urgent=one.urgent,
            raised_at=self._clock(),
        )  # fmt: skip
        return watched.alert

    def _well(self, name: str) -> Alert | None:
        watched = self._watched[name]
        if watched.alert is None:
            del self._watched[name]
            return None
        if self._now() - watched.since < self._after:
            return None
        del self._watched[name]
        before = watched.alert
        return Alert(
            name=name, state=AlertState.OVER, text=before.text, remedy="", urgent=before.urgent,
            raised_at=before.raised_at, over_at=self._clock(),
        )  # fmt: skip
