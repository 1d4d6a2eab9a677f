"""What a run is to be: how many of each, how often they speak, for how long."""

from __future__ import annotations

from msgspec import Struct

UTTERANCE_SECONDS = 2.0
"""Of the recordings that are spoken, in the mean."""
SLOW_SECONDS = 1.5
"""How long the slow agent thinks."""
FAR = 4
"""Every fourth device is in the room of the slow agent."""


class Phase(Struct, frozen=True, kw_only=True):
    """A part of a run. ``duty``: the share of the time in which a device is spoken to; ``seconds``: of real time."""

    name: str
    duty: float
    seconds: float


class FleetLoad(Struct, frozen=True, kw_only=True):
    """A run. ``model``: bundled, or the folder of one. ``bundled`` runs everywhere.

    ``compressed``: so many seconds are taken to pass in one: pauses between utterances, and what the gateway remembers
    by time, are so much shorter, and audio goes as fast as the wire takes it. 1.0: nothing is compressed.
    """

    phases: tuple[Phase, ...]
    serial: int = 20
    mqtt: int = 200
    websocket: int = 20
    listeners: int = 200
    model: str = "bundled"
    compressed: float = 1.0
    warm_up_seconds: float = 20.0
    """Real seconds, at the first phase's duty, before anything counts."""
    first: bool = False
    """Gateway and recognizer come before all other work of the machine (SCHED_RR, which root may give)."""
    seed: int = 1

    @property
    def devices(self) -> int:
        """On all carriers."""
        return self.serial + self.mqtt + self.websocket
