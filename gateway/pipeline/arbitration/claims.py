"""That a device hears somebody say something, and what becomes of that. No I/O and no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.pipeline.arbitration.likeness import UNKNOWN, Likeness
from gateway.pipeline.arbitration.voice_track import VoiceTrack


@dataclass(frozen=True, slots=True)
class Reception:
    """How well a device hears a voice, in dBFS; ``began``: when it heard the first of it."""

    device_id: str
    level: float
    noise: float
    began: float

    @property
    def snr(self) -> float:
        """How far it is above the device's own noise, in dB."""
        return self.level - self.noise


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a claim. ``by``: the device that answers the voice, where that is another (else empty).

    ``receptions``: of all that heard the voice, the one that answers first; empty where nobody else has to be told.
    """

    by: str = ""
    why: str = ""
    likeness: Likeness = UNKNOWN
    receptions: tuple[Reception, ...] = ()

    @property
    def reason(self) -> str:
        """For people."""
        return f"heard by {self.by}: {self.why}"


@dataclass(slots=True, eq=False)
class Claim:
    """Something that is said into one stream, from position ``start`` on; ``end``: where it was complete.

    ``pressed``: somebody holds the device's button. ``woke_at``: when it heard its wake word, if there was one.
    """

    device_id: str
    track: VoiceTrack
    start: int
    pressed: bool = False
    woke_at: float | None = None
    number: int = 0
    """Of its group's claims."""
    end: int | None = None
    cut: bool = False
    """Whether it was broken off, not finished."""
    goes_on: bool = False
    """Whether it is a part of something longer, and there is more."""
    leads: bool = False
    """Whether its device is answered for what this is the rest of."""
    absent: bool = False
    """Whether its device is away."""
    completed_at: float = 0.0
    held_until: float = 0.0
    decision: Decision | None = None
    on_decision: Callable[[Decision], None] | None = None
    likenesses: dict[int, Likeness] = field(default_factory=dict)
    """To the others that are complete, by their numbers."""

    @property
    def heard_to(self) -> int:
        """The position up to which there is something of it."""
        return max(self.start, self.track.heard_to if self.end is None else self.end)

    @property
    def began_at(self) -> float:
        """When it came."""
        return self.track.when(self.start)

    @property
    def ended_at(self) -> float:
        """When the last of it came, so far."""
        return self.track.when(self.heard_to)

    @property
    def is_answered(self) -> bool:
        """Whether it is decided, and its device answers."""
        return self.decision is not None and not self.decision.by

    @property
    def is_sure(self) -> bool:
        """Whether its device answers, or is going to whatever the others hear."""
        return self.is_answered or (self.decision is None and self.pressed and not self.absent)

    @property
    def may_win(self) -> bool:
        """Whether it is still to be decided, and is or may be complete."""
        return self.decision is None and (self.end is not None or not self.absent)

    def reception(self) -> Reception:
        """How well it is heard."""
        level = self.track.level(self.start, self.heard_to)
        return Reception(self.device_id, level, self.track.noise(), self.began_at)

    def decide(self, decision: Decision) -> None:
        """Once."""
        self.decision = decision
        if self.on_decision is not None:
            self.on_decision(decision)
