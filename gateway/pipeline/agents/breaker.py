"""When an agent that fails is left alone, and when it is tried again. No I/O, no clock.

``now`` and ``asked_at`` are the caller's, in seconds of whichever clock it uses throughout.
"""

from __future__ import annotations

import enum
from collections import deque

from gateway.settings.orchestrator import BreakerSettings


class BreakerState(enum.StrEnum):
    """Whether an agent is asked."""

    CLOSED = "closed"
    """It is."""
    OPEN = "open"
    """It is not, for a while."""
    HALF_OPEN = "half open"
    """It is asked once, to see."""


class BreakerEvent(enum.Enum):
    """What changes that."""

    TRIPPED = "tripped"
    """One failure too many."""
    WAITED = "waited"
    """It was left alone for long enough, or has begun anew."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"


TRANSITIONS: dict[tuple[BreakerState, BreakerEvent], BreakerState] = {
    (BreakerState.CLOSED, BreakerEvent.TRIPPED): BreakerState.OPEN,
    (BreakerState.OPEN, BreakerEvent.WAITED): BreakerState.HALF_OPEN,
    (BreakerState.HALF_OPEN, BreakerEvent.SUCCEEDED): BreakerState.CLOSED,
    (BreakerState.HALF_OPEN, BreakerEvent.FAILED): BreakerState.OPEN,
}
"""Whatever else happens changes nothing."""


class Breaker:
    """One agent's.

    It trips at ``failures`` in the window, of the last twice as many verdicts: who fails once in a hundred times goes
    on being asked, however often that is.
    """

    def __init__(self, settings: BreakerSettings, probe_seconds: float = 60.0) -> None:
        """``probe_seconds``: a probe that nobody has given a verdict on for so long is given up."""
        self._settings = settings
        self._probe_seconds = probe_seconds
        self._verdicts: deque[float | None] = deque(maxlen=max(1, 2 * settings.failures))
        """When it failed, None where it did not."""
        self._state = BreakerState.CLOSED
        self._changed_at = float("-inf")
        self._probed_at: float | None = None

    def state(self, now: float) -> BreakerState:
        """Whether the agent is asked. An open one is half open in time."""
        if self._state is BreakerState.OPEN and now - self._changed_at >= self._settings.open_seconds:
            self._step(BreakerEvent.WAITED, now)
        return self._state

    def allows(self, now: float) -> bool:
        """Whether it may be asked now; asks nobody."""
        state = self.state(now)
        if state is BreakerState.HALF_OPEN:
            return self._probed_at is None or now - self._probed_at >= self._probe_seconds
        return state is BreakerState.CLOSED

    def asked(self, now: float) -> None:
        """It is asked: in a half-open one that is the probe, and nobody else asks until there is a verdict on it."""
        if self.state(now) is BreakerState.HALF_OPEN:
            self._probed_at = now

    def succeeded(self, now: float, asked_at: float | None = None) -> None:
        """It has answered; ``asked_at``: what was asked then."""
        self._verdicts.append(None)
        if self._counts(now, asked_at):
            self._step(BreakerEvent.SUCCEEDED, now)

    def failed(self, now: float, asked_at: float | None = None) -> None:
        """It has failed, or not answered in time."""
        self._verdicts.append(now)
        if self._state is BreakerState.CLOSED and self._has_failed_enough(now):
            self._step(BreakerEvent.TRIPPED, now)
        elif self._counts(now, asked_at):
            self._step(BreakerEvent.FAILED, now)

    def abandoned(self) -> None:
        """The probe was stopped, and nobody knows whether it would have succeeded: the next may be one."""
        self._probed_at = None

    def renewed(self, now: float) -> None:
        """Whoever failed is gone, and somebody is there again under its name: it may be asked, to see."""
        self._step(BreakerEvent.WAITED, now)

    def _counts(self, now: float, asked_at: float | None) -> bool:
        """What was asked before it tripped says nothing about how it is now."""
        return self.state(now) is BreakerState.HALF_OPEN and (
            asked_at is None or asked_at >= self._changed_at
        )

    def _has_failed_enough(self, now: float) -> bool:
        failures, since = self._settings.failures, now - self._settings.window_seconds
        return 0 < failures <= sum(1 for at in self._verdicts if at is not None and at > since)

    def _step(self, event: BreakerEvent, now: float) -> None:
        after = TRANSITIONS.get((self._state, event))
        if after is None:
            return
        self._state, self._changed_at, self._probed_at = after, now, None
        if after is BreakerState.CLOSED:
            self._verdicts.clear()
