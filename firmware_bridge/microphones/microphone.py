"""A microphone as a device: what it hears becomes streams of a device's end in this process."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass

from firmware_bridge.carriers.inner_device import InnerDevice
from firmware_bridge.link.events import SAMPLE_RATE
from firmware_bridge.link.frames import DeviceFrame
from firmware_bridge.link.wires import MICROPHONE, Line, Wires
from firmware_bridge.microphones.records import Measured, Sound

FIRMWARE = "microphone of this machine"
WEAK_SECONDS = 60.0
"""So long after the last loss it is told that a microphone works badly."""


@dataclass(slots=True)
class MicrophoneCounters:
    """What one microphone has heard since it was opened; ``dropped_ms``: for which the gateway had no time."""

    frames: int = 0
    overruns: int = 0
    lost_ms: int = 0
    dropped_ms: int = 0
    drift_ppm: int = 0
    level_db: int = 0


def carrier_of(device_id: str) -> str:
    """The carrier's name: each microphone is a line of its own."""
    return f"{MICROPHONE}{device_id}"


class Microphone:
    """One device of this machine."""

    def __init__(self, device_id: str, wires: Wires) -> None:
        self._device = InnerDevice(Line(carrier_of(device_id), device_id), wires, firmware=FIRMWARE)
        self.counters = MicrophoneCounters()
        self._loop = asyncio.get_running_loop()
        self._weak_until: float | None = None
        self._untold_ms = 0

    def plugged(self) -> None:
        """It is there and is listened to."""
        self.counters = MicrophoneCounters()
        self._weak_until = None
        self._device.plugged()

    def unplugged(self, reason: str, remedy: str) -> None:
        """It is gone; what was said until now was all."""
        self._device.unplugged(reason, remedy)

    def hear(self, sound: Sound) -> None:
        """The next of what it hears."""
        if self._device.hear(sound.pcm, sound.lost):
            self.counters.frames += 1
        else:
            milliseconds = len(sound.pcm) // 2 * 1000 // SAMPLE_RATE
            self.counters.dropped_ms += milliseconds
            self._untold_ms += milliseconds

    def measured(self, measured: Measured) -> None:
        """How it goes; who loses sound says so."""
        before = self.counters
        self.counters = dataclasses.replace(
            before,
            overruns=measured.overruns,
            lost_ms=measured.lost_ms,
            drift_ppm=round(measured.drift_ppm or 0),
            level_db=round(measured.level_db),
        )
        if measured.overruns > before.overruns:
            self._complain(measured.lost_ms - before.lost_ms, "this machine was too busy to take it")
        elif self._untold_ms:
            self._complain(self._untold_ms, "the gateway had no time for it")
            self._untold_ms = 0
        elif self._weak_until is not None and self._loop.time() >= self._weak_until:
            self._weak_until = None
            self._device.weak("", "")

    def _complain(self, lost_ms: int, why: str) -> None:
        reason = f"{lost_ms} ms of sound were lost: {why}"
        self._weak_until = self._loop.time() + WEAK_SECONDS
        self._device.weak(reason, "give it less to do, or a smaller speech model")
        self._device.complain(reason)

    def take(self, frame: DeviceFrame) -> None:
        """A frame of the gateway's."""
        self._device.take(frame)

    def close(self) -> None:
        """No more of it."""
        self._device.close()

    def hush(self) -> None:
        """It is quiet; what comes next is another stretch."""
        self._device.hush()
