"""A board's bootloader, spoken to by esptool, which runs as a program of its own.

It is not imported: it is under the GPL (version 2 or later) and Earshot is not; what it takes and what it writes is its
command line. No secret is ever on it: what is written and read goes through files in memory that have no name.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Final

from firmware_bridge.flashing.chips import BY_NAME, Chip
from firmware_bridge.flashing.images import FlashPiece
from firmware_bridge.flashing.trouble import FlashTrouble

UPLOAD_RATE: Final = 460_800
"""What USB-to-serial chips of the cheapest kind keep up with."""
CONNECT_ATTEMPTS: Final = 5
PATIENCE_SECONDS: Final = 600.0
"""An erased and written flash of 16 MiB at 115200 baud takes less."""
MOST_OUTPUT: Final = 256 * 1024
"""Of what esptool says, the end is kept."""

_CHIP: Final = re.compile(r"^Connected to (\S+) on ", re.MULTILINE)
_DETAILS: Final = re.compile(r"^Chip type:\s+(.*)$", re.MULTILINE)
_MAC: Final = re.compile(r"^MAC:\s+([0-9a-f:]{17,23})$", re.MULTILINE)
_FLASH: Final = re.compile(r"^Detected flash size:\s+(\d+)([KM])B$", re.MULTILINE)
_PROGRESS: Final = re.compile(r"^(Writing|Reading) (?:at|from) 0x([0-9a-f]+) .*?(\d+)(?:\.\d+)?%")
_FATAL: Final = re.compile(r"fatal error occurred: (.*)|^ERROR: (.*)", re.MULTILINE)

Progress = Callable[[str, int], None]
"""What is being done, and how much of it is: 0 to 100 per cent."""


@dataclass(frozen=True, slots=True)
class Board:
    """Who answered. ``flash_bytes`` 0: it could not be told. ``details``: its name in full, for people."""

    chip: Chip
    details: str
    mac: str
    flash_bytes: int


class Bootloader:
    """The board on one port, while it is in download mode; each call is one run of esptool and blocks.

    The board stays in download mode until it is written to. All raise FlashTrouble.
    """

    def __init__(
        self,
        port: str,
        rate: int = UPLOAD_RATE,
        on_progress: Progress = lambda _what, _done: None,
        attempts: int = CONNECT_ATTEMPTS,
    ) -> None:
        """``attempts``: how often a board that is silent is spoken to."""
        self.port = port
        self._rate = rate
        self._on_progress = on_progress
        self._attempts = attempts

    def look(self) -> Board:
        """Which chip this is."""
        said = self._run("flash-id")
        found = _CHIP.search(said)
        if not found or found[1] not in BY_NAME:
            name = found[1] if found else "something unknown"
            raise FlashTrouble(
                f"the board has {name}, for which there is no firmware", f"one of {', '.join(BY_NAME)}"
            )
        details, mac, flash = _DETAILS.search(said), _MAC.search(said), _FLASH.search(said)
        size = int(flash[1]) * (2**20 if flash[2] == "M" else 2**10) if flash else 0
        return Board(BY_NAME[found[1]], details[1] if details else "", mac[1] if mac else "", size)

    def read(self, offset: int, size: int) -> bytes:
        """What stands in its flash."""
        with _in_memory() as file:
            self._run("read-flash", hex(offset), hex(size), _path(file), files=(file,))
            file.seek(0)
            return file.read(size)

    def write(self, pieces: Iterable[FlashPiece]) -> None:
        """Write these, compare the board's checksums with ours, and start what is in it now."""
        with ExitStack() as stack:
            names: list[str] = []
            files: list[IO[bytes]] = []
            for piece in sorted(pieces, key=lambda one: one.offset):
                file = stack.enter_context(_in_memory(piece.data))
                files.append(file)
                names += [hex(piece.offset), _path(file)]
            self._run("write-flash", *names, files=files, after="hard-reset")

    def erase(self) -> None:
        """Everything."""
        self._run("erase-flash")

    def _run(self, *words: str, files: Iterable[IO[bytes]] = (), after: str = "no-reset") -> str:
        """What esptool has said on its way to success."""
        line = [
            *(sys.executable, "-P", "-m", "esptool", "--port", self.port, "--baud", str(self._rate)),
            *("--connect-attempts", str(self._attempts), "--after", after, *words),
        ]
        descriptors = [file.fileno() for file in files]
        status, said = _output(line, descriptors, self._told)
        if status:
            raise _trouble(said, self.port)
        return said

    def _told(self, line: str) -> None:
        found = _PROGRESS.search(line)
        if found:
            self._on_progress(found[1].lower(), int(found[3]))


def check_installed() -> None:
    """Raises FlashTrouble."""
    if importlib.util.find_spec("esptool") is None:
        raise FlashTrouble(
            "esptool is not installed", f"{sys.executable} -m pip install 'earshot-gateway[flash]'"
        )


def _output(
    line: Sequence[str], descriptors: Sequence[int], on_line: Callable[[str], None]
) -> tuple[int, str]:
    """Exit status and the end of the output of a program, whose output is looked at as it comes."""
    with subprocess.Popen(  # noqa: S603 - a list, and nothing in it is a shell's
        line,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",  # what lies in the folder one happens to be in is no configuration of ours
        env=_environment(),
        pass_fds=descriptors,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout
        limit = threading.Timer(PATIENCE_SECONDS, process.kill)
        limit.start()
        said = ""
        try:
            for text in process.stdout:
                on_line(text)
                said = (said + text)[-MOST_OUTPUT:]
        except BaseException:
            process.kill()
            raise
        finally:
            limit.cancel()
    return process.returncode, said


def _environment() -> dict[str, str]:
    """Ours, without what would change what esptool does or how it says so."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ESPTOOL")}
    return {**kept, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}


@contextmanager
def _in_memory(data: bytes = b"") -> Iterator[IO[bytes]]:
    """A file that has no name: nobody else can open it, and it is gone with us."""
    with os.fdopen(os.memfd_create("earshot", os.MFD_CLOEXEC), "w+b") as file:
        file.write(data)
        file.flush()
        yield file


def _path(file: IO[bytes]) -> str:
    return f"/proc/self/fd/{file.fileno()}"


_DOWNLOAD_MODE: Final = (
    "hold BOOT (GPIO0; IO9 on a C3), press and let go of RESET, let go of BOOT, and try again; if it stays so: another "
    "cable (many carry no data), another port"
)
_UNPLUGGED: Final = "the board was unplugged in the middle"
_AGAIN: Final = (
    "plug it in and flash it again: a board that was half written is not broken, its bootloader is in ROM"
)
_BROKE_OFF: Final = re.compile(r"^Lost connection", re.MULTILINE)
"""It had begun."""
_TROUBLES: Final = (
    (
        r"could not open|port is busy|No such file or directory",
        "the port cannot be opened",
        "plug the board in, or close what uses its port (`fuser PORT` names it)",
    ),
    (
        r"Wrong boot mode|boot mode detected",
        "the board runs its firmware and did not go into download mode",
        _DOWNLOAD_MODE,
    ),
    (
        r"Failed to connect.*(?:Invalid head of packet|noise or corruption)",
        "something is on this port, and it is no board in download mode",
        _DOWNLOAD_MODE,
    ),
    (
        r"Failed to connect|No serial data received|Timed out waiting",
        "no board answers on this port",
        _DOWNLOAD_MODE,
    ),
    (
        (
            r"device reports readiness|Input/output error|lost connection|disconnected|write failed|Broken pipe"
            r"|No such device|serial exception|could not configure"
        ),
        _UNPLUGGED,
        _AGAIN,
    ),
    (
        r"MD5|Hash of data|does not match|checksum",
        "what the board has is not what was sent to it",
        "another cable or port, a lower rate (--upload-rate 115200); if it stays so, the board's flash is worn out",
    ),
    (
        r"secure download mode|Secure Boot|flash encryption",
        "the board is locked: secure boot or flash encryption is on",
        "flash it with the tools and keys it was locked with (esptool, espsecure)",
    ),
)


def _trouble(said: str, port: str) -> FlashTrouble:
    found = _FATAL.search(said)
    message = next(filter(None, found.groups()), "").strip() if found else ""
    if message and _BROKE_OFF.search(said):
        return FlashTrouble(f"{port}: {_UNPLUGGED} ({message})", _AGAIN)
    for pattern, reason, remedy in _TROUBLES:
        if re.search(pattern, message or said, re.IGNORECASE | re.DOTALL):
            return FlashTrouble(f"{port}: {reason}{f' ({message})' if message else ''}", remedy)
    last = message or (said.strip().splitlines() or ["it said nothing"])[-1]
    return FlashTrouble(f"{port}: esptool failed: {last}", "see the esptool documentation's troubleshooting")
