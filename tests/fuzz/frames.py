"""One frame's bytes: FrameError or a frame, which is written and read again as the same."""

from __future__ import annotations

from firmware_bridge.link.frames import MAX_PAYLOAD, FrameError, decode


def fuzz(data: bytes) -> None:
    try:
        frame = decode(data)
    except FrameError as error:
        assert len(error.message) < 1_000
        return
    assert len(data) <= MAX_PAYLOAD + 20
    try:
        again = frame.to_bytes()
    except FrameError:
        return  # half characters that were replaced take more room
    assert decode(again) == frame
