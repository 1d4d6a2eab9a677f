"""One of the two agents, a process of its own: ``python -m benchmarks.fleet.agent NAME URL SECONDS`` thinks so long."""

from __future__ import annotations

import asyncio
import sys

from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import Orchestrator


def thinking(name: str, seconds: float) -> Orchestrator:
    """It says back what it has heard."""
    one = Orchestrator(name, concurrency=64)

    @one.on_transcript
    async def answer(heard: Heard) -> str:
        await asyncio.sleep(seconds)
        return f"{name}: {heard.text}"

    return one


if __name__ == "__main__":
    thinking(sys.argv[1], float(sys.argv[3])).run_forever(sys.argv[2])
