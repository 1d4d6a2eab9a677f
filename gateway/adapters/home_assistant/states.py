"""How each device is, as the gateway's events tell: what Home Assistant shows of it. No I/O."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from gateway.adapters.home_assistant.discovery import STATES
from gateway.contract.events import (
    DeliveryEvent,
    DeviceEvent,
    HubEvent,
    ReplyEvent,
    StatusEvent,
    TranscriptionEvent,
)

NOTHING: dict[str, Any] = {"text": ""}


class ShownDevice:
    """One device, after every event so far."""

    __slots__ = ("answer_ms", "heard", "is_here", "level", "lost_ms", "replied", "status")

    def __init__(self) -> None:
        self.begin(is_here=False)
        self.lost_ms = 0.0
        self.answer_ms: float | None = None
        self.heard = NOTHING
        self.replied = NOTHING

    def begin(self, *, is_here: bool) -> None:
        """What was counted goes on; what it does now is told anew."""
        self.is_here = is_here
        self.status = "idle"
        self.level: int | None = None

    def take(self, event: HubEvent) -> dict[str, Any] | None:
        """Note it; what happened, for who waits for such things to happen."""
        match event:
            case TranscriptionEvent():
                self.lost_ms += event.audio.lost_ms
                return self.recall(event)
            case ReplyEvent(final=True):
                return self.recall(event)
            case StatusEvent(status=status) if status in STATES:
                self.status = status
            case DeliveryEvent(speech_to_reply_ms=ms) if ms > 0:
                self.answer_ms = ms
            case DeviceEvent(notice="level"):
                self.level = event.value
            case DeviceEvent(notice="button" | "wake_word"):
                return {"event_type": event.notice, "text": event.text, "value": event.value}
            case DeviceEvent(notice=""):
                self.is_here = event.state == "connected"
        return None

    def recall(self, event: TranscriptionEvent | ReplyEvent) -> dict[str, Any]:
        """Note what was said, now or before; what happened with it."""
        if isinstance(event, ReplyEvent):
            self.replied = _replied(event)
            return {"event_type": "replied"} | self.replied
        if not event.success:
            return {"event_type": "not_understood", "text": "", "reason": event.error or ""}
        self.heard = _heard(event)
        return {"event_type": "heard"} | self.heard

    def forget_words(self) -> None:
        """What was said is not known any more."""
        self.heard = self.replied = NOTHING

    def state(self) -> bytes:
        """How it is, without words."""
        return msgspec.json.encode(
            {
                "state": self.status,
                "level": self.level,
                "lost_ms": round(self.lost_ms),
                "answer_ms": None if self.answer_ms is None else round(self.answer_ms),
            }
        )

    def words(self) -> bytes:
        """What was said."""
        return msgspec.json.encode({"heard": self.heard, "replied": self.replied})


def _heard(event: TranscriptionEvent) -> dict[str, Any]:
    return {
        "text": event.text,
        "language": event.language,
        "confidence": round(event.confidence, 3),
        "user": event.user_id,
        "conversation_id": event.conversation_id,
        "correlation_id": event.correlation_id,
    }


def _replied(event: ReplyEvent) -> dict[str, Any]:
    return {
        "text": event.text,
        "agent": event.agent,
        "error": event.error,
        "conversation_id": event.conversation_id,
        "correlation_id": event.correlation_id,
    }


class ShownGateway(Struct):
    """The gateway itself: how its components are, and how many devices are here."""

    health: str
    devices: int
    components: dict[str, str]
    """Those that are not healthy, each with what is wrong."""

    def state(self) -> bytes:
        """As Home Assistant reads it."""
        return msgspec.json.encode(self)
