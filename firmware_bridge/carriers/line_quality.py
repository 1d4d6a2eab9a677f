"""What is wrong with a serial line, concluded from what its decoder has counted. No I/O.

A line at another baud rate, with seven data bits, or with a driver that takes XON and XOFF for itself delivers bytes
all the time, and (almost) no frame. Each of them leaves its own trace in the counters.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass

from firmware_bridge.link.framing import DecoderCounters

WINDOW_SECONDS = 60.0
"""How far back it is looked: a line that is mended is well again after so long, or with its first frames."""
LOOKS = 120
"""Earlier counts that are kept, at most."""
SPELLS = 4
"""Looks with something unreadable before anything is concluded: a reset's boot text at its own rate is one or two."""
CORRUPT_SHARE = 0.02
"""Of all blocks; beyond that, what is sent again costs more than a slower line would."""
CORRUPT_BLOCKS = 20
FLOW_BYTES = 2_000
"""In so many bytes that are no text, 0x11 and 0x13 are missing by chance once in six million times."""


@dataclass(frozen=True, slots=True)
class LineTrouble:
    """What is wrong, in words, and what to do about it."""

    reason: str
    remedy: str


class LineQuality:
    """One open port. ``judge`` is to be asked about once a second."""

    def __init__(self, baudrate: int) -> None:
        self._baudrate = baudrate
        self._looks: deque[tuple[float, DecoderCounters]] = deque([(0.0, DecoderCounters())], maxlen=LOOKS)
        self._spells: deque[float] = deque(maxlen=SPELLS)

    def judge(self, counters: DecoderCounters, now: float) -> LineTrouble | None:
        """What the counters, which only grow, say of the last minute; None: nothing wrong, or not enough is known."""
        fresh = _since(self._looks[-1][1], counters)
        if fresh.broken or (not fresh.frames and fresh.bytes > fresh.noise_bytes):
            self._spells.append(now)
        self._looks.append((now, dataclasses.replace(counters)))
        while len(self._looks) > 1 and now - self._looks[1][0] > WINDOW_SECONDS:
            self._looks.popleft()
        while self._spells and now - self._spells[0] > WINDOW_SECONDS:
            self._spells.popleft()
        if len(self._spells) < SPELLS:
            return None
        return self._conclude(_since(self._looks[0][1], counters))

    def _conclude(self, lately: DecoderCounters) -> LineTrouble | None:
        broken = lately.broken
        if broken and lately.seven_bit and lately.seven_bit >= broken / 2 and lately.frames <= broken / 4:
            return LineTrouble(
                "only seven bits of each byte arrive",
                "set the port, its adapter and the device to 8 data bits without parity (8N1)",
            )
        of_frames = lately.bytes - lately.noise_bytes
        if broken and of_frames >= FLOW_BYTES and not lately.flow_control_bytes and lately.frames:
            return LineTrouble(
                "the bytes 0x11 and 0x13 never arrive: something takes them for XON and XOFF",
                "switch software flow control off at the port, its adapter and the device (stty -ixon -ixoff)",
            )
        if not lately.frames:
            return LineTrouble(
                f"bytes arrive at {self._baudrate} baud, and nothing in them can be read",
                "set devices.serial.baudrate to the rate of the device's firmware; if it is no Earshot device, name "
                "only the ports of those in devices.serial.ports",
            )
        blocks = lately.frames + broken
        if broken >= CORRUPT_BLOCKS and broken > CORRUPT_SHARE * blocks:
            return LineTrouble(
                f"{100 * broken / blocks:.0f} % of what arrives is broken, and has to be sent again",
                "a shorter or shielded cable, a common ground, another adapter, or a lower baud rate at both ends",
            )
        return None


def _since(before: DecoderCounters, after: DecoderCounters) -> DecoderCounters:
    fields = [field.name for field in dataclasses.fields(DecoderCounters)]
    return DecoderCounters(**{name: getattr(after, name) - getattr(before, name) for name in fields})
