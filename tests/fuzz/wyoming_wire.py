"""Wyoming's bytes: nothing raises but WireError, pieces change nothing, little is kept, and each event comes back."""

from __future__ import annotations

from gateway.adapters.wyoming import wire
from gateway.adapters.wyoming.events import SoundChunk, WyomingEvent
from gateway.adapters.wyoming.wire import EventDecoder, WireError

_PIECE = 5


def fuzz(data: bytes) -> None:
    at_once, ended = _heard(data, len(data) or 1)
    assert (at_once, ended) == _heard(data, _PIECE)
    for event in at_once:
        if isinstance(event, WyomingEvent):
            assert list(EventDecoder().feed(wire.encode(event))) == [event]


def _heard(data: bytes, size: int) -> tuple[list[object], bool]:
    """Sound is put together again: where its pieces are cut is the connection's."""
    decoder = EventDecoder()
    heard: list[object] = []
    try:
        for at in range(0, len(data), size):
            heard += decoder.feed(data[at : at + size])
            assert len(decoder._pending) <= wire.MOST_HEADER_BYTES + wire.MOST_DATA_BYTES
    except WireError as error:
        assert str(error)
        return heard, True
    assert all(one.audio for one in heard if isinstance(one, SoundChunk))
    return heard, False
