"""What the machine has and how much of it is free: from /proc, /sys, the control group, and the journal's disk.

A limit of the control group (a container, a unit with ``MemoryMax=``) counts as if the machine had no more.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from msgspec import Struct

from gateway.observing.machine.files import PROC, SYS, number_in, text_of

UNLIMITED = 1 << 60
"""What the first version of control groups says where there is no limit is more than that."""
_KIBI = 1024
_UNDERVOLTAGE, _CAPPED, _THROTTLED, _HOT = 0x1, 0x2, 0x4, 0x8
"""Bits of a Raspberry Pi's ``get_throttled``: now; the same 16 bits higher: since it was switched on."""


class HostUse(Struct, frozen=True, kw_only=True):
    """What the machine has. Bytes, but for ``load`` (processes that want a core, over one minute) and ``cores``.

    ``memory_available``: what programs may still take before something is ended or swapped. ``disk_*`` of the volume
    that the journal lies on, 0 where it has none. ``temperature``: the hottest, in degrees Celsius; None: nothing
    tells. ``throttled``: the machine goes slower now than it could, for want of voltage or for heat.
    """

    load: float
    cores: float
    memory_total: int
    memory_available: int
    disk_total: int
    disk_free: int
    temperature: float | None
    throttled: bool


class HostGauge:
    """Looks at the machine. ``folder``: whose volume is looked at; None: no volume is."""

    def __init__(self, folder: Path | None, proc: Path = PROC, sys: Path = SYS) -> None:
        self._folder, self._proc, self._sys = folder, proc, sys

    @cached_property
    def _groups(self) -> tuple[Path, ...]:
        """Looked for with the first look, which is beside the event loop."""
        return tuple(_groups(self._proc, self._sys))

    def use(self) -> HostUse:
        """Now. It may take as long as a disk takes to answer."""
        total, available = self._memory()
        disk_total, disk_free = _disk(self._folder)
        return HostUse(
            load=float((text_of(self._proc / "loadavg").split() or ["0"])[0]),
            cores=self._cores(),
            memory_total=total,
            memory_available=available,
            disk_total=disk_total,
            disk_free=disk_free,
            temperature=self._temperature(),
            throttled=self._is_throttled(),
        )

    def _memory(self) -> tuple[int, int]:
        said: dict[str, int] = {}
        for line in text_of(self._proc / "meminfo").splitlines()[:8]:
            name, _, amount = line.partition(":")
            said[name] = _KIBI * int(amount.split()[0])
        total, available = said.get("MemTotal", 0), said.get("MemAvailable", 0)
        for group in self._groups:
            limit, used = _group_memory(group)
            if limit is not None and limit < UNLIMITED:
                total, available = min(total, limit), min(available, max(0, limit - used))
        return total, available

    def _cores(self) -> float:
        cores = float(len(os.sched_getaffinity(0)))
        for group in self._groups:
            quota, _, period = text_of(group / "cpu.max").partition(" ")
            if quota.isdigit() and period.strip().isdigit():
                cores = min(cores, int(quota) / max(1, int(period)))
        return cores

    def _temperature(self) -> float | None:
        zones = (self._sys / "class" / "thermal").glob("thermal_zone*")
        told = [number for zone in zones if (number := number_in(zone / "temp")) is not None]
        return max(told) / 1000 if told else None

    def _is_throttled(self) -> bool:
        """Only a Raspberry Pi tells."""
        word = text_of(self._sys / "devices/platform/soc/soc:firmware/get_throttled").strip()
        try:
            bits = int(word, 16) if word else 0
        except ValueError:
            return False
        return bool(bits & (_UNDERVOLTAGE | _CAPPED | _THROTTLED | _HOT))


def _groups(proc: Path, sys: Path) -> list[Path]:
    """The folders of this process' control group and all above it: each may have a limit."""
    folders: list[Path] = []
    for line in text_of(proc / "self" / "cgroup").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        kinds = controllers.split(",")
        if number != "0" and "memory" not in kinds:
            continue
        root = sys / "fs" / "cgroup" / ("memory" if "memory" in kinds else "")
        folder = root / path.lstrip("/")
        folders += [one for one in (folder, *folder.parents) if one.is_relative_to(root) and one.is_dir()]
    return folders


def _group_memory(group: Path) -> tuple[int | None, int]:
    """The limit, and what of it is taken and cannot be given back at once; either version of control groups."""
    limit, used, inactive = number_in(group / "memory.max"), "memory.current", "inactive_file "
    if limit is None:
        limit, used, inactive = (
            number_in(group / "memory.limit_in_bytes"), "memory.usage_in_bytes", "total_inactive_file ",
        )  # fmt: skip
    if limit is None or limit >= UNLIMITED:
        return None, 0
    spare = 0
    for line in text_of(group / "memory.stat").splitlines():
        if line.startswith(inactive):
            spare = int(line.split()[1])
    return limit, max(0, (number_in(group / used) or 0) - spare)


def _disk(folder: Path | None) -> tuple[int, int]:
    while folder is not None and not folder.exists() and folder != folder.parent:
        folder = folder.parent  # it is made later, on the same volume
    if folder is None:
        return 0, 0
    try:
        volume = os.statvfs(folder)
    except OSError:
        return 0, 0
    return volume.f_blocks * volume.f_frsize, volume.f_bavail * volume.f_frsize
