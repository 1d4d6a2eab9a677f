"""The machine and our processes, looked at every few seconds, and what became of the figures over time.

``sampler.latest`` is the newest look, ``sampler.course("hours")`` what they were. A look is taken by a thread: a disk
that does not answer keeps the event loop waiting for nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from gateway.observing.machine.host import HostGauge, HostUse
from gateway.observing.machine.loop_lag import LagFigures, LoopLag
from gateway.observing.machine.processes import GATEWAY, RECOGNIZER, Kin, ProcessUse
from gateway.observing.machine.series import Course, Steps

SAMPLE_SECONDS = 5.0
MINUTES = (SAMPLE_SECONDS, 180)
"""Steps of 5 s for a quarter of an hour."""
HOURS = (120.0, 360)
"""Steps of 2 min for twelve hours."""
Span = Literal["minutes", "hours"]


class MachineSample(Struct, frozen=True, kw_only=True):
    """One look. ``at``: Unix seconds. ``processes``: by what they are called (``gateway``, ``recognizer``).

    ``cpu``: of each, how many cores it was busy on since the look before (1.0: one core). ``tasks``: of asyncio.
    """

    at: float
    host: HostUse
    processes: dict[str, ProcessUse]
    cpu: dict[str, float]
    tasks: int
    lag: LagFigures

    @property
    def gateway(self) -> ProcessUse | None:
        """This process; None: the system does not tell."""
        return self.processes.get(GATEWAY)

    @property
    def recognizer(self) -> ProcessUse | None:
        """Our own recognizer's; None: there is none."""
        return self.processes.get(RECOGNIZER)


class Sampler:
    """Looks as long as ``run`` runs."""

    def __init__(
        self,
        folder: Path | None,
        beside: Callable[[], Mapping[str, float]] = dict,
        host: HostGauge | None = None,
    ) -> None:
        """``folder``: whose volume is looked at. ``beside``: further figures to be kept over time, by fixed names."""
        self.latest: MachineSample | None = None
        """None: nobody has looked yet."""
        self.lag = LoopLag()
        self.looks = 0
        self._beside = beside
        self._host = host or HostGauge(folder)
        self._kin = Kin()
        self._steps: dict[str, Steps] = {"minutes": Steps(*MINUTES), "hours": Steps(*HOURS)}
        self._before: tuple[float, dict[str, float]] = (0.0, {})

    async def run(self) -> None:
        """Until it is cancelled."""
        self.lag.start()
        try:
            while True:
                await self.look()
                await asyncio.sleep(SAMPLE_SECONDS)
        finally:
            self.lag.stop()

    async def look(self) -> MachineSample:
        """Now."""
        host, processes, now = await asyncio.to_thread(self._read)
        self.latest = sample = MachineSample(
            at=time.time(),
            host=host,
            processes=processes,
            cpu=self._cpu(now, processes),
            tasks=len(asyncio.all_tasks()),
            lag=self.lag.figures(),
        )
        self.looks += 1
        figures = {**_flat(sample), **self._beside()}
        for steps in self._steps.values():
            steps.note(sample.at, figures)
        return sample

    def course(self, span: Span) -> Course:
        """What became of the figures: over minutes, or over hours."""
        return self._steps[span].course()

    def _read(self) -> tuple[HostUse, dict[str, ProcessUse], float]:
        return self._host.use(), self._kin.use(), time.monotonic()

    def _cpu(self, now: float, processes: dict[str, ProcessUse]) -> dict[str, float]:
        """A process that began meanwhile has no share yet, and one that took another's place none either."""
        at, before = self._before
        used = {name: process.cpu_seconds for name, process in processes.items()}
        self._before = now, used
        passed = now - at
        return {
            name: max(0.0, seconds - before[name]) / passed
            for name, seconds in used.items()
            if name in before and passed > 0
        }


def _flat(sample: MachineSample) -> dict[str, float]:
    """What is kept over time of a look."""
    host = sample.host
    figures: dict[str, float] = {
        "load": host.load,
        "memory_available_bytes": host.memory_available,
        "disk_free_bytes": host.disk_free,
        "tasks": sample.tasks,
        "event_loop_lag_seconds": sample.lag.p99,
    }
    if host.temperature is not None:
        figures["temperature_celsius"] = host.temperature
    for name in (GATEWAY, RECOGNIZER):
        process = sample.processes.get(name)
        if process is not None:
            figures[f"{name}_resident_bytes"] = process.resident_bytes
            figures[f"{name}_descriptors"] = process.descriptors
        if name in sample.cpu:
            figures[f"{name}_cpu_cores"] = sample.cpu[name]
    return figures
