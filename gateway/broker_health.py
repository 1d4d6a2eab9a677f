"""How the broker is, as the gateway's health shows it: one that is away is bridged by a journal that keeps.

Transcripts wait there as long as it takes, and devices are told: the gateway does its job, only later.
"""

from __future__ import annotations

from gateway.broker.base import BrokerStatus
from gateway.health import Health, HealthState
from gateway.journal import JournalState

BRIDGED = "transcripts wait in the journal"
UNBRIDGED = "transcripts wait in memory only"
COMPONENT = "broker"


class BrokerHealth:
    """To be told of each change of the broker and of the journal."""

    def __init__(self, health: Health) -> None:
        self.status = BrokerStatus(connected=False)
        """As it was told last."""
        self._health = health
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
        if status.connected:
            weak = "; ".join(status.weaknesses)
            self._health.set(COMPONENT, HealthState.DEGRADED if weak else HealthState.HEALTHY, weak)
            return
        state = HealthState.DEGRADED if self._bridged else HealthState.UNHEALTHY
        reason = f"{status.reason}: {BRIDGED if self._bridged else UNBRIDGED}"
        self._health.set(COMPONENT, state, reason, status.remedy)
