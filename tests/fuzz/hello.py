"""HELLO's JSON: a device that is welcomed, or a refusal that fits into a frame; nothing stumbles over it.

Where every device has a key, whatever is said lets nobody in.
"""

from __future__ import annotations

from typing import NoReturn

from firmware_bridge.link.admission import OpenHouse
from firmware_bridge.link.fleet import Fleet
from firmware_bridge.link.frames import FrameType, Hello, is_device_id
from firmware_bridge.link.framing import Decoded
from firmware_bridge.link.wires import Line
from firmware_bridge.settings import DeviceSettings
from tests.fuzz.talk import arrivals

_LINE = Line("/dev/ttyUSB0")


def fuzz(data: bytes) -> None:
    heard: list[object] = []
    fleet = Fleet(DeviceSettings(), heard.append, on_failure=_stumbled)
    hello = arrivals(bytes((FrameType.HELLO, 2)) + bytes(17) + data)
    fleet.receive(_LINE, hello, 1.0)
    answers = fleet.outgoing(1.0)
    assert answers
    assert all(len(frame.to_bytes()) < 2_100 for _, frame in answers)
    for one in hello:
        if isinstance(one, Hello):
            assert is_device_id(one.device_id)
            fleet.receive(_LINE, [one], 1.5)
    for now in (2.0, 20.0, 400.0):
        fleet.tick(now)
        fleet.outgoing(now)
    assert not fleet.devices()
    _guess(hello)


def _guess(hello: list[Decoded]) -> None:
    guarded = Fleet(DeviceSettings(), lambda _event: None, on_failure=_stumbled, admission=_Keyed())
    for i in range(6):
        guarded.receive(_LINE, hello, 1.0 + i / 10)
        guarded.outgoing(1.0 + i / 10)
    assert not guarded.devices()
    assert not guarded.counters.failures


class _Keyed(OpenHouse):
    """Whoever comes has to prove it."""

    def key(self, _device_id: str) -> bytes:
        return b"k" * 32


def _stumbled(work: str, error: Exception) -> NoReturn:
    raise AssertionError(work) from error
