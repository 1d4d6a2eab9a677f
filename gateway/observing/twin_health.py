"""Two gateways that go by one name, as cloned cards do: each takes replies that are for the other.

Replies are read under a name of the gateway's own, which is derived from the machine's. Where the broker shows that
somebody else reads under it, too, that is told. Over MQTT the two throw each other out, which the broker's health says.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from gateway.broker.address import client_id, replies_group
from gateway.broker.base import BrokerError, MessageBroker
from gateway.contract.messages import REPLIES_TOPIC
from gateway.observing.health import Health, HealthState
from gateway.settings.broker import BrokerSettings

COMPONENT = "identity"
LOOK_SECONDS = 5.0
LOOKS = 4
"""So many in a row: a connection of ours that is dead is shown for a while, too."""
REMEDY = (
    "set broker.client_id in one of them; cloned cards need a machine id of their own "
    "(sudo rm /etc/machine-id && sudo systemd-machine-id-setup)"
)


class TwinHealth:
    """Looks for another gateway of our name, as long as ``watch`` runs."""

    def __init__(self, health: Health, broker: MessageBroker, settings: BrokerSettings) -> None:
        self._health = health
        self._broker = broker
        self._group = replies_group(settings)
        self._reason = (
            f"another gateway goes by our name, {client_id(settings)}: each takes replies for the other"
        )
        self._told = False

    async def watch(self) -> None:
        """Until cancelled."""
        seen = 0
        while True:
            with suppress(BrokerError):  # not there, which its own health says
                readers = await self._broker.readers(REPLIES_TOPIC, self._group)
                seen = seen + 1 if readers > 1 else 0
                self._tell(there=seen >= LOOKS)
            await asyncio.sleep(LOOK_SECONDS)

    def _tell(self, *, there: bool) -> None:
        if there:
            self._health.set(COMPONENT, HealthState.DEGRADED, self._reason, REMEDY, works=False)
        elif self._told:
            self._health.set(COMPONENT, HealthState.HEALTHY)
        self._told = self._told or there
