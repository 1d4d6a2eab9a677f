"""A gateway in a process of its own, for the benchmarks."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from benchmarks.instruments.memory import resident_mb
from gateway.access.mqtt_secret import read_passwords

HEALTHY_SECONDS = 60.0


class GatewayProcess(Struct, frozen=True):
    """A running gateway: its page's address, its embedded broker's, and its process id."""

    url: str
    mqtt_url: str
    pid: int
    state_folder: Path

    def state(self) -> str:
        """What /readyz says, empty when it does not answer."""
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError),
            urllib.request.urlopen(f"{self.url}/readyz", timeout=1) as answer,
        ):
            return str(json.load(answer)["state"])
        return ""

    def mqtt_url_of(self, device_id: str) -> str:
        """The broker's address with what a device logs in with."""
        return read_passwords(self.state_folder).url(self.mqtt_url, device_id)

    def resident_mb(self) -> float:
        """Its resident memory now."""
        return resident_mb(self.pid)

    def recognizer_mb(self) -> float:
        """The resident memory of its recognizer's process now; 0 without one."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
        children = [int(child) for task in tasks for child in _read(task).split()]
        return sum(resident_mb(child) for child in children if _runs(child, "transcription.process.worker"))


def _read(task: Path) -> str:
    """Empty when that thread has just ended."""
    try:
        return task.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _runs(pid: int, module: str) -> bool:
    return module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


@contextlib.contextmanager
def gateway_process(
    settings: str, environment: Mapping[str, str] | None = None, *, mqtt_url: str = ""
) -> Iterator[GatewayProcess]:
    """``earshot run`` with these settings (YAML), a page on a free port, until its recognizer is ready.

    ``mqtt_url``: the broker of its devices, where the settings name one; empty: its embedded one.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.yaml")
        # Where none is named, everything that is kept lies in the folder.
        kept = "" if "journal:" in settings else f"journal: {{path: {folder}/journal.db}}\n"
        page = "" if "web:" in settings else "web: {port: 0}\n"
        config.write_text(f"{page}log: {{format: json}}\n{kept}{settings}\n")
        journal = Path(folder, "log")
        with journal.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "run", "--config", str(config)],
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment,
            )
        try:
            url = str(_logged(journal, process, "url")).rstrip("/")
            mqtt = mqtt_url or f"mqtt://127.0.0.1:{_logged(journal, process, 'port')}"
            gateway = GatewayProcess(url, mqtt, process.pid, Path(folder))
            _wait_for_recognizer(gateway)
            yield gateway
        finally:
            process.terminate()
            process.wait(timeout=HEALTHY_SECONDS)


def _wait_for_recognizer(gateway: GatewayProcess) -> None:
    deadline = time.monotonic() + HEALTHY_SECONDS
    while gateway.state() in {"", "unhealthy"}:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the gateway was not ready within {HEALTHY_SECONDS} s")
        time.sleep(0.02)


def _logged(journal: Path, process: subprocess.Popen[bytes], key: str) -> object:
    """The first value that the gateway's log gives ``key``."""
    deadline = time.monotonic() + HEALTHY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for line in journal.read_text().splitlines():
            with contextlib.suppress(ValueError):
                if key in (document := json.loads(line)):
                    return document[key]
        time.sleep(0.01)
    raise RuntimeError(f"the gateway's log never named its {key}:\n{journal.read_text()}")
