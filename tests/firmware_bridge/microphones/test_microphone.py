"""A microphone as a device, before a gateway that has no time for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from firmware_bridge.carriers.inner_device import RING_FRAMES
from firmware_bridge.link.device_end import MAX_STREAMS
from firmware_bridge.link.events import DeviceConnected, DeviceLog, LinkChanged, LinkEvent, StreamStarted
from firmware_bridge.link.fleet import Fleet
from firmware_bridge.link.framing import Decoded
from firmware_bridge.link.wires import Line
from firmware_bridge.microphones import microphone as microphone_device
from firmware_bridge.microphones.microphone import Microphone
from firmware_bridge.microphones.records import Measured, Sound
from firmware_bridge.settings import DeviceSettings

SOUND = Sound(bytes(640))
WELL = Measured(level_db=-40.0, overruns=0, lost_ms=0, drift_ppm=None)


class Gateway:
    """One that is busy until it is free."""

    def __init__(self) -> None:
        self.events: list[LinkEvent] = []
        self.microphone = Microphone("desk", self)
        self._fleet = Fleet(DeviceSettings(), self.events.append)
        self._fleet.set_busy(lambda _device_id: True)
        self._loop = asyncio.get_running_loop()

    def of(self, kind: type[LinkEvent]) -> list[LinkEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    async def first(self, kind: type[LinkEvent], count: int) -> None:
        """Until there are so many of them."""
        async with asyncio.timeout(10):
            while len(self.of(kind)) < count:
                self._fleet.tick(self._loop.time())
                self._answer()
                await asyncio.sleep(0)

    def free(self) -> None:
        self._fleet.set_busy(lambda _device_id: False)

    def _answer(self) -> None:
        for _, frame in self._fleet.outgoing(self._loop.time()):
            self.microphone.take(frame)

    def carrier_up(self, carrier: str) -> None:
        self._fleet.carrier_up(carrier)

    def carrier_weak(self, carrier: str, reason: str, remedy: str) -> None:
        self._fleet.carrier_weak(carrier, reason, remedy)

    def carrier_down(self, carrier: str, reason: str, remedy: str, *, passing: bool = False) -> None:
        self._fleet.carrier_down(carrier, reason, remedy, self._loop.time(), passing=passing)

    def line_lost(self, line: Line, reason: str) -> None:
        self._fleet.line_lost(line, reason, self._loop.time())

    def receive(self, line: Line, arrivals: Iterable[Decoded]) -> None:
        self._fleet.receive(line, arrivals, self._loop.time())
        self._answer()


async def test_what_a_busy_gateway_has_no_room_for_is_counted_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half a minute waits for it, and some stretches more begin; what is said then is gone."""
    monkeypatch.setattr(microphone_device, "WEAK_SECONDS", 0.0)
    gateway = Gateway()
    desk = gateway.microphone
    desk.plugged()
    await gateway.first(DeviceConnected, 1)
    for _ in range(RING_FRAMES - 1):  # and where the stream begins is a frame, too
        desk.hear(SOUND)
    desk.measured(WELL)
    assert (desk.counters.frames, desk.counters.dropped_ms) == (RING_FRAMES - 1, 0)
    assert len(gateway.of(LinkChanged)) == 1
    for _ in range(MAX_STREAMS):
        desk.hush()
        desk.hear(SOUND)
    assert desk.counters.dropped_ms == 20 * MAX_STREAMS, "the hole in their streams"
    desk.hush()
    for _ in range(10):
        desk.hear(SOUND)
    assert (desk.counters.frames, desk.counters.dropped_ms) == (RING_FRAMES - 1, 20 * MAX_STREAMS + 200)
    desk.measured(WELL)
    _, weak = gateway.of(LinkChanged)
    assert isinstance(weak, LinkChanged)
    assert (weak.up, weak.reason) == (True, "280 ms of sound were lost: the gateway had no time for it")
    assert weak.remedy
    gateway.free()
    await gateway.first(StreamStarted, 1 + MAX_STREAMS)
    await gateway.first(DeviceLog, 1)
    desk.hear(SOUND)
    await gateway.first(StreamStarted, 2 + MAX_STREAMS)
    desk.measured(WELL)
    assert (desk.counters.frames, desk.counters.dropped_ms) == (RING_FRAMES, 20 * MAX_STREAMS + 200)
    *_, well = gateway.of(LinkChanged)
    assert isinstance(well, LinkChanged)
    assert (well.up, well.reason, len(gateway.of(LinkChanged))) == (True, "", 3)
    desk.close()
