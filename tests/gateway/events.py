"""Events as the pipeline publishes them, told short: all of one kitchen unless said otherwise."""

from __future__ import annotations

from gateway.contract.events import (
    DeliveryEvent,
    DeviceEvent,
    PartialEvent,
    ReplyEvent,
    StatusEvent,
    TranscriptionEvent,
)
from gateway.contract.messages import AudioFacts, Timings


def device(
    name: str = "kitchen", state: str = "connected", notice: str = "", reason: str = ""
) -> DeviceEvent:
    return DeviceEvent(
        device_id=name,
        user_id="anna",
        state=state,
        notice=notice,
        reason=reason,
        link="mqtt",
        firmware="1.4.0",
    )


def status(word: str = "listening", device: str = "kitchen", user: str = "anna") -> StatusEvent:
    return StatusEvent(session_id=f"s-{device}", user_id=user, device_id=device, status=word)


def partial(text: str = "turn on", number: int = 1, stable: str = "") -> PartialEvent:
    return PartialEvent(
        session_id="s-kitchen",
        user_id="anna",
        device_id="kitchen",
        utterance_id=f"u{number}",
        number=1,
        stable=stable,
        text=text,
    )


def transcription(
    text: str = "turn on the light", number: int = 1, error: str | None = None
) -> TranscriptionEvent:
    return TranscriptionEvent(
        session_id="s-kitchen",
        user_id="anna",
        device_id="kitchen",
        text=text,
        success=error is None,
        error=error,
        correlation_id=f"c_correlation_{number}",
        utterance_id=f"u{number}",
        language="en",
        confidence=0.9,
        audio=AudioFacts(seconds=1.5),
        timings=Timings(text_ms=410),
    )


def reply(
    text: str = "The light is on.",
    number: int = 1,
    *,
    final: bool = True,
    late: bool = False,
    agent: str = "orchestrator",
) -> ReplyEvent:
    return ReplyEvent(
        session_id="s-kitchen",
        user_id="anna",
        device_id="kitchen",
        correlation_id=f"c_correlation_{number}",
        utterance_id=f"u{number}",
        text=text,
        final=final,
        late=late,
        agent=agent,
        text_to_reply_ms=50,
    )


def delivery(number: int = 1) -> DeliveryEvent:
    return DeliveryEvent(
        session_id="s-kitchen",
        user_id="anna",
        device_id="kitchen",
        correlation_id=f"c_correlation_{number}",
        utterance_id=f"u{number}",
        speech_to_reply_ms=480,
    )
