"""What happens in a house, as its listeners see it."""

from __future__ import annotations

from typing import Any

from gateway.contract.events import HubEvent, PartialEvent, ReplyEvent, StatusEvent, TranscriptionEvent
from gateway.contract.messages import AudioFacts, Timings


def event(number: int) -> HubEvent:
    """What a house publishes: of four events two are final."""
    turn, step = divmod(number, 4)
    ids: dict[str, Any] = {
        "session_id": f"s_{turn % 7}_0123456789abcdefghij",
        "user_id": "home",
        "device_id": f"room-{turn % 7}",
    }
    said: dict[str, Any] = {
        "correlation_id": f"c_{turn}_0123456789abcdefghij",
        "utterance_id": f"u_{turn}_0123456789abcdefghij",
    }
    if step == 0:
        return PartialEvent(
            **ids, utterance_id=said["utterance_id"], number=1, stable="turn", text="turn on the lie"
        )
    if step == 1:
        return StatusEvent(**ids, status="thinking")
    if step == 2:
        return TranscriptionEvent(
            **ids, **said, text="turn on the light in the kitchen", success=True, error=None, language="en",
            confidence=0.9, audio=AudioFacts(seconds=1.6), timings=Timings(text_ms=310.0),
        )  # fmt: skip
    return ReplyEvent(**ids, **said, text="The light in the kitchen is on.", final=True)
