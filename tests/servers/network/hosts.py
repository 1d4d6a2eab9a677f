"""Hosts on one machine: each a network namespace with an address of its own, behind a switch with weather."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Self

import pytest
from msgspec import Struct

ROOT = Path(__file__).resolve().parents[3]
HERE = ""
"""The name of this machine itself, which is a host, too."""


class Weather(Struct, frozen=True, kw_only=True):
    """What the switch does to every frame. ``jitter_seconds``: up to so much more, so that some overtake others."""

    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    loss: float = 0.0


FINE = Weather()


def needs_hosts() -> None:
    """Skip the test where namespaces are not to be had."""
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists() or not shutil.which("ip"):
        pytest.skip("network namespaces need root, /dev/net/tun and iproute2")
    made = subprocess.run(["ip", "netns", "add", _name(0)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no network namespaces here: {made.stderr.decode()}")
    subprocess.run(["ip", "netns", "delete", _name(0)], check=True)


class Hosts:
    """``with Hosts("one", "two") as hosts``: each has ``hosts.address(name)``, and reaches all others.

    This machine is a host, too (``HERE``), and reaches them. The network of several such is apart: its number is of the
    process's id.
    """

    def __init__(self, *names: str) -> None:
        self.names = (HERE, *names)
        self._net = os.getpid() % 250
        self._weather = FINE
        self._islands: tuple[frozenset[str], ...] = ()
        self._switch: subprocess.Popen[bytes] | None = None

    def address(self, name: str) -> str:
        """Of a host."""
        return f"10.89.{self._net}.{1 + self.names.index(name)}"

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self._switch is not None:
            self._switch.kill()
            self._switch.communicate()
            self._switch = None
        for number in range(1, len(self.names)):
            subprocess.run(["ip", "netns", "delete", _name(number)], check=False, capture_output=True)

    def command(self, name: str, command: Sequence[str]) -> list[str]:
        """What runs ``command`` at that host."""
        if name == HERE:
            return list(command)
        return ["ip", "netns", "exec", _name(self.names.index(name)), *command]

    def turn(self, weather: Weather) -> None:
        """From now on this weather."""
        self._weather = weather
        self._tell()

    def part(self, *islands: Collection[str]) -> None:
        """From now on only hosts of one island reach each other; those that are in none are one together."""
        self._islands = tuple(frozenset(island) for island in islands)
        self._tell()

    def heal(self) -> None:
        """Everybody reaches everybody, at once."""
        self._islands, self._weather = (), FINE
        self._tell()

    def _build(self) -> None:
        devices: list[str] = []
        for number, _ in enumerate(self.names):
            namespace = _name(number) if number else ""
            if namespace:
                _ip("netns", "add", namespace)
            devices += [self._device(number), namespace]
        self._switch = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.network.switch", *devices],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._answer()
        for number, name in enumerate(self.names):
            self._equip(number, name)

    def _equip(self, number: int, name: str) -> None:
        device = self._device(number)
        at = ("-n", _name(number)) if number else ()
        _ip(*at, "link", "set", device, "address", f"02:00:00:00:00:{number:02x}")
        _ip(*at, "address", "add", f"{self.address(name)}/24", "dev", device)
        _ip(*at, "link", "set", device, "up")
        if number:
            _ip(*at, "link", "set", "lo", "up")

    def _device(self, number: int) -> str:
        return f"ear{os.getpid()}-{number}"

    def _tell(self) -> None:
        islands = [
            next((n for n, island in enumerate(self._islands, 1) if name in island), 0) for name in self.names
        ]
        told: dict[str, Any] = {
            "delay": self._weather.delay_seconds,
            "jitter": self._weather.jitter_seconds,
            "loss": self._weather.loss,
            "islands": islands,
        }
        assert self._switch
        assert self._switch.stdin
        self._switch.stdin.write(json.dumps(told).encode() + b"\n")
        self._switch.stdin.flush()
        self._answer()

    def _answer(self) -> None:
        assert self._switch
        assert self._switch.stdout
        assert self._switch.stdout.readline(), "the switch has ended"


def _name(number: int) -> str:
    return f"earshot-{os.getpid()}-{number}"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
