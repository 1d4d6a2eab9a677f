"""What is left of an event when nobody is to see the words in it."""

from __future__ import annotations

from msgspec import structs

from gateway.events import HubEvent, PartialEvent, ReplyEvent, TranscriptionEvent


def redacted(event: HubEvent) -> HubEvent | None:
    """The event without words: that something was said, when, and how long it took. None: it is nothing but words."""
    match event:
        case PartialEvent() | ReplyEvent(final=False):
            return None
        case TranscriptionEvent():
            return structs.replace(event, text="", words=(), redacted=True)
        case ReplyEvent():
            return structs.replace(event, text="", redacted=True)
        case _:
            return event
