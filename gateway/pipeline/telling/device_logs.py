"""What devices print, kept for whoever looks: the last lines of each, bounded. No I/O.

Lines of a serial port before the HELLO (a boot ROM, a crash) are the port's, and become the device's that says HELLO
there.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from dataclasses import dataclass, field

from msgspec import Struct

from firmware_bridge.link.events import DeviceLog

LINES = 300
"""Of one device or port; older ones are dropped and counted."""
ALL_LINES = 6_000
"""Of all; beyond that, whoever has most loses the oldest."""
CHARACTERS = 512
"""Of a line; the rest of it is cut off."""


class LogLine(Struct, frozen=True):
    """One line. ``number`` grows over all devices; ``level``: syslog severity, 0 to 7."""

    number: int
    timestamp: float
    level: int
    text: str


@dataclass(slots=True)
class _Ring:
    lines: deque[LogLine] = field(default_factory=deque)
    dropped: int = 0


class DeviceLogs:
    """The lines of every device, and of ports without one."""

    def __init__(self, *, keep: bool) -> None:
        """Not ``keep``: nothing is kept, for a device may print the words that nobody is to see."""
        self.keeps = keep
        self._numbers = itertools.count(1)
        self._rings: dict[str, _Ring] = {}
        self._count = 0

    def add(self, event: DeviceLog) -> None:
        """Each line of a text is one."""
        if not self.keeps:
            return
        ring = self._rings.setdefault(event.device_id or event.link, _Ring())
        for text in event.text.splitlines():
            if text.strip():
                line = LogLine(next(self._numbers), time.time(), event.level, text[:CHARACTERS])
                ring.lines.append(line)
                self._count += 1
                self._bound(ring)

    def adopt(self, link: str, device_id: str) -> None:
        """What was printed on a port before its device said HELLO is the device's."""
        before = self._rings.pop(link, None)
        if before is None:
            return
        ring = self._rings.setdefault(device_id, _Ring())
        ring.lines = deque(sorted((*ring.lines, *before.lines), key=lambda line: line.number))
        ring.dropped += before.dropped
        while len(ring.lines) > LINES:
            self._drop(ring)

    def names(self) -> tuple[str, ...]:
        """The devices, and ports without one, of which something is kept."""
        return tuple(self._rings)

    def lines(self, name: str, after: int = 0) -> tuple[LogLine, ...]:
        """Of a device, or of a port without one: those numbered higher, oldest first."""
        ring = self._rings.get(name, _Ring())
        return tuple(line for line in ring.lines if line.number > after)

    def dropped(self, name: str) -> int:
        """How many lines are not kept any more."""
        return self._rings.get(name, _Ring()).dropped

    def forget(self, name: str) -> None:
        """All that a device, or a port without one, has printed."""
        ring = self._rings.pop(name, None)
        self._count -= len(ring.lines) if ring else 0

    def _bound(self, ring: _Ring) -> None:
        if len(ring.lines) > LINES:
            self._drop(ring)
        if self._count > ALL_LINES:
            self._drop(max(self._rings.values(), key=lambda one: len(one.lines)))

    def _drop(self, ring: _Ring) -> None:
        ring.lines.popleft()
        ring.dropped += 1
        self._count -= 1
