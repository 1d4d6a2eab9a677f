"""``kill -9`` of the recognizer while ten devices speak: each hears its own text, exactly once."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.contract.events import TranscriptionEvent
from tests.record import passes
from tests.system.house import RECORDINGS, House, text

pytestmark = pytest.mark.slow

NAMES = list(RECORDINGS)[:10]


def recognizers() -> set[int]:
    """The recognizer's processes that this process has."""
    threads = Path("/proc/self/task").glob("*/children")
    children = {int(child) for thread in threads for child in read(thread).split()}
    return {
        child for child in children if "transcription.process.worker" in read(Path(f"/proc/{child}/cmdline"))
    }


def read(path: Path) -> str:
    """Empty when the thread or process has just ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


async def kill_recognizer(house: House, *, after: int) -> int:
    """Once so many texts are there; its process id."""
    await passes(lambda: len(house.events.of(TranscriptionEvent)) >= after)
    await passes(recognizers)
    (pid,) = recognizers()
    os.kill(pid, signal.SIGKILL)
    await passes(lambda: pid not in recognizers())
    return pid


async def test_no_utterance_of_ten_devices_is_lost(house: Any) -> None:
    async with house(transcription={"isolation": "process"}) as one, AsyncExitStack() as stack:
        boards = [one.board(f"board{n}", "serial") for n in range(len(NAMES))]
        saying = []
        for board, name in zip(boards, NAMES, strict=True):
            await stack.enter_async_context(board)
            await board.connected()
            saying.append(asyncio.create_task(board.say(RECORDINGS[name].path)))
        first = await kill_recognizer(one, after=1)
        second = await kill_recognizer(one, after=5)
        said = await asyncio.gather(*saying)
        assert [s.transcript for s in said] == [text(name) for name in NAMES]
        assert sorted(r.text for r in one.results.items) == sorted(text(name) for name in NAMES)
        assert all(r.success for r in one.results.items)
        assert second != first
        await passes(lambda: len(recognizers() - {first, second}) == 1)
