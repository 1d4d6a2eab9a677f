"""What is left of an event when nobody is to see the words in it."""

from __future__ import annotations

from msgspec import structs

from gateway.contract.events import (
    DeviceEvent,
    HubEvent,
    PartialEvent,
    ReplyEvent,
    StatusEvent,
    TranscriptionEvent,
)

FAILED = "the answer failed; why is kept from everybody"
"""What is told instead of an orchestrator's own words about its failure."""


def without_words(error: str | None) -> str | None:
    """That an orchestrator failed, and nothing of what it says about it."""
    return None if error is None else FAILED


def redacted(event: HubEvent) -> HubEvent | None:
    """The event without words: that something was said, when, and how long it took. None: it is nothing but words."""
    match event:
        case PartialEvent() | ReplyEvent(final=False):
            return None
        case TranscriptionEvent():
            return structs.replace(event, text="", words=(), redacted=True)
        case ReplyEvent():
            error = without_words(event.error)
            return structs.replace(
                event, text="", agent="", error=error, agents=(), missing=(), data=None, redacted=True
            )
        case StatusEvent():
            return structs.replace(event, detail="")
        case DeviceEvent():
            return structs.replace(event, text="")
        case _:
            return event
