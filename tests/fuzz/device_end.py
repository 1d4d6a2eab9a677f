"""A board that hears any frames, in any order, while its user talks: it raises nothing but what it documents."""

from __future__ import annotations

from contextlib import suppress

from firmware_bridge.link.device_end import DeviceEnd, DeviceState, FromGateway, LinkStateError
from firmware_bridge.link.events import NoticeKind
from firmware_bridge.link.frames import Reply
from firmware_bridge.link.framing import Noise
from firmware_bridge.link.reply_texts import MAX_CHARACTERS
from tests.fuzz.talk import arrivals, steps

_PASSED = (0.01, 0.3, 1.1, 5.5, 16.0)


def fuzz(data: bytes) -> None:
    end, now = DeviceEnd("kitchen", boot=7, ring_frames=16, first_sequence=0xFFFFFFF0, wants_pieces=True), 1.0
    end.hello(now)
    stream = 0
    for act, said in steps(data):
        what, which = act % 8, act // 8
        if what < 4:
            for one in arrivals(said):
                if not isinstance(one, Noise):
                    _shows(end, end.receive(one, now))
        elif what == 4:
            now += _PASSED[which % len(_PASSED)]
            end.tick(now)
        elif what == 5:
            stream = _talks(end, stream, said)
        elif what == 6:
            end.notice(NoticeKind.BUTTON, which, said.decode("utf-8", "replace"), stream)
            end.log(which % 8, said.decode("utf-8", "replace"))
        elif end.state is DeviceState.OFFLINE:
            end.hello(now)
        else:
            end.carrier_lost()
        for frame in end.outgoing():
            frame.to_bytes()
        deadline = end.next_deadline(now)
        assert deadline is None or deadline >= now


def _shows(end: DeviceEnd, told: list[FromGateway]) -> None:
    for one in told:
        if isinstance(one, Reply) and (reply := end.replies.take(one)) is not None:
            assert len(reply.text) <= MAX_CHARACTERS


def _talks(end: DeviceEnd, stream: int, said: bytes) -> int:
    with suppress(LinkStateError):  # more streams than it has, or none
        if not stream:
            return end.start_stream()
        end.audio(stream, said, len(said) // 2)
        if len(said) % 2:
            end.stop_stream(stream)
            return 0
    return stream
