"""``earshot run`` as its own process, with its configuration in a file and systemd's socket beside it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.record import Record, passes
from tests.system.house import settings

EARSHOT = (sys.executable, "-m", "gateway")
STOP_SECONDS = 10.0
"""In how long a gateway that got SIGTERM has to be gone."""


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, told: Record) -> None:
        self._told = told

    def datagram_received(self, data: bytes, _address: Any) -> None:
        for line in data.decode().splitlines():
            self._told(line)


class Running:
    """A gateway process. ``systemd`` records the lines it sent to the notify socket."""

    def __init__(self, process: asyncio.subprocess.Process, systemd: Record, log: Path) -> None:
        self.systemd = systemd
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    async def notified(self, line: str, count: int = 1) -> None:
        await self.systemd.until(lambda: self.systemd.items.count(line) >= count)

    def log_lines(self) -> list[dict[str, Any]]:
        """What it has logged so far; its last line may still be half written."""
        lines = self._log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("}\n")]

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.log_lines() if line["event"] == event]

    async def logs(self, event: str, count: int = 1) -> None:
        """Wait for what it logs."""
        await passes(lambda: len(self.logged(event)) >= count)

    async def terminate(self, within: float = STOP_SECONDS) -> int:
        """SIGTERM, as systemd does; the exit status."""
        self._process.send_signal(signal.SIGTERM)
        return await self.ended(within)

    async def kill(self) -> None:
        """SIGKILL: nothing is drained or said goodbye to."""
        self._process.kill()
        await self._process.wait()

    def stop(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self, within: float = STOP_SECONDS) -> int:
        return await asyncio.wait_for(self._process.wait(), within)

    async def close(self) -> None:
        if self._process.returncode is None:
            await self.kill()


@asynccontextmanager
async def run(
    folder: Path,
    mqtt: str = "",
    *,
    environ: dict[str, str] | None = None,
    at: Callable[[Sequence[str]], list[str]] = list,
    **parts: dict[str, Any],
) -> AsyncIterator[Running]:
    """``earshot run`` for the boards in the folder, once it has told systemd that it is ready; ``at`` which host."""
    config = folder / "config.yaml"
    parts = {"log": {"format": "json"}, "transcription": {"isolation": "process"}, **parts}
    config.write_text(json.dumps(settings(folder, mqtt, **parts)))
    short = tempfile.TemporaryDirectory(prefix="earshot-")  # the address of a socket has 107 bytes
    address = Path(short.name) / "notify"
    systemd = Record()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Socket(systemd), local_addr=str(address), family=socket.AF_UNIX
    )
    log = folder / "log"
    try:
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *at([*EARSHOT, "run", "--config", str(config)]),
                env={**os.environ, "NOTIFY_SOCKET": str(address), **(environ or {})}, stderr=errors,
            )  # fmt: skip
        running = Running(process, systemd, log)
        try:
            await running.notified("READY=1")
            yield running
        except BaseException:
            print(log.read_text())
            raise
        finally:
            await running.close()
    finally:
        transport.close()
        short.cleanup()
