"""An orchestrator that answers whatever is said, but for what begins with "wait": that nobody ever answers."""

from __future__ import annotations

from gateway.contract.messages import TranscriptionMessage
from gateway.orchestrators.sdk import Orchestrator

house = Orchestrator()


@house.on_transcript
async def answer(heard: TranscriptionMessage) -> str | None:
    return None if heard.text.startswith("wait") else "as you wish"
