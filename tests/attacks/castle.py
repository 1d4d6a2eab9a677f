"""A gateway as a process of its own, under attack: with somebody who goes on speaking to it, and what it may cost.

A test does its worst; afterwards the fixture ``castle`` asserts what every attack must leave alone: a board that speaks
beside it is answered, the gateway's memory was never above its bound, its log has no traceback, and its health is
what the test says it is (well, unless told otherwise).
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from firmware_bridge.simulator.wires import PseudoTerminal
from gateway.access.principals import Role
from gateway.alerting.rules import OWN
from tests.gateway.access.keyring import Keyring
from tests.record import PATIENCE
from tests.servers.process import free_port
from tests.system.house import Board, pcm, settings, text

PEAK_MB = 200
"""The gateway's resident memory, at its worst."""
WITNESS = "witness"
SPOKEN = "u05"


class Castle:
    """``earshot run`` in ``folder``; boards appear there as ``usb-NAME``."""

    def __init__(self, folder: Path, parts: dict[str, Any], environ: dict[str, str]) -> None:
        self.folder = folder
        self.port = free_port()
        self.config = folder / "config.yaml"
        """What it runs with."""
        base = settings(folder, **{"log": {"format": "json"}, **parts})
        base["web"] = {**parts.get("web", {}), "port": self.port}
        self.config.write_text(json.dumps(base))
        self.keyring = Keyring(folder)
        """Tokens; they lie beside the journal."""
        self._tokens: dict[str, str] = {}
        self.somebody = "somebody"
        """Whose name a test's token has."""
        self.watch_again()
        embedded = base["devices"]["mqtt"]["url"] == "embedded"
        self._needed = ("recognizer", "mqtt") if embedded else ("recognizer",)
        self._log = folder / "log"
        with self._log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "run", "--config", str(self.config)],
                stderr=errors, cwd=folder, env={**os.environ, **environ},
            )  # fmt: skip
        self._read = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def token(self, name: str = "somebody", role: Role = Role.LISTENER, **scope: Any) -> str:
        """Of somebody who had none, or whose last one ends now."""
        if name in self._tokens:
            self.keyring.file.revoke(self._tokens[name])
        token, written = self.keyring.make(
            name, role, devices=scope.get("devices", ()), users=scope.get("users", ())
        )
        self._tokens[name] = token.token_id
        return written

    def board(self, name: str, **options: Any) -> Board:
        """On a serial line."""
        return Board(name, PseudoTerminal(self.folder / f"usb-{name}"), **options)

    def watch_again(self) -> None:
        """With another token, for the one before has ended."""
        self._watch = self.token("watch", Role.OPERATOR)

    async def ready(self) -> None:
        """Wait until it hears, on all its carriers."""
        async with ClientSession() as client:
            async with asyncio.timeout(PATIENCE):
                while not self._hears(await self.health(client)):
                    assert self.process.poll() is None, self._log.read_text()
                    await asyncio.sleep(0.05)

    def _hears(self, health: dict[str, Any]) -> bool:
        return all(health.get(name, {}).get("state") == "healthy" for name in self._needed)

    async def ask(self, client: ClientSession, path: str) -> Any:
        """What the API says to an operator."""
        headers = {"Authorization": f"Bearer {self._watch}"}
        async with client.get(f"{self.url}api/v1/{path}", headers=headers) as response:
            return await response.json()

    async def health(self, client: ClientSession) -> dict[str, Any]:
        """What /readyz says of each component; empty as long as nobody answers."""
        try:
            headers = {"Authorization": f"Bearer {self._watch}"}
            async with client.get(f"{self.url}readyz", headers=headers) as response:
                found: dict[str, Any] = (await response.json())["components"]
                return found
        except OSError:
            return {}

    def peak_mb(self) -> float:
        """The most memory that its process ever had, without its children."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def log_text(self) -> str:
        """All that it has ever logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def log_lines(self) -> list[dict[str, Any]]:
        """What it has logged since this was last asked."""
        with self._log.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        return [json.loads(line) for line in whole.splitlines()]

    async def witness_is_answered(self) -> None:
        """A board that has nothing to do with it speaks, and is understood and answered."""
        async with self.board(WITNESS) as board:
            await asyncio.wait_for(board.connected(), PATIENCE)
            said = await board.say(pcm(SPOKEN))
            await board.goodbye()
        assert said.transcript == text(SPOKEN)
        assert said.reply
        assert not said.fallback
        assert not said.error

    async def holds(self, *unwell: str, perhaps: tuple[str, ...] = ()) -> None:
        """What no attack may have touched.

        ``unwell``: the components that are not well, and rightly so; ``perhaps``: those that may be well again.
        """
        assert self.process.poll() is None, "the gateway has ended"
        await self.witness_is_answered()
        assert self.peak_mb() < PEAK_MB
        async with ClientSession() as client:
            components = await self.health(client)
        boards = str(self.folder)  # the witness has been unplugged, and others may have been
        found = {
            name: part
            for name, part in components.items()
            if part["state"] != "healthy" and not name.startswith((boards, OWN))  # an attack is told as one
        }
        assert found.keys() - set(perhaps) == set(unwell), found
        broken = [line for line in self.log_lines() if "exception" in line or "Traceback" in str(line)]
        assert not broken, broken[:3]

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def open_castle(
    folder: Path, parts: dict[str, Any] | None = None, environ: dict[str, str] | None = None
) -> Iterator[Castle]:
    """A castle that is taken down again; ``parts`` are laid over its configuration."""
    castle = Castle(folder, parts or {}, environ or {})
    try:
        yield castle
    finally:
        castle.end()
