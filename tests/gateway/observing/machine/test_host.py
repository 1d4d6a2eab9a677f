"""What the machine has: this one, and such as are written down here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil
import pytest

from gateway.observing.machine.host import HostGauge
from tests.gateway.observing.machine.test_processes import write

MIB = 1024 * 1024
MEMINFO = "MemTotal: 8192 kB\nMemFree: 1024 kB\nMemAvailable: 4096 kB\nBuffers: 1 kB\n"


def machine(folder: Path, group: str = "") -> tuple[Path, Path]:
    """A /proc and a /sys; ``group``: what /proc/self/cgroup says."""
    proc = write(folder / "proc", loadavg="1.50 0.5 0.1 2/345 678\n", meminfo=MEMINFO)
    write(proc / "self", cgroup=group)
    (folder / "sys").mkdir()
    return proc, folder / "sys"


def test_this_machine(tmp_path: Path) -> None:
    use = HostGauge(tmp_path).use()
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(tmp_path)
    assert 0 < use.memory_available <= use.memory_total <= memory.total
    assert use.disk_total == disk.total
    assert use.disk_free == pytest.approx(disk.free, rel=0.2)
    assert 0 < use.cores <= len(os.sched_getaffinity(0))
    assert use.load >= 0


def test_a_machine_without_limits(tmp_path: Path) -> None:
    proc, sys = machine(tmp_path)
    use = HostGauge(None, proc, sys).use()
    assert (use.load, use.memory_total, use.memory_available) == (1.5, 8 * MIB, 4 * MIB)
    assert (use.disk_total, use.disk_free) == (0, 0)
    assert (use.temperature, use.throttled) == (None, False)


def test_a_unit_may_have_less_than_the_machine_has(tmp_path: Path) -> None:
    """The one above it may have still less."""
    proc, sys = machine(tmp_path, "0::/system.slice/earshot.service\n")
    root = sys / "fs" / "cgroup"
    slice_ = root / "system.slice"
    write(
        slice_ / "earshot.service",
        **{"memory.max": "max\n", "memory.current": "0\n", "cpu.max": "max 100000\n"},
    )
    write(
        slice_,
        **{
            "memory.max": f"{6 * MIB}\n", "memory.current": f"{5 * MIB}\n", "cpu.max": "50000 100000\n",
            "memory.stat": f"anon {3 * MIB}\ninactive_file {2 * MIB}\n",
        },
    )  # fmt: skip
    use = HostGauge(None, proc, sys).use()
    assert (use.memory_total, use.memory_available, use.cores) == (6 * MIB, 3 * MIB, 0.5)


def test_control_groups_of_the_first_version(tmp_path: Path) -> None:
    proc, sys = machine(tmp_path, "9:name=systemd:/\n4:memory:/docker/abc\n1:cpu:/\n0::/\n")
    folder = sys / "fs" / "cgroup" / "memory" / "docker" / "abc"
    write(folder, **{"memory.limit_in_bytes": f"{2 * MIB}\n", "memory.usage_in_bytes": f"{3 * MIB}\n"})
    write(folder.parent, **{"memory.limit_in_bytes": "9223372036854771712\n"})
    use = HostGauge(None, proc, sys).use()
    assert (use.memory_total, use.memory_available) == (2 * MIB, 0)


@pytest.mark.parametrize("group", ["", "nonsense", "0::/../../..", "0::", ":::::\n", "4:memory:/not/there\n"])
def test_a_group_that_makes_no_sense_limits_nothing(tmp_path: Path, group: str) -> None:
    proc, sys = machine(tmp_path, group)
    assert HostGauge(None, proc, sys).use().memory_total == 8 * MIB


def test_a_system_that_tells_nothing(tmp_path: Path) -> None:
    use = HostGauge(None, tmp_path / "no", tmp_path / "neither").use()
    assert (use.load, use.memory_total, use.memory_available) == (0.0, 0, 0)


@pytest.mark.parametrize(
    ("word", "throttled"),
    [("0x0\n", False), ("50005\n", True), ("50000\n", False), ("8", True), ("", False), ("hot", False)],
)
def test_a_raspberry_pi_that_is_hot(tmp_path: Path, word: str, *, throttled: bool) -> None:
    """What was once is over: the upper bits say that it was so since it was switched on."""
    proc, sys = machine(tmp_path)
    write(sys / "devices/platform/soc/soc:firmware", get_throttled=word)
    write(sys / "class/thermal/thermal_zone0", temp="61200\n")
    write(sys / "class/thermal/thermal_zone1", temp="82100\n")
    write(sys / "class/thermal/thermal_zone2", temp="\n")
    use = HostGauge(None, proc, sys).use()
    assert (use.temperature, use.throttled) == (82.1, throttled)


def test_a_folder_that_is_made_later_is_on_a_disk_too(tmp_path: Path) -> None:
    assert HostGauge(tmp_path / "not" / "yet").use().disk_total == shutil.disk_usage(tmp_path).total
