"""[streaming] Twenty devices' answers at once, thirty pieces a second each, on a journal whose sync takes 20 ms.

The gateway is a process of its own with the memory broker, its orchestrator inside it and the listener outside. What
the devices say is text from the start, for the recognizer is not what is measured. Latency is from the orchestrator's
handing over a piece to the listener's having it; of ends, from the last piece to the whole answer, which is in the
journal before. The sync is slow where it is done: a library loaded before the C library (``slow_sync.c``) delays fsync
and fdatasync of the journal's files in that process. That it does is measured, too: commits one by one, in another
process of that kind.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from msgspec import Struct

from benchmarks.instruments.memory import cpu_seconds
from benchmarks.instruments.processes import gateway_process
from benchmarks.instruments.report import Bar, Result, percentile
from benchmarks.load.streams import PIECES_PER_SECOND
from gateway.client.listener import Listener
from gateway.contract.events import ReplyEvent, Subscribe
from gateway.journal import Journal
from gateway.journal.effects import Received
from gateway.settings.journal import JournalSettings

DEVICES = 20
SYNC_MS = 20
SOURCE = Path(__file__).with_name("slow_sync.c")
SETTINGS = "orchestrator: {app: 'benchmarks.load.streams:streams', timeout_seconds: 120}\n"
COMMITS = 50


class Streamed(Struct):
    """What the listener saw: milliseconds from each piece, and from each last piece to its end."""

    pieces: list[float]
    ends: list[float]
    lost: int = 0
    """Pieces that were in a whole answer and not shown before it, or the other way round."""


def slow_syncs(folder: Path, milliseconds: int) -> dict[str, str]:
    """The environment of a process in which each sync of the journal's files takes so much longer."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise RuntimeError("this benchmark needs a C compiler (cc)")
    library = folder / "slow_sync.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    slow = {
        "LD_PRELOAD": str(library),
        "SLOW_SYNC_FILE": str(folder / "journal.db"),
        "SLOW_SYNC_MS": str(milliseconds),
    }
    return {**os.environ, **slow}


async def commits(path: Path, count: int) -> list[float]:
    """Milliseconds of commits that are waited for one by one."""
    took = []
    async with Journal(JournalSettings(path=str(path))) as journal:
        await journal.commit(Received("agent", "first"))
        for number in range(count):
            began = time.monotonic()
            await journal.commit(Received("agent", str(number)))
            took.append(1000 * (time.monotonic() - began))
    return took


def one_commit(environment: dict[str, str], path: Path | None = None, *, commits: int = COMMITS) -> float:
    """The median of them, of the slow file or another, in a process with slow syncs."""
    file = path or environment["SLOW_SYNC_FILE"]
    command = [sys.executable, "-m", "benchmarks.streaming", str(file), str(commits)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout)


async def stream(url: str, pieces: int) -> Streamed:
    """Every device says something at once; until all are answered."""
    seen = Streamed([], [])
    texts: dict[str, str] = {}
    latest: dict[str, float] = {}
    async with Listener(url, Subscribe(kinds=("reply",))) as listener:
        for _ in range(DEVICES):
            await listener.say(str(pieces))
        async for event in listener:
            if not isinstance(event, ReplyEvent):
                continue
            now, name = time.monotonic(), event.correlation_id
            if event.final:
                seen.ends.append(1000 * (now - latest[name]))
                seen.lost += event.text != texts[name]
            else:
                latest[name] = float(event.text)
                texts[name] = texts.get(name, "") + event.text
                seen.pieces.append(1000 * (now - latest[name]))
            if len(seen.ends) == DEVICES:
                break
    return seen


def run(*, quick: bool) -> Result:
    seconds = 3 if quick else 30
    with tempfile.TemporaryDirectory(prefix="earshot-streaming-", dir=".") as name:
        folder = Path(name).resolve()
        environment = slow_syncs(folder, SYNC_MS)
        commit_ms = one_commit(environment)
        settings = f"{SETTINGS}journal: {{path: {folder}/journal.db}}\n"
        with gateway_process(settings, environment) as gateway:
            began = cpu_seconds(gateway.pid)
            seen = asyncio.run(stream(gateway.url, PIECES_PER_SECOND * seconds))
            busy = cpu_seconds(gateway.pid) - began
    metrics: dict[str, float | int | str] = {
        "devices": DEVICES,
        "pieces": len(seen.pieces),
        "one commit, p50_ms": commit_ms,
        "piece -> listener p50_ms": percentile(seen.pieces, 50),
        "piece -> listener p95_ms": percentile(seen.pieces, 95),
        "piece -> listener max_ms": max(seen.pieces),
        "last piece -> whole answer p95_ms": percentile(seen.ends, 95),
        "answers that are not their pieces": seen.lost,
        "the gateway's CPU, ms a piece": 1000 * busy / len(seen.pieces),
    }
    return Result(
        metrics,
        [
            Bar("piece -> listener, p95", percentile(seen.pieces, 95), 100.0, "at most", "ms"),
            Bar("a commit takes a slow sync, p50", commit_ms, float(SYNC_MS), "at least", "ms"),
            Bar("answers that are not their pieces", seen.lost, 0, "at most"),
        ],
    )


if __name__ == "__main__":
    print(percentile(asyncio.run(commits(Path(sys.argv[1]), int(sys.argv[2]))), 50))
