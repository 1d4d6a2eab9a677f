"""Whether the user's own function between words and people does its work, as the gateway's health shows it."""

from __future__ import annotations

from gateway.observing.health import Health, HealthState

COMPONENT = "content"
REMEDY = (
    "correct the function that content.hook names; content.hook_failed says what becomes of texts meanwhile"
)


class ContentHealth:
    """To be told each time that it was asked."""

    def __init__(self, health: Health, hook: str) -> None:
        """``hook``: its name; empty: there is none, and nothing to tell."""
        self._health = health
        self._hook = hook
        if hook:
            self.asked("")

    def asked(self, failure: str) -> None:
        """Why it failed; empty: it did not."""
        if failure:
            self._health.set(COMPONENT, HealthState.DEGRADED, f"{self._hook} failed: {failure}", REMEDY)
        else:
            self._health.set(COMPONENT, HealthState.HEALTHY, detail=f"{self._hook} is asked about each text")
