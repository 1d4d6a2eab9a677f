"""What one process of ours uses, and which children there are, from /proc (proc_pid_stat(5), proc_pid_status(5))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from gateway.observing.machine.files import PROC, text_of

GATEWAY = "gateway"
RECOGNIZER = "recognizer"
OTHER = "other"
CHILDREN = {
    "transcription.process.worker": RECOGNIZER,
    "transcription.sound_files.decoder_worker": "decoder",
    "firmware_bridge.embedded_broker.broker": "embedded_broker",
    "firmware_bridge.microphones.capture": "microphone",
    "transcription.wake.ear": "wake_words",
    "gateway.agents.process.worker": "agent",
    "gateway.agents.mcp.worker": "tools",
}
"""What the process of each module of ours is called; all others together are ``OTHER``."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_NAME_END = ") "


class ProcessUse(Struct, frozen=True, kw_only=True):
    """What one process, or several of one kind, have used. ``cpu_seconds``: user and system, since they began.

    ``pss_bytes``: resident memory with each shared page divided by how many share it; 0 where the system does not
    tell. ``descriptors``: open files and sockets.
    """

    cpu_seconds: float
    resident_bytes: int
    pss_bytes: int
    threads: int
    descriptors: int

    def __add__(self, other: ProcessUse) -> ProcessUse:
        return ProcessUse(
            cpu_seconds=self.cpu_seconds + other.cpu_seconds,
            resident_bytes=self.resident_bytes + other.resident_bytes,
            pss_bytes=self.pss_bytes + other.pss_bytes,
            threads=self.threads + other.threads,
            descriptors=self.descriptors + other.descriptors,
        )


class Kin:
    """This process and its children, by what each is called. Their modules are read once for each process id."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._names: dict[str, str] = {}

    def use(self) -> dict[str, ProcessUse]:
        """What each kind uses now; a process that ends meanwhile is left out."""
        found: dict[str, ProcessUse] = {}
        own = use_of(self._proc / "self")
        if own is not None:
            found[GATEWAY] = own
        children = list(self._children())
        self._names = {pid: self._names.get(pid) or self._name(pid) for pid in children}
        for pid, name in self._names.items():
            used = use_of(self._proc / pid)
            if used is not None:
                found[name] = found[name] + used if name in found else used
        return found

    def _children(self) -> Iterator[str]:
        """A child is told of where the thread that started it is."""
        try:
            threads = os.listdir(self._proc / "self" / "task")  # noqa: PTH208 - a Path for each is dear
        except OSError:
            return
        for thread in threads:
            yield from text_of(self._proc / "self" / "task" / thread / "children").split()

    def _name(self, pid: str) -> str:
        """By the module that it runs; empty while it has not become one."""
        words = text_of(self._proc / pid / "cmdline").split("\0")
        module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
        return CHILDREN.get(module, OTHER)


def use_of(folder: Path) -> ProcessUse | None:
    """What the process of this folder of /proc uses; None: there is no such process, or nobody may look."""
    stat = text_of(folder / "stat")
    fields = stat[stat.rfind(_NAME_END) + len(_NAME_END) :].split()  # its name may hold anything
    if len(fields) < 22:
        return None
    try:
        descriptors = len(os.listdir(folder / "fd"))  # noqa: PTH208 - a Path for each is dear
    except OSError:
        descriptors = 0
    return ProcessUse(
        cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
        resident_bytes=int(fields[21]) * _PAGE,
        pss_bytes=_pss(folder),
        threads=int(fields[17]),
        descriptors=descriptors,
    )


def _pss(folder: Path) -> int:
    for line in text_of(folder / "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return 1024 * int(line.split()[1])
    return 0
