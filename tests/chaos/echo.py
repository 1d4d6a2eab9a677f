"""An orchestrator in a process of its own that says back what it heard: ``python -m tests.chaos.echo URL``."""

from __future__ import annotations

import sys

from gateway.contract.messages import TranscriptionMessage
from gateway.orchestrators.sdk import Orchestrator

SAID = "You said: "

echo = Orchestrator("echo")


@echo.on_transcript
async def answer(heard: TranscriptionMessage) -> str:
    return SAID + heard.text


if __name__ == "__main__":
    echo.run_forever(sys.argv[1])
