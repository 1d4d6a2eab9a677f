"""The clocks of a machine, as a test sets them; everything else in the process goes on by the real ones."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from gateway.process import clock

_real_gettime = time.clock_gettime


@dataclass
class Machine:
    """``wall``: Unix seconds; ``up``: seconds since the boot."""

    wall: float = 1_800_000_000.0
    up: float = 40.0
    boots: int = 1

    def pass_by(self, seconds: float) -> None:
        """Time, as both clocks see it."""
        self.wall += seconds
        self.up += seconds

    def reboot(self, *, wall: float) -> None:
        """Switched off, and on again, with what its clock says then."""
        self.wall, self.up = wall, 40.0
        self.boots += 1

    def instant(self) -> clock.Instant:
        """As ``gateway.process.clock`` sees it."""
        return clock.Instant(self.wall, self.up, f"boot {self.boots}")

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Machine:
        """For all of the process."""
        monkeypatch.setattr(time, "time", lambda: self.wall)
        monkeypatch.setattr(time, "clock_gettime", self._gettime)
        monkeypatch.setattr(clock, "_boot_id", lambda: f"boot {self.boots}")
        return self

    def _gettime(self, which: int) -> float:
        return self.up if which == time.CLOCK_BOOTTIME else _real_gettime(which)
