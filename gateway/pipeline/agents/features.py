"""Which sessions something else is done for, how that does beside what it stands for, and when it is taken back.

No I/O and no clock. A feature that was taken back stays so until somebody says otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from typing import NamedTuple

from gateway.pipeline.agents.track_record import percentile
from gateway.settings.features import FeatureSettings

WINDOW = 1_000
"""Of so many requests, the last ones of each side, it is known how they ended."""
NOTICEABLE_SECONDS = 0.1
"""What takes longer by less is not worse."""


class End(Enum):
    """How a request ended."""

    ANSWERED = "answered"
    FAILED = "failed"
    """Or nobody answered in time, or was there."""
    PUZZLED = "puzzled"
    """Nobody understood it."""


class Side(NamedTuple):
    """Of which side of a feature a request is; ``trial``: how often some had been tried anew when it was asked."""

    feature: str
    on: bool
    trial: int = 0


@dataclass(frozen=True, slots=True)
class SideFigures:
    """``requests``: all that have ended; the rest is of the last WINDOW of them. Seconds are 0 of nothing.

    ``failed``: nobody answered, or not in time; ``puzzled``: nobody understood.
    """

    requests: int
    counted: int
    failed: int
    puzzled: int
    p50_seconds: float
    p95_seconds: float

    @property
    def unanswered(self) -> float:
        """What share of them has no answer."""
        return (self.failed + self.puzzled) / self.counted if self.counted else 0.0


@dataclass(frozen=True, slots=True)
class FeatureStanding:
    """How it is with a feature. ``taken_back``: why it is for nobody; empty: it is on."""

    name: str
    settings: FeatureSettings
    taken_back: str
    on: SideFigures
    off: SideFigures


@dataclass(slots=True)
class _SideRecord:
    requests: int = 0
    ends: deque[tuple[End, float, int]] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def ended(self, end: End, seconds: float, number: int) -> None:
        self.requests += 1
        self.ends.append((end, seconds, number))

    @property
    def forgotten_to(self) -> int:
        """What has a lower number of this side is not known any more."""
        return self.ends[0][2] if len(self.ends) == WINDOW else 0

    def figures(self, since: int = 0) -> SideFigures:
        """Of those with that number or a higher one."""
        known = [one for one in self.ends if one[2] >= since]
        ends = [end for end, _, _ in known]
        times = sorted(seconds for end, seconds, _ in known if end is End.ANSWERED)
        return SideFigures(
            self.requests,
            len(ends),
            ends.count(End.FAILED),
            ends.count(End.PUZZLED),
            percentile(times, 50),
            percentile(times, 95),
        )


class _Feature:
    """One of them, since it was last tried."""

    def __init__(self, name: str, settings: FeatureSettings, trial: int = 0) -> None:
        self.trial = trial
        self.name = name
        self.settings = settings
        self.taken_back = ""
        self._sides = {True: _SideRecord(), False: _SideRecord()}
        self._ended = 0

    def is_for(self, session_id: str) -> bool:
        digest = blake2b(f"{self.name}\n{session_id}".encode("utf-8", "replace"), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64 * 100 < self.settings.percent

    def ended(self, end: End, seconds: float, *, on: bool) -> None:
        self._ended += 1
        self._sides[on].ended(end, seconds, self._ended)

    def standing(self) -> FeatureStanding:
        on, off = self._sides[True].figures(), self._sides[False].figures()
        return FeatureStanding(self.name, self.settings, self.taken_back, on, off)

    def why_worse(self) -> str:
        """Empty: it is not, as far as is known."""
        back = self.settings.back
        on, off = self._compared()
        if min(on.counted, off.counted) < back.requests:
            return ""
        if on.unanswered > off.unanswered + back.failures_percent / 100:
            return f"{_percent(on.unanswered)} of {on.counted} without an answer, {_percent(off.unanswered)} else"
        most = max(off.p95_seconds * (1 + back.p95_percent / 100), off.p95_seconds + NOTICEABLE_SECONDS)
        enough = off.unanswered < 1 and on.unanswered < 1
        if back.p95_percent and enough and on.p95_seconds > most:
            return f"95 % of {on.counted} within {on.p95_seconds:.2f} s, {off.p95_seconds:.2f} s else"
        return ""

    def _compared(self) -> tuple[SideFigures, SideFigures]:
        """Both sides in the same time: an hour in which nobody answered is not of the one that has few requests only.

        Where that one has too few of them in what is known of the other, all that is known of both.
        """
        on, off = self._sides[True], self._sides[False]
        since = max(on.forgotten_to, off.forgotten_to)
        same = on.figures(since), off.figures(since)
        enough = min(side.counted for side in same) >= self.settings.back.requests
        return same if enough else (on.figures(), off.figures())


class Features:
    """All of the configuration; ``on_change`` is called when one is taken back, or tried again."""

    def __init__(self, settings: Mapping[str, FeatureSettings]) -> None:
        self.on_change: Callable[[], None] = _nobody_listens
        self._features = {name: _Feature(name, one) for name, one in settings.items()}
        self._trial = 0

    def reconfigure(self, settings: Mapping[str, FeatureSettings]) -> None:
        """Those whose settings have changed are tried anew."""
        self._trial += 1
        before = self._features
        self._features = {name: _Feature(name, one, self._trial) for name, one in settings.items()}
        for name, one in before.items():
            if settings.get(name) == one.settings:
                self._features[name] = one
        if before != self._features:
            self.on_change()

    def tried(self) -> list[tuple[str, FeatureSettings]]:
        """Those that are for some."""
        return [(name, one.settings) for name, one in self._features.items() if not one.taken_back]

    def side(self, name: str, session_id: str) -> Side:
        """Whether that session is one that tries it."""
        feature = self._features[name]
        return Side(name, feature.is_for(session_id), feature.trial)

    def ended(self, sides: Iterable[Side], end: End, seconds: float) -> None:
        """A request of these sides has ended, ``seconds`` after it was asked.

        It tells nothing of what is tried anew since.
        """
        for name, on, trial in sides:
            feature = self._features.get(name)
            if feature is None or feature.taken_back or feature.trial != trial:
                continue
            feature.ended(end, seconds, on=on)
            if reason := feature.why_worse():
                self.take_back(name, reason)

    def take_back(self, name: str, reason: str) -> bool:
        """It is for nobody any more; False: there is no such."""
        feature = self._features.get(name)
        if feature is None:
            return False
        feature.taken_back = reason
        self.on_change()
        return True

    def try_again(self, name: str) -> bool:
        """It is for some again, and judged by what comes from now on; False: there is no such."""
        feature = self._features.get(name)
        if feature is None:
            return False
        self._trial += 1
        self._features[name] = _Feature(name, feature.settings, self._trial)
        self.on_change()
        return True

    def standings(self) -> list[FeatureStanding]:
        """How it is with all of them."""
        return [feature.standing() for feature in self._features.values()]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _nobody_listens() -> None:
    """As long as nobody wants to know."""
