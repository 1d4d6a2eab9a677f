"""A whole orchestrator. In config.yaml: ``orchestrator: {app: "examples.orchestrators.ten_lines:house"}``."""

from gateway.messages import TranscriptionMessage
from gateway.orchestrator import Orchestrator

house = Orchestrator("ten-lines")


@house.on_transcript
async def answer(heard: TranscriptionMessage) -> str:
    return f"You said: {heard.text}"
