"""Devices whose recordings cannot be understood as they are, or are cut off, as the gateway's health shows them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from firmware_bridge.link.events import DeviceConnected, RecordingFaulty
from gateway.observing.health import Health, HealthState
from transcription.audio import SAMPLE_RATE

COMPONENT = "recording"
KEPT = 1_024
"""Devices that are known; those that were heard longest ago go first."""
TOLD = 3
CLIPPED_SHARE = 0.002
"""Of an utterance's samples; from so many at full scale on it is heard, and understood worse."""
CLIPPED_UTTERANCES = 2
"""So many in a row are no chance; so many without any, and it is well again."""
SHORTEST = SAMPLE_RATE // 4
"""Samples of an utterance that tell anything."""
LOWER_GAIN = "lower the gain of its microphone (or the shift of its samples), or speak from further away"


@dataclass(slots=True)
class _Loudness:
    """Whether a device is too loud, by its last utterances. ``in_a_row``: how many of them say otherwise."""

    is_told: bool = False
    in_a_row: int = 0
    share: float = 0.0
    """Clipped, of the last utterance that was."""

    def take(self, share: float) -> None:
        is_clipped = share >= CLIPPED_SHARE
        self.share = share if is_clipped else self.share
        self.in_a_row = 0 if is_clipped == self.is_told else self.in_a_row + 1
        if self.in_a_row >= CLIPPED_UTTERANCES:
            self.is_told, self.in_a_row = is_clipped, 0


class RecordingHealth:
    """To be told what the links find out, and each utterance that is complete."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._faulty: OrderedDict[str, RecordingFaulty] = OrderedDict()
        self._loudness: OrderedDict[str, _Loudness] = OrderedDict()

    def welcome(self, event: DeviceConnected) -> None:
        """A device that was switched off may have another firmware now."""
        if not event.resumed:
            self.forget(event.device_id)

    def found(self, event: RecordingFaulty) -> None:
        """What it records cannot be understood as it is; or it can again."""
        self._faulty.pop(event.device_id, None)
        if event.reason:
            self._faulty[event.device_id] = event
            if len(self._faulty) > KEPT:
                self._faulty.popitem(last=False)
        self._tell()

    def heard(self, device_id: str, samples: int, clipped: int) -> None:
        """Speech of so many samples is complete, of which so many were at full scale."""
        if samples < SHORTEST:
            return
        share = clipped / samples
        loudness = self._loudness.pop(device_id, None) or _Loudness()
        was_told = loudness.is_told
        loudness.take(share)
        if loudness.is_told or loudness.in_a_row:
            self._loudness[device_id] = loudness
            if len(self._loudness) > KEPT:
                self._loudness.popitem(last=False)
        if was_told or loudness.is_told:
            self._tell()

    def forget(self, device_id: str) -> None:
        """Nobody misses it. Idempotent."""
        known = self._faulty.pop(device_id, None), self._loudness.pop(device_id, None)
        if any(known):
            self._tell()

    def _tell(self) -> None:
        found = [(name, f"{name} {one.reason}", one.remedy) for name, one in self._faulty.items()]
        found += [
            (
                name,
                f"{name} is too loud: {100 * one.share:.1f} % of what is said is cut off at full scale",
                LOWER_GAIN,
            )
            for name, one in self._loudness.items()
            if one.is_told
        ]
        if not found:
            self._health.forget(COMPONENT)
            return
        told = found[-TOLD:]
        more = f"; and {len(found) - TOLD} more" if len(found) > TOLD else ""
        about = {name for name, _, _ in found}
        self._health.set(
            COMPONENT,
            HealthState.DEGRADED,
            "; ".join(reason for _, reason, _ in told) + more,
            "; ".join(dict.fromkeys(remedy for _, _, remedy in told)),
            about=about.pop() if len(about) == 1 else "",
        )
