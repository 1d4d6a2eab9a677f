"""Whether the gateway that stands by has all that is called durable, as health shows it."""

from __future__ import annotations

from gateway.observing.health import Health, HealthState

COMPONENT = "standby"


class StandbyHealth:
    """To be told of each change."""

    def __init__(self, health: Health, place: str) -> None:
        """``place``: whose it would take."""
        self._health = health
        self._place = place

    def standing_changed(self, is_together: bool, reason: str) -> None:  # noqa: FBT001 - the state itself
        """It has everything, or why it has not."""
        if is_together:
            self._health.set(COMPONENT, HealthState.HEALTHY, detail="it has a copy of all that is durable")
            return
        self._health.set(
            COMPONENT,
            HealthState.DEGRADED,
            f"what is called durable is at this gateway only: {reason}",
            f"have a gateway stand by (house.standby_for: {self._place}); house.has_standby: false if there is none",
        )
