"""What Home Assistant answers: a reply, that it did not understand, or that it could not. No I/O.

As its documentation has it (``developers.home-assistant.io``, intent_conversation_api): that it did not understand
comes with status 200, as an answer of the type ``error``.
"""

from __future__ import annotations

import html
import re
from typing import Any, Final

from msgspec import Struct

from gateway.orchestrators.answer import CannotAnswer, NotUnderstood, Reply

MOST_TARGETS: Final = 64
"""Of what it has switched, or could not, so many are handed on."""
MOST_CHARACTERS: Final = 64 * 1024
"""Of what is to be said."""
_SHOWN: Final = 200
_NOT_UNDERSTOOD: Final = frozenset({"no_intent_match", "no_valid_targets"})
_TAG = re.compile(r"<[^<>]{0,1000}>")


class AssistAnswer(Struct, frozen=True, kw_only=True):
    """One answer. ``conversation_id`` is Home Assistant's own, or ""."""

    kind: str
    speech: str
    code: str = ""
    conversation_id: str = ""
    data: dict[str, Any]
    """For programs."""

    def reply(self) -> Reply:
        """To be said. Raises NotUnderstood, and CannotAnswer for what has failed."""
        if self.kind != "error":
            acted = self.kind != "query_answer" or self.data.get("continue_conversation") is True
            return Reply(self.speech, data={"home_assistant": self.data}, acted=acted)
        if self.code in _NOT_UNDERSTOOD:
            raise NotUnderstood(self.speech)
        said = " ".join(self.speech.split())[:_SHOWN]
        raise CannotAnswer(f"Home Assistant failed{f': {said}' if said else ''}", "see its log")


def read_answer(told: object) -> AssistAnswer:
    """From an answer of its conversation API, or of a pipeline's intent-end. Raises CannotAnswer for what is none."""
    response = told.get("response") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(response, dict) or not response.get("response_type"):
        raise CannotAnswer(
            "Home Assistant is something else: no conversation's answer",
            "see that the agent's url is the one meant",
        )
    found = response.get("data")
    data: dict[str, Any] = found if isinstance(found, dict) else {}
    conversation = told.get("conversation_id")
    return AssistAnswer(
        kind=str(response["response_type"])[:_SHOWN],
        speech=_speech(response.get("speech")),
        code=str(data.get("code", ""))[:_SHOWN],
        conversation_id=conversation if isinstance(conversation, str) and len(conversation) <= _SHOWN else "",
        data={
            "response_type": str(response["response_type"])[:_SHOWN],
            "success": _targets(data.get("success")),
            "failed": _targets(data.get("failed")),
            "continue_conversation": told.get("continue_conversation") is True,
        },
    )


def _speech(told: object) -> str:
    """What is said in words; without what a loudspeaker is told of how to say it."""
    speech = told if isinstance(told, dict) else {}
    for form in ("plain", "ssml"):
        part = speech.get(form)
        said = part.get("speech") if isinstance(part, dict) else None
        if isinstance(said, str) and said:
            text = said if form == "plain" else html.unescape(_TAG.sub(" ", said))
            return " ".join(text.split())[:MOST_CHARACTERS] if form == "ssml" else text[:MOST_CHARACTERS]
    return ""


def _targets(told: object) -> list[dict[str, str]]:
    targets = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    return [
        {key: one[key][:_SHOWN] for key in ("name", "type", "id") if isinstance(one.get(key), str)}
        for one in targets[:MOST_TARGETS]
    ]
