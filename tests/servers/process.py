"""A real server as a child process: started, killed, paused and started again on the same data."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import ClassVar, Self

import pytest

START_SECONDS = 60.0
"""RabbitMQ needs five of them; the rest is for a busy machine."""
GOODBYE_SECONDS = 10.0
PORTS = range(15_000, 32_000)
"""Below the ports that Linux hands out by itself: a client that dials a dead server on the loopback
again and again could otherwise be given the server's port, and reach itself."""


def free_port() -> int:
    """A TCP port of the loopback that was free a moment ago, and that nobody is given unasked."""
    while True:
        try:
            with socket.create_server(("127.0.0.1", secrets.choice(PORTS))) as server:
                port: int = server.getsockname()[1]
                return port
        except OSError:
            continue


class ServerProcess:
    """One server in a process group of its own; its log is in ``folder``.

    A subclass says the command and the line of the log after which it can be used.
    """

    READY: ClassVar[bytes]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._settled = threading.Event()
        """It can be used, or has ended."""
        self._ready = False
        self._reader: threading.Thread | None = None

    def command(self) -> list[str]:
        """What to run."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """What it runs in."""
        return dict(os.environ)

    @property
    def running(self) -> bool:
        """Whether the process lives; a paused one does."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start it, if it does not run, and return when it takes connections."""
        if self.running:
            return self
        self._reap()
        self._settled.clear()
        self._ready = False
        self._process = subprocess.Popen(
            self.command(),
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read_log, args=(self._process,), daemon=True)
        self._reader.start()
        if not self._settled.wait(START_SECONDS) or not self._ready:
            self.kill()
            raise AssertionError(f"{self.command()[0]} did not start:\n{self.log.read_text()[-4000:]}")
        return self

    def stop(self) -> None:
        """Ask it to end, as a system that shuts down does. Idempotent."""
        if self._process is not None:
            self.resume()
            self._process.terminate()
            try:
                self._process.wait(GOODBYE_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._reap()

    def kill(self) -> None:
        """``kill -9``, also its children: connections break, what was in memory is gone. Idempotent."""
        self._signal(signal.SIGKILL)
        self._reap()

    def restart(self) -> None:
        """Kill it and start it again on the same port and data."""
        self.kill()
        self.start()

    def reload(self) -> None:
        """Have it read its configuration again (SIGHUP)."""
        self._signal(signal.SIGHUP)

    def pause(self) -> None:
        """Freeze it: connections stay open and nobody answers."""
        self._signal(signal.SIGSTOP)
        if self._process is not None:
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.running:
            os.killpg(self._process.pid, number)

    def _reap(self) -> None:
        if self._process is None or self._reader is None:
            return
        self._process.wait()
        self._reader.join()
        self._process = self._reader = None

    def _read_log(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout
        with self.log.open("ab") as log, process.stdout:
            for line in process.stdout:
                log.write(line)
                log.flush()
                if self.READY in line:
                    self._ready = True
                    self._settled.set()
        self._settled.set()  # it has ended: nothing more to wait for


def needs(*programs: str) -> None:
    """Skip the test where a server is not installed."""
    for program in programs:
        if not Path(program).exists():
            pytest.skip(f"{program} is not installed")
