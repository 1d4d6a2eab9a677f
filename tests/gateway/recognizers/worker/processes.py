"""`earshot recognizer` as a process, with a real engine, or with one that waits."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import ClassVar

from tests.servers.process import ServerProcess, free_port


class RecognizerProcess(ServerProcess):
    """One with the model that comes with Earshot, or another; ``health`` is where it says how it is."""

    READY: ClassVar[bytes] = b'"state": "ready"'

    def __init__(
        self, folder: Path, broker: str, *more: str, model: str = "bundled", threads: int = 0
    ) -> None:
        super().__init__(folder)
        self._threads = threads
        folder.mkdir(exist_ok=True)
        self.health = f"127.0.0.1:{free_port()}"
        self._arguments = ["--broker", broker, "--model", model, "--health", self.health, *more]

    def command(self) -> list[str]:
        return [sys.executable, "-m", "gateway", "recognizer", *self._arguments]

    def environment(self) -> dict[str, str]:
        told = {
            "EARSHOT_BROKER__LEASE_SECONDS": "1.0",
            "EARSHOT_TRANSCRIPTION__THREADS": str(self._threads),
            "EARSHOT_TRANSCRIPTION__LANGUAGE": "en",
        }
        return {**super().environment(), **told}

    def told(self, number: signal.Signals) -> int:
        """It is sent the signal; what it ends with."""
        process = self._process
        assert process is not None
        process.send_signal(number)
        status = process.wait(30.0)
        self._reap()
        return status


class WaitingProcess(RecognizerProcess):
    """One whose engine waits for some milliseconds at each job, or dies with its process where audio is so long."""

    def __init__(
        self, folder: Path, broker: str, model: str, *, wait: float = 0.05, deadly: int = 0, name: str = ""
    ) -> None:
        super().__init__(folder, broker, model=model)
        self._more = [broker, model, str(wait), str(deadly), name]

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.gateway.recognizers.worker.waiting", *self._more]
