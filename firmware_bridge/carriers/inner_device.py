"""A device whose end is in this process: what is heard elsewhere becomes its streams.

It talks to the fleet as any other does. Its frames travel within this process, whole and at once; so they are handed
over as they are, and not as bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable

from firmware_bridge.alarm import Alarm
from firmware_bridge.link.device_end import DeviceEnd, DeviceState, FromGateway, LinkStateError
from firmware_bridge.link.events import NoticeKind
from firmware_bridge.link.frames import DeviceFrame
from firmware_bridge.link.wires import Line, Wires

RING_FRAMES = 1500
"""Half a minute at 20 ms, for a gateway that has no time just now."""
LOG_WARNING = 4


def _nobody(_told: FromGateway) -> None:
    """What it is told, nobody shows."""


class InnerDevice:
    """One device, on a line of its own."""

    def __init__(
        self,
        line: Line,
        wires: Wires,
        *,
        firmware: str = "",
        on_told: Callable[[FromGateway], None] = _nobody,
    ) -> None:
        """``firmware``: what it says that it is. ``on_told``: what concerns whoever is in front of it."""
        self.line = line
        self._end = DeviceEnd(
            line.device_id, boot=secrets.randbits(32), ring_frames=RING_FRAMES, firmware=firmware
        )
        self._wires = wires
        self._on_told = on_told
        self._loop = asyncio.get_running_loop()
        self._alarm = Alarm(self._tick)
        self._stream: int | None = None
        self._inbox: list[DeviceFrame] = []

    # -- there, and gone

    def plugged(self, firmware: str = "") -> None:
        """It is there and is listened to; ``firmware``: where that is known only now."""
        self._end.firmware = firmware or self._end.firmware
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

    def weak(self, reason: str, remedy: str) -> None:
        """It works badly; with an empty reason it is well again."""
        self._wires.carrier_weak(self.line.carrier, reason, remedy)

    def close(self) -> None:
        """No more of it."""
        self._alarm.cancel()

    # -- what is heard

    def hear(self, pcm: bytes, lost: int = 0) -> bool:
        """PCM16, mono, 16 kHz; ``lost``: samples that were lost right before. False: there is no room for it."""
        if self._stream is None:
            with contextlib.suppress(LinkStateError):  # as many streams as may be are waiting for a gateway
                self._stream = self._end.start_stream(end_on_silence=True)
        kept = self._stream is not None and self._is_kept(self._stream, pcm, lost)
        self._pump()
        return kept

    def _is_kept(self, stream: int, pcm: bytes, lost: int) -> bool:
        if lost:
            self._end.skip(stream, lost)
        return self._end.audio(stream, pcm, len(pcm) // 2)

    def hush(self) -> None:
        """It is quiet; what comes next is another stretch."""
        if self._stream is not None:
            self._end.stop_stream(self._stream)
            self._stream = None
            self._pump()

    def noticed(self, kind: NoticeKind, value: int = 0, text: str = "") -> None:
        """A button, a wake word."""
        self._end.notice(kind, value, text)
        self._pump()

    def complain(self, text: str) -> None:
        """A line for the log of what it prints."""
        self._end.log(LOG_WARNING, text)
        self._pump()

    # -- what the gateway says

    def take(self, frame: DeviceFrame) -> None:
        """A frame of the gateway's; it is answered in a turn of the loop of its own."""
        if not self._inbox:
            self._loop.call_soon(self._deal)
        self._inbox.append(frame)

    def _deal(self) -> None:
        frames, self._inbox = self._inbox, []
        for frame in frames:
            for told in self._end.receive(frame, self._loop.time()):
                self._on_told(told)
        self._pump()

    # -- the clock

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
