"""What goes on of a transcript, once the word in between is spoken."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.contract.messages import TranscriptionMessage
from gateway.pipeline.content.port import KEPT_BACK, ContentFilter, Way
from gateway.pipeline.sessions.names import UtteranceName


async def looked_at(
    content: ContentFilter, name: UtteranceName, message: TranscriptionMessage
) -> TranscriptionMessage:
    """The message as everybody gets it. The times of words go with the words; one that is kept back has failed."""
    if not message.text:
        return message
    ruling = await content.look(Way.TRANSCRIPT, message.text, name, message.language)
    if ruling.dropped:
        return replace(message, text="", success=False, error=KEPT_BACK, words=(), flags=ruling.flags)
    words = message.words if ruling.text == message.text else ()
    return replace(message, text=ruling.text, words=words, flags=ruling.flags)
