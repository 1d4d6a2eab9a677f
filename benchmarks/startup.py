"""[startup] How soon the gateway is ready, what importing it costs, and what it weighs when idle."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.instruments.processes import gateway_process
from benchmarks.instruments.report import Bar, Result

SETTLE_SECONDS = 3.0
BUNDLED = "transcription: {model: bundled}\ndevices: {mqtt: {embedded_port: 0}}"
NO_MODEL = "transcription: {engine: off}\ndevices: {mqtt: {embedded_port: 0}}"


def run(*, quick: bool) -> Result:
    """Start real gateways as a person would, several times."""
    repeats = 2 if quick else 5
    ready = [_seconds_to_healthy() for _ in range(repeats)]
    idle = [_idle(NO_MODEL)[0] for _ in range(1 if quick else 3)]
    bare = [_seconds_to_run("pass") for _ in range(repeats)]
    imported = {
        module: statistics.median(_seconds_to_run(f"import {module}") for _ in range(repeats))
        for module in ("gateway.orchestrator", "gateway.app")
    }
    with_model = _idle(BUNDLED)
    import_ms = {
        module: 1000 * max(0.0, seconds - statistics.median(bare)) for module, seconds in imported.items()
    }
    return Result(
        metrics={
            "ready_seconds_median": statistics.median(ready),
            "ready_seconds_worst": max(ready),
            "import_orchestrator_ms": import_ms["gateway.orchestrator"],
            "import_app_ms": import_ms["gateway.app"],
            "idle_without_model_mb": statistics.median(idle),
            "idle_with_bundled_model_mb": with_model[0],
            "idle_recognizer_process_mb": with_model[1],
        },
        bars=[
            Bar("ready with the bundled model, worst", max(ready), 3.0, "at most", "s"),
            Bar("importing gateway.orchestrator", import_ms["gateway.orchestrator"], 300.0, "at most", "ms"),
            Bar("idle gateway without a model, worst", max(idle), 70.0, "at most", "MB"),
        ],
    )


def _seconds_to_healthy() -> float:
    started = time.perf_counter()
    with gateway_process(BUNDLED) as gateway:
        while gateway.state() != "healthy":
            time.sleep(0.02)
        return time.perf_counter() - started


def _idle(settings: str) -> tuple[float, float]:
    """Resident megabytes of the gateway and of its recognizer's process."""
    with gateway_process(settings) as gateway:
        time.sleep(SETTLE_SECONDS)
        return gateway.resident_mb(), gateway.recognizer_mb()


def _seconds_to_run(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started
