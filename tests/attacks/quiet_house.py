"""An orchestrator that answers everybody but the kitchen and the attic, whose answers a test gives itself."""

from __future__ import annotations

from gateway.contract.messages import TranscriptionMessage
from gateway.orchestrators.sdk import Orchestrator

QUIET = ("kitchen", "attic")
house = Orchestrator()


@house.on_transcript
async def answer(heard: TranscriptionMessage) -> str | None:
    return None if heard.device_id in QUIET else "As you wish."
