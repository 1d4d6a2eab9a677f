"""Who may come in at all, what proves who it is, and where it was before: ports of the house's own. No I/O."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from firmware_bridge.link.frames import Hello


class TurnedAway(NamedTuple):
    """Why a device is not let in, as it is told, and what people can do about it."""

    reason: str
    remedy: str


class Admission(Protocol):
    """Asked at each HELLO, so it answers at once."""

    def objection(self, device_id: str) -> TurnedAway | None:
        """Why no device of this id is let in; None: it is, once it has proved to be that one. Changes nothing."""

    def key(self, device_id: str) -> bytes | None:
        """What a device of this id has to prove that it has; None: nothing."""

    def turned_away(self, hello: Hello, carrier: str) -> None:
        """This one was told the objection."""


class OpenHouse:
    """Everybody is welcome, and is who it says."""

    def objection(self, device_id: str) -> TurnedAway | None:  # noqa: ARG002 - the port's
        """None."""
        return None

    def key(self, device_id: str) -> bytes | None:  # noqa: ARG002 - the port's
        """None."""
        return None

    def turned_away(self, hello: Hello, carrier: str) -> None:
        """Nobody is."""


class OtherGateways(Protocol):
    """What other gateways know of devices. Asked at each HELLO of a boot that is new here, so it answers at once."""

    def holds(self, hello: Hello) -> bool:
        """Whether this HELLO is to wait for what is known elsewhere; when that is here, its device is let in."""


class NoOtherGateways:
    """There is no other gateway."""

    def holds(self, hello: Hello) -> bool:  # noqa: ARG002 - the port's
        """False."""
        return False
