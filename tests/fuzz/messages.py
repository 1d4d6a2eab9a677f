"""Messages and events as JSON from anybody: BadMessage or a message, which is written and read again as the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.contract.agents import decode_announcement, decode_presence, decode_request
from gateway.contract.events import decode_event, decode_first, decode_say, decode_subscribe
from gateway.contract.messages import BadMessage, decode_reply, decode_transcription, encode
from gateway.contract.surrogates import LoneSurrogate, joined

_READERS: tuple[Callable[[bytes], Any], ...] = (
    decode_reply,
    decode_transcription,
    decode_event,
    decode_subscribe,
    decode_say,
    decode_first,
    decode_request,
    decode_presence,
    decode_announcement,
)


def fuzz(data: bytes) -> None:
    for read in _READERS:
        try:
            message = read(data)
        except BadMessage as error:
            str(error).encode()
            continue
        again = encode(message)
        again.decode()
        if "null" not in again.decode():  # so are numbers written that are none
            assert read(again) == message
    try:
        joined(data.decode("utf-8", "surrogatepass")).encode()
    except (LoneSurrogate, UnicodeDecodeError):
        return
