"""What a webhook is asked: one utterance, and what is known around it, as a JSON object. No I/O."""

from __future__ import annotations

import math
from typing import Any, Final

from gateway.orchestrators.heard import Heard

REPLIES: Final = "/api/v1/replies/"
"""The gateway's operation that takes an answer later; behind it stands who was asked what."""
_CHAT: Final = "/chat"
"""What the address of n8n's chat trigger ends with, which reads names of its own."""


def question(heard: Heard, agent: str, url: str, *, replies_at: str, turns: int) -> dict[str, Any]:
    """That of ``heard``, to the program at ``url``."""
    told: dict[str, Any] = {
        "text": heard.text,
        "language": heard.language,
        "user_id": heard.user_id,
        "device_id": heard.device_id,
        "room": heard.room,
        "conversation_id": heard.conversation_id,
        "session_id": heard.session_id,
        "correlation_id": heard.correlation_id,
        "request_id": heard.request_id,
        "agent": agent,
        "role": heard.role,
        "attempt": heard.attempt,
        "timestamp": heard.timestamp,
        "conversation": [{"text": one.text, "reply": one.reply} for one in heard.conversation[-turns:]]
        if turns
        else [],
    }
    seconds = heard.seconds_left()
    if math.isfinite(seconds):
        told["seconds"] = round(seconds, 3)
    if replies_at and may_reply_later(heard):
        told["reply_url"] = f"{replies_at.rstrip('/')}{REPLIES}{heard.correlation_id}.{heard.request_id}"
    if url.endswith(_CHAT):
        told |= {
            "action": "sendMessage",
            "chatInput": heard.text,
            "sessionId": heard.conversation_id or heard.session_id,
        }
    return told


def may_reply_later(heard: Heard) -> bool:
    """Whether it is the gateway that waits: another agent that asks has no such address."""
    return bool(heard.request_id) and not heard.path
