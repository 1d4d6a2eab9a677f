"""The orchestrator of the streaming benchmark: answers in pieces that say when they were sent, at a steady pace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from gateway.contract.messages import TranscriptionMessage
from gateway.orchestrators.sdk import Orchestrator

PIECES_PER_SECOND = 30

streams = Orchestrator("streams", concurrency=64, timeout_seconds=120.0)


@streams.on_transcript
async def answer(heard: TranscriptionMessage) -> AsyncIterator[str]:
    """As many pieces as the text says; each is the monotonic time in seconds, and a blank."""
    due = time.monotonic()
    for _ in range(int(heard.text)):
        due += 1 / PIECES_PER_SECOND
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        yield f"{time.monotonic():.6f} "
