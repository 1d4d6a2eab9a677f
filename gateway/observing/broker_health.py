"""How the broker is, as the gateway's health shows it: one that is away is bridged by a journal that keeps.

Transcripts wait there as long as it takes, and devices are told: the gateway does its job, only later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.broker.base import BrokerStatus, Durability
from gateway.journal import JournalState
from gateway.observing.health import Health, HealthState

BRIDGED = "transcripts wait in the journal"
UNBRIDGED = "transcripts wait in memory only"
COMPONENT = "broker"
_WORTH: Final[Mapping[Durability, str]] = {
    Durability.MEMORY: "what it has confirmed is in memory only",
    Durability.OS: "what it has confirmed outlives its process, not a power failure",
    Durability.FSYNC: "what it has confirmed is on its disk",
    Durability.QUORUM: "what it has confirmed outlives one of its machines",
}


class BrokerHealth:
    """To be told of each change of the broker and of the journal."""

    def __init__(self, health: Health, away: str = UNBRIDGED) -> None:
        """``away``: what is so while it is not connected, and no journal keeps what waits for it."""
        self.status = BrokerStatus(connected=False)
        """As it was told last."""
        self._health = health
        self._away = away
        self._told = False
        self._bridged = False

    def broker_changed(self, status: BrokerStatus) -> None:
        """There is another connection to it, or none."""
        self.status, self._told = status, True
        self._tell()

    def journal_changed(self, state: JournalState) -> None:
        """Whether what waits for the broker is safe."""
        self._bridged = state.durable
        if self._told:
            self._tell()

    def _tell(self) -> None:
        status = self.status
        if status.connected and not status.reason:
            weak = "; ".join(status.weaknesses)
            state = HealthState.DEGRADED if weak else HealthState.HEALTHY
            self._health.set(COMPONENT, state, weak, detail=in_words(status))
            return
        state = HealthState.DEGRADED if self._bridged else HealthState.UNHEALTHY
        reason = f"{status.reason}: {BRIDGED if self._bridged else self._away}"
        self._health.set(COMPONENT, state, reason, status.remedy, works=False)


def in_words(status: BrokerStatus) -> str:
    """What a broker is that is there: its name and version, and what its word is worth."""
    return f"{status.server}: {status.durability} ({_WORTH[status.durability]})"
