"""The ports boards are on: which there are, by the names that last, and who has one that is busy."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Final

from firmware_bridge.carriers.serial_link import PortUnavailable, open_port
from firmware_bridge.flashing.trouble import FlashTrouble

PATTERNS: Final = ("/dev/serial/by-id/*", "/dev/ttyUSB*", "/dev/ttyACM*")
"""The names that stay the same wherever a board is plugged in come first."""
_RATE: Final = 115_200


def candidates(patterns: tuple[str, ...] = PATTERNS) -> list[str]:
    """Every port once, by the first of its names."""
    names: dict[str, str] = {}
    for pattern in patterns:
        for name in sorted(glob.glob(pattern)):  # noqa: PTH207 - absolute shell patterns
            names.setdefault(os.path.realpath(name), name)
    return list(names.values())


def the_board(named: str = "", patterns: tuple[str, ...] = PATTERNS) -> str:
    """The port that is meant: the named one, or the only one. Raises FlashTrouble, also where it is not free."""
    if not named:
        named = _only(_free(candidates(patterns)))
    if "://" not in named:  # what is no port of this machine is esptool's to open
        check_free(named)
    return named


def check_free(port: str) -> None:
    """Raises FlashTrouble where it cannot be opened, and says who has it."""
    try:
        open_port(port, _RATE).close()
    except PortUnavailable as error:
        holder = _holder(port)
        if holder is None:
            raise FlashTrouble(f"{port}: {error.problem.reason}", error.problem.remedy) from error
        pid, name = holder
        raise FlashTrouble(f"{port} is in use by {name} (process {pid})", _let_go(name)) from error


def _free(ports: list[str]) -> list[str]:
    """Those that nobody is seen to have open; all of them where there is only one, to say who has it."""
    free = [port for port in ports if _holder(port) is None]
    return free or ports


def _only(ports: list[str]) -> str:
    if not ports:
        raise FlashTrouble(
            "no board is plugged in: there is no serial port",
            "plug it in with a cable that carries data (many only charge); without a port after that: `earshot doctor`",
        )
    if len(ports) > 1:
        listed = "".join(f"\n  {port}" for port in ports)
        raise FlashTrouble(f"there are {len(ports)} ports:{listed}", "say which one the board is on: --port")
    return ports[0]


def _holder(port: str) -> tuple[int, str] | None:
    """Process and name of who has it open, where that is ours to see."""
    real = os.path.realpath(port)
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        pid = int(descriptors.parent.name)
        if pid != os.getpid() and _has_open(descriptors, real):
            return pid, _name(descriptors.parent)
    return None


def _has_open(descriptors: Path, real: str) -> bool:
    try:
        return any(os.path.realpath(one) == real for one in descriptors.iterdir())
    except OSError:  # another's, or gone
        return False


def _name(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return "another program"
    if any(word.endswith((b"/earshot", b"gateway")) for word in words[:3]) and b"run" in words:
        return "the gateway"
    return os.path.basename(words[0].decode("utf-8", "replace")) or "another program"  # noqa: PTH119 - a name


def _let_go(name: str) -> str:
    if name == "the gateway":
        return (
            "stop it while you flash (`sudo systemctl stop earshot`), or name only the ports of your devices in "
            "devices.serial.ports and `earshot reload`"
        )
    return "close it"
