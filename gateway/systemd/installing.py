"""Putting the gateway under systemd: the unit as it fits this machine, and the steps to install it.

A step says what it will do before it does it, so a dry run and the real run cannot differ.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from gateway.access.private_files import write_whole
from gateway.config import docs
from gateway.config.loading import SYSTEM_CONFIG, ConfigError, load_config

UNIT = Path("/etc/systemd/system/earshot.service")
ENVIRONMENT = Path("/etc/earshot/environment")
SCHEMA = Path("/etc/earshot/config.schema.json")
USER = "earshot"

SERIAL_GROUPS = ("dialout", "uucp")
"""Who owns serial ports: the first that exists (Arch has only uucp)."""

HIDDEN_FROM_THE_SERVICE = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - names, not used
"""Folders that ProtectHome= and PrivateTmp= empty: nothing the service runs may lie there."""

BACKOFF_SINCE = 254
"""The first systemd that knows RestartSteps=."""

ENVIRONMENT_TEXT = """\
# Settings that are secret, or that belong to this machine only; systemd reads this file as root.
# EARSHOT_DEVICES__MQTT__URL=mqtt://user:password@host
"""


class Objection(Struct, frozen=True):
    """Why the service cannot be installed, and what to do about it."""

    reason: str
    remedy: str


class ServiceError(Exception):
    """A step failed; the message says which and why."""


class Host(Struct, frozen=True, kw_only=True):
    """What is known about the machine. ``root`` is where its files are (another folder in tests)."""

    executable: Path
    installed_in: tuple[Path, ...] = ()
    root: Path = Path("/")
    is_root: bool = False
    runs_systemd: bool = False
    systemd_version: int = 0
    groups: tuple[str, ...] = ("dialout", "audio")
    has_user: bool = False

    @classmethod
    def here(cls) -> Host:
        """This machine and this process."""
        return cls(
            executable=_executable(),
            installed_in=tuple(Path(p) for p in (sys.prefix, sys.base_prefix, __file__)),
            is_root=os.geteuid() == 0,
            runs_systemd=Path("/run/systemd/system").is_dir(),
            systemd_version=_systemd_version(),
            groups=(
                *[name for name in SERIAL_GROUPS if _has_group(name)][:1],
                *["audio"] * _has_group("audio"),
            ),
            has_user=_has_user(USER),
        )

    def at(self, path: Path) -> Path:
        """Where an absolute path of the machine is to be found."""
        return self.root / path.relative_to("/")


class WriteFile(Struct, frozen=True):
    """Put a file in place, whole or not at all."""

    path: Path
    text: str
    mode: int

    def describe(self) -> str:
        """The path, the mode and the whole content."""
        body = "".join(f"    {line}\n" for line in self.text.splitlines())
        return f"write {self.path} (mode {self.mode:04o}):\n{body}"

    def apply(self, host: Host) -> None:
        """Raises ServiceError."""
        target = host.at(self.path)
        try:
            _make_folder(target.parent)
            write_whole(target, self.text.encode(), mode=self.mode)
        except OSError as error:
            raise ServiceError(f"{target}: {error.strerror}") from error


class Run(Struct, frozen=True):
    """Run a command that must succeed."""

    command: tuple[str, ...]

    def describe(self) -> str:
        """The command line."""
        return f"run {' '.join(self.command)}\n"

    def apply(self, _host: Host) -> None:
        """Raises ServiceError."""
        try:
            done = subprocess.run(self.command, capture_output=True, text=True, check=False)  # noqa: S603
        except OSError as error:
            raise ServiceError(f"{self.command[0]}: {error.strerror}") from error
        if done.returncode:
            raise ServiceError(f"{' '.join(self.command)}: {done.stderr.strip() or done.returncode}")


Step: TypeAlias = WriteFile | Run


def unit_text() -> str:
    """systemd/earshot.service as it was shipped: beside this package in a checkout, else where pip put it."""
    checkout = Path(__file__).resolve().parents[2] / "systemd" / UNIT.name
    if checkout.is_file():
        return checkout.read_text(encoding="utf-8")
    installed = metadata.files("earshot-gateway") or ()
    return next(Path(str(f.locate())) for f in installed if f.name == UNIT.name).read_text(encoding="utf-8")


def fitted_unit(host: Host) -> str:
    """The unit for this machine: the installed command, the groups that exist, back-off where systemd has it."""
    unit = unit_text()
    command = f"ExecStart={_quoted(str(host.executable))} run --config {SYSTEM_CONFIG}"
    unit = _replace_line(unit, "ExecStart=", command)
    unit = _replace_line(unit, "SupplementaryGroups=", f"SupplementaryGroups={' '.join(host.groups)}")
    if host.systemd_version >= BACKOFF_SINCE:
        unit = _replace_line(unit, "RestartSec=", "RestartSec=1\nRestartSteps=6\nRestartMaxDelaySec=60")
    return unit


def objections(host: Host) -> Iterator[Objection]:
    """Everything that stands against installing the service here."""
    if not host.runs_systemd:
        yield Objection("this machine does not run systemd", "start `earshot run` from your own supervisor")
    if not host.is_root:
        yield Objection("only root can install a service", f"sudo {host.executable} service install")
    if not host.at(host.executable).is_file():
        yield Objection(f"there is no command {host.executable}", "install earshot-gateway with pip first")
    hidden = sorted({str(p) for p in (host.executable, *host.installed_in) if _is_hidden(p)})
    if hidden:
        yield Objection(
            f"the sandboxed service cannot see {', '.join(hidden)}",
            "install where it can: sudo python3 -m venv /opt/earshot && "
            "sudo /opt/earshot/bin/pip install --require-hashes -r requirements/service.txt && "
            "sudo /opt/earshot/bin/pip install --no-deps --no-build-isolation . && "
            "sudo /opt/earshot/bin/earshot service install",
        )
    config = host.at(SYSTEM_CONFIG)
    if config.exists():
        try:
            load_config(config, {})
        except ConfigError as error:
            yield Objection(f"{SYSTEM_CONFIG} cannot be used:\n{error}", f"correct {SYSTEM_CONFIG}")


def plan(host: Host) -> list[Step]:
    """What installing means here. Files of the administrator are never overwritten."""
    steps: list[Step] = []
    if not host.has_user:
        home = ("--home-dir", "/var/lib/earshot", "--no-create-home", "--shell", "/usr/sbin/nologin")
        steps.append(Run(("useradd", "--system", "--user-group", *home, USER)))
    steps.append(WriteFile(UNIT, fitted_unit(host), 0o644))
    steps.append(WriteFile(SCHEMA, docs.json_schema(), 0o644))
    if not host.at(SYSTEM_CONFIG).exists():
        steps.append(WriteFile(SYSTEM_CONFIG, docs.default_yaml(SCHEMA.name), 0o644))
    if not host.at(ENVIRONMENT).exists():
        steps.append(WriteFile(ENVIRONMENT, ENVIRONMENT_TEXT, 0o600))
    steps.append(Run(("systemctl", "daemon-reload")))
    steps.append(Run(("systemctl", "enable", UNIT.name)))
    steps.append(Run(("systemctl", "restart", UNIT.name)))
    return steps


def _make_folder(folder: Path) -> None:
    """One that its user may look into and root alone may write, whatever the umask."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir()
        folder.chmod(0o755)


def _executable() -> Path:
    if Path(sys.argv[0]).name == "earshot" and (found := shutil.which(sys.argv[0])):
        return Path(found).absolute()
    return Path(sysconfig.get_path("scripts"), "earshot")


def _systemd_version() -> int:
    command = shutil.which("systemctl")
    if command is None:
        return 0
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    found = re.match(r"systemd (\d+)", done.stdout)
    return int(found[1]) if found else 0


def _has_group(name: str) -> bool:
    return any(one.gr_name == name for one in grp.getgrall())


def _has_user(name: str) -> bool:
    return any(one.pw_name == name for one in pwd.getpwall())


def _is_hidden(path: Path) -> bool:
    places = (path.absolute(), path.resolve())
    return any(place.is_relative_to(folder) for place in places for folder in HIDDEN_FROM_THE_SERVICE)


def _replace_line(unit: str, start: str, line: str) -> str:
    return "\n".join(line if old.startswith(start) else old for old in unit.split("\n"))


def _quoted(path: str) -> str:
    """A path as one word of an ExecStart= line."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if re.fullmatch(r"[\w./%$+-]+", escaped) else f'"{escaped}"'
