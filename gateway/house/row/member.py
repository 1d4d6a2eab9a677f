"""This gateway as one of its house: it says that it is there, and gives and takes devices."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from msgspec import structs

from gateway.broker.base import MessageBroker
from gateway.contract.house import GatewayPresence
from gateway.contract.messages import new_id
from gateway.house.presence import HousePresence
from gateway.house.row.moves import DeviceMoves, Links
from gateway.pipeline.moving import Moving
from gateway.process.mishaps import Mishaps


class HouseMember:
    """One gateway of several."""

    def __init__(
        self, name: str, broker: MessageBroker, facts: Callable[[], GatewayPresence], mishaps: Mishaps
    ) -> None:
        """``facts``: how it is now; which process it is is told beside them."""
        self.name = name
        self.instance = f"g{time.time_ns():020d}_{new_id('')}"
        """Of those that go by one name, that of the one that began last is the greatest."""
        self.presence = HousePresence(broker, partial(_told, facts, self.instance))
        self.moves = DeviceMoves(broker, name, self._others, mishaps)
        """Which devices come, and which go."""

    def connect(self, links: Links, moving: Moving) -> None:
        """To be called before any device is heard."""
        self.moves.connect(links, moving)
        self.presence.neighbours.on_change.append(self.moves.heard_of)

    def work(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """What goes on beside the pipeline, until the end."""
        yield "presence in the house", self.presence.run
        yield "devices that move", self.moves.run

    def is_replaced(self) -> bool:
        """Whether a gateway that began later goes by the same name."""
        here = self.presence.neighbours.here()
        return any(
            one.name == self.name and one.facts.role == "gateway" and one.facts.instance > self.instance
            for one in here
        )

    def owner_waits(self) -> bool:
        """Whether whoever this place is named after stands by for it."""
        here = self.presence.neighbours.here()
        return any(one.name == self.name and one.facts.role == "standby" for one in here)

    def has_standby(self) -> bool:
        """Whether somebody stands by for this place."""
        return any(
            one.facts.role == "standby" and one.facts.standby_for == self.name
            for one in self.presence.neighbours.here()
        )

    def _others(self) -> set[str]:
        """The gateways that may have had a device."""
        here = self.presence.neighbours.here()
        return {one.name for one in here if one.facts.role == "gateway"} - {self.name}


def _told(facts: Callable[[], GatewayPresence], instance: str) -> GatewayPresence:
    return structs.replace(facts(), instance=instance)
