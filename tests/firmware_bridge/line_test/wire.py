"""A serial wire with a device at its other end, or bridged there: what goes wrong on it is a function of its bytes.

A pseudo-terminal has no rate, but remembers the one it was set to: a device of another one is heard as those are.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import termios
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path

from firmware_bridge.link.device_end import DeviceEnd
from firmware_bridge.link.framing import FrameRejected, Noise, SerialDecoder, encode_serial

Harm = Callable[[bytes], bytes]
_STEP = 0.002
_SAMPLES = 320
_FRAME_SECONDS = 0.02
_SPEEDS = {
    getattr(termios, f"B{rate}"): rate for rate in (9600, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600)
}


def unharmed(data: bytes) -> bytes:
    return data


def flips(share: float, seed: int = 1) -> Harm:
    """One bit of so many bytes."""
    chance = random.Random(seed)

    def harm(data: bytes) -> bytes:
        return bytes(byte ^ (1 << chance.randrange(8) if chance.random() < share else 0) for byte in data)

    return harm


def at_another_rate(data: bytes) -> bytes:
    """Nothing of it is left."""
    return random.Random(len(data)).randbytes(max(1, len(data) // 2)).replace(b"\0", b"\1\0")


class Wire:
    """``port``: its name. ``harm`` comes to what goes up, ``harm_down`` to what the device hears."""

    def __init__(
        self,
        port: Path,
        device: DeviceEnd | None = None,
        *,
        rate: int = 921_600,
        harm: Harm = unharmed,
        harm_down: Harm = unharmed,
        says: bytes = b"",
        speaks: bool = False,
        late: float = 0.0,
        bridged_up_to: int = 0,
    ) -> None:
        """What the wire is like.

        ``rate``: the device's; 0: the line has none. ``says``: again and again, outside frames. ``late``: seconds until
        the device hears. ``bridged_up_to``: a plug instead of a device, which spoils what is faster.
        """
        self.port = port
        self._device = device
        self._rate = rate
        self._harm, self._harm_down = harm, harm_down
        self._says = says
        self._speaks = speaks
        self._late = late
        self._bridged = bridged_up_to
        self._decoder = SerialDecoder()
        self._stream = 0
        self._spoke_at = 0.0
        self._heard: list[tuple[float, bytes]] = []
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        port.symlink_to(os.ttyname(self._theirs))
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take it away."""
        self._end.set()
        self._thread.join()
        for descriptor in (self._ours, self._theirs):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.port.unlink(missing_ok=True)

    @property
    def _reads(self) -> bool:
        return not self._rate or self._set_to == self._rate

    @property
    def _set_to(self) -> int:
        return _SPEEDS.get(termios.tcgetattr(self._ours)[5], 0)

    def _run(self) -> None:
        if self._device:
            self._device.hello(time.monotonic())
        while not self._end.is_set():
            ready, _, _ = select.select([self._ours], [], [], _STEP)
            data = os.read(self._ours, 65536) if ready else b""
            if self._bridged:
                self._echo(data)
            elif self._device:
                self._serve(self._device, data)
            if self._says:
                self._write(self._says)
                self._end.wait(0.02)

    def _echo(self, data: bytes) -> None:
        if data:
            self._write(data if self._set_to <= self._bridged else flips(0.001)(data))

    def _serve(self, device: DeviceEnd, data: bytes) -> None:
        now = time.monotonic()
        if data:
            self._heard.append((now + self._late, data))
        while self._heard and self._heard[0][0] <= now:
            self._hear(device, self._heard.pop(0)[1], now)
        if self._speaks:
            self._speak(device, now)
        device.tick(now)
        up = b"".join(map(encode_serial, device.outgoing()))
        if up:
            self._write(self._harm(up) if self._reads else at_another_rate(up))

    def _hear(self, device: DeviceEnd, data: bytes, now: float) -> None:
        heard = self._harm_down(data) if self._reads else at_another_rate(data)
        for arrival in self._decoder.feed(heard):
            if not isinstance(arrival, Noise | FrameRejected):
                device.receive(arrival, now)

    def _speak(self, device: DeviceEnd, now: float) -> None:
        if not self._stream:
            self._stream = device.start_stream()
        if now >= self._spoke_at:
            self._spoke_at = now + _FRAME_SECONDS
            device.audio(self._stream, b"\1\2" * _SAMPLES, _SAMPLES)

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._ours, data) :]
