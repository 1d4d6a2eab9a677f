"""A microphone as a device: what it hears becomes streams of a device's end.

That talks to the fleet as any other does. Its frames travel within this process, whole and at once; so they are handed
over as they are, and not as bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
from dataclasses import dataclass

from firmware_bridge.alarm import Alarm
from firmware_bridge.link.device_end import DeviceEnd, DeviceState, LinkStateError
from firmware_bridge.link.events import SAMPLE_RATE
from firmware_bridge.link.frames import DeviceFrame
from firmware_bridge.link.wires import MICROPHONE, Line, Wires
from firmware_bridge.microphones.records import Measured, Sound

RING_FRAMES = 1500
"""Half a minute at 20 ms, for a gateway that has no time just now."""
FIRMWARE = "microphone of this machine"
LOG_WARNING = 4
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
        self.line = Line(carrier_of(device_id), device_id)
        self.counters = MicrophoneCounters()
        self._end = DeviceEnd(
            device_id, boot=secrets.randbits(32), ring_frames=RING_FRAMES, firmware=FIRMWARE
        )
        self._wires = wires
        self._loop = asyncio.get_running_loop()
        self._alarm = Alarm(self._tick)
        self._stream: int | None = None
        self._weak_until: float | None = None
        self._untold_ms = 0
        self._inbox: list[DeviceFrame] = []

    def plugged(self) -> None:
        """It is there and is listened to."""
        self.counters = MicrophoneCounters()
        self._weak_until = None
        self._wires.carrier_up(self.line.carrier)
        self._end.hello(self._loop.time())
        self._pump()

    def unplugged(self, reason: str, remedy: str) -> None:
        """It is gone; what was said until now was all."""
        if self._end.state is not DeviceState.OFFLINE:
            self.hush()
            self._end.carrier_lost()
            self._alarm.cancel()
        self._wires.carrier_down(self.line.carrier, reason, remedy)

    def hear(self, sound: Sound) -> None:
        """The next of what it hears."""
        if self._stream is None:
            with contextlib.suppress(LinkStateError):  # as many streams as may be are waiting for a gateway
                self._stream = self._end.start_stream(end_on_silence=True)
        if self._stream is not None and self._is_kept(self._stream, sound):
            self.counters.frames += 1
        else:
            self._drop(sound)
        self._pump()

    def _is_kept(self, stream: int, sound: Sound) -> bool:
        if sound.lost:
            self._end.skip(stream, sound.lost)
        return self._end.audio(stream, sound.pcm, len(sound.pcm) // 2)

    def _drop(self, sound: Sound) -> None:
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
            self._wires.carrier_weak(self.line.carrier, "", "")

    def _complain(self, lost_ms: int, why: str) -> None:
        reason = f"{lost_ms} ms of sound were lost: {why}"
        self._weak_until = self._loop.time() + WEAK_SECONDS
        self._wires.carrier_weak(self.line.carrier, reason, "give it less to do, or a smaller speech model")
        self._end.log(LOG_WARNING, reason)
        self._pump()

    def take(self, frame: DeviceFrame) -> None:
        """A frame of the gateway's; it is answered in a turn of the loop of its own."""
        if not self._inbox:
            self._loop.call_soon(self._deal)
        self._inbox.append(frame)

    def close(self) -> None:
        """No more of it."""
        self._alarm.cancel()

    def hush(self) -> None:
        """It is quiet; what comes next is another stretch."""
        if self._stream is not None:
            self._end.stop_stream(self._stream)
            self._stream = None
            self._pump()

    def _deal(self) -> None:
        frames, self._inbox = self._inbox, []
        for frame in frames:
            self._end.receive(frame, self._loop.time())  # what it is told, nobody shows yet
        self._pump()

    def _tick(self) -> None:
        self._end.tick(self._loop.time())
        self._pump()

    def _pump(self) -> None:
        frames = self._end.outgoing()
        if frames:
            self._wires.receive(self.line, frames)
        deadline = self._end.next_deadline(self._loop.time())
        if deadline is not None:
            self._alarm.set(deadline)
