"""One of Home Assistant's voice assistants asked: said as it grows, with the board that has heard it."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from gateway.agents.home_assistant.known_house import KnownHouse, VoiceAssistant
from gateway.agents.home_assistant.response import AssistAnswer, read_answer
from gateway.agents.home_assistant.wire import AssistWire
from gateway.orchestrators.answer import CannotAnswer
from gateway.orchestrators.heard import Heard

RUN = "assist_pipeline/run"


class SpokenAnswer:
    """What it says, piece by piece."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._message = ""  # a model that uses its tools begins another

    async def take(self, event: dict[str, Any]) -> AssistAnswer | None:
        """An event of the run; its answer, with which it ends. Raises CannotAnswer."""
        kind, data = event.get("type"), event.get("data")
        data = data if isinstance(data, dict) else {}
        if kind == "intent-progress":
            await self._say(data.get("chat_log_delta"))
        elif kind == "intent-end":
            return read_answer(data.get("intent_output"))
        elif kind == "error":
            said = " ".join(str(data.get("message", "")).split())[:200]
            raise CannotAnswer(f"Home Assistant failed{f': {said}' if said else ''}", "see its log")
        elif kind == "run-end":
            raise CannotAnswer("the answer of Home Assistant ends in the middle", "see its log")
        return None

    async def _say(self, delta: object) -> None:
        told = delta if isinstance(delta, dict) else {}
        piece = told.get("content")
        if "role" in told:
            if told["role"] != "assistant":
                return
            if self._message and not self._message[-1].isspace():
                await self._heard.say(" ")
            self._message = ""
        if isinstance(piece, str) and piece:
            self._message += piece
            await self._heard.say(piece)

    def rest(self, speech: str) -> str:
        """What is still to be said of the whole: nothing, where it was said in other words."""
        return speech[len(self._message) :] if speech.startswith(self._message) else ""


async def ask(
    wire: AssistWire, house: KnownHouse, assistant: VoiceAssistant, heard: Heard, conversation_id: str
) -> tuple[AssistAnswer, SpokenAnswer]:
    """What it answers, and what of that was said on the way. Raises CannotAnswer."""
    spoken = SpokenAnswer(heard)
    question: dict[str, object] = {
        "start_stage": "intent",
        "end_stage": "intent",
        "input": {"text": heard.text},
        "pipeline": assistant.assistant_id,
        "conversation_id": conversation_id or None,
        "device_id": await house.device(heard.device_id) or None,
    }
    async with aclosing(wire.follow(RUN, **question)) as told:
        async for one in told:
            event = one.get("event")
            if isinstance(event, dict) and (answer := await spoken.take(event)):
                return answer, spoken
    raise CannotAnswer("the answer of Home Assistant ends in the middle", "see its log")
