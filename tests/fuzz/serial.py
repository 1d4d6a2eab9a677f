"""Serial bytes: nothing raises, pieces change nothing, and what the encoder writes is found again."""

from __future__ import annotations

from firmware_bridge.link.frames import MAX_PAYLOAD, DeviceFrame, FrameError
from firmware_bridge.link.framing import FrameRejected, Noise, SerialDecoder, encode_serial, stuff, unstuff

_PIECE = 7


def fuzz(data: bytes) -> None:
    whole, pieces = SerialDecoder(), SerialDecoder()
    at_once = list(whole.feed(data + b"\0"))
    cut = [one for at in range(0, len(data), _PIECE) for one in pieces.feed(data[at : at + _PIECE])]
    cut += pieces.feed(b"\0")
    assert [one for one in at_once if _is_frame(one)] == [one for one in cut if _is_frame(one)]
    assert all(len(one.data) <= 512 for one in at_once if isinstance(one, Noise))
    assert whole.counters.bytes == len(data) + 1
    stuffed = stuff(data)
    assert stuffed.count(0) == 1
    assert unstuff(stuffed[:-1]) == data
    for one in at_once:
        if isinstance(one, DeviceFrame) and len(data) <= MAX_PAYLOAD:
            _comes_back(one)


def _is_frame(one: object) -> bool:
    return isinstance(one, DeviceFrame) or (isinstance(one, FrameRejected) and one.header is not None)


def _comes_back(frame: DeviceFrame) -> None:
    try:
        data = encode_serial(frame)
    except FrameError:
        return  # half characters that were replaced take more room
    assert list(SerialDecoder().feed(data)) == [frame]
