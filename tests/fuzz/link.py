"""A fleet that hears any frames from any lines, in any order, while its owner does its work: it never stumbles."""

from __future__ import annotations

from typing import NoReturn

from firmware_bridge.link.events import AudioReceived, DeviceStatus, LinkEvent, StreamStopped
from firmware_bridge.link.fleet import Fleet
from firmware_bridge.link.frames import HEADER_SIZE, MAX_PAYLOAD, FaultCode
from firmware_bridge.link.wires import MQTT, WEB, Line
from firmware_bridge.settings import DeviceSettings
from tests.fuzz.talk import arrivals, steps

_LINES = (Line("/dev/ttyUSB0"), Line(MQTT, "kitchen"), Line(MQTT, "hall"), Line(WEB, "web-1", 1))
_DEVICES = 2
_PASSED = (0.01, 0.3, 2.5, 16.0, 301.0)


class _Owner:
    def __init__(self) -> None:
        self.fleet = Fleet(DeviceSettings(max_devices=_DEVICES), self._hears, on_failure=_stumbled)
        self.now = 1.0
        self.stopped: list[StreamStopped] = []
        self.heard: dict[tuple[str, int, int], int] = {}
        """How far each stream has come, in samples."""

    def _hears(self, event: LinkEvent) -> None:
        if isinstance(event, AudioReceived):
            self.heard[event.device_id, event.boot, event.stream] = event.position + len(event.pcm) // 2
        elif isinstance(event, StreamStopped):
            self.stopped.append(event)

    def does(self, act: int, data: bytes) -> None:
        what, which = act % 8, act // 8
        fleet, line = self.fleet, _LINES[which % len(_LINES)]
        if what < 4:
            fleet.receive(line, arrivals(data), self.now)
        elif what == 4:
            self.now += _PASSED[which % len(_PASSED)]
            fleet.tick(self.now)
        elif what == 5:
            self._answers(data)
        elif what == 6:
            fleet.line_lost(line, "gone", self.now)
        else:
            fleet.set_busy(lambda _device_id: bool(which % 2))
        for _, frame in fleet.outgoing(self.now):
            assert len(frame.to_bytes()) <= HEADER_SIZE + MAX_PAYLOAD
        assert len(fleet.devices()) <= _DEVICES

    def _answers(self, data: bytes) -> None:
        text = data.decode("utf-8", "replace") * 20
        for event in self.stopped[-3:]:
            if (end := self.fleet.end(event.device_id, event.boot)) is None:
                continue
            end.settle(event.stream, self.heard.get((event.device_id, event.boot, event.stream), 0))
            end.send_status(event.stream, DeviceStatus.TRANSCRIBING)
            end.send_partial(event.stream, text, text[:5])
            end.send_transcript(event.stream, "c_1", text)
            for label in ("c_1", "c_2"):
                end.send_piece(event.stream, label, text[:7], anew=len(data) % 3 == 0)
            end.send_reply(event.stream, "c_1", text, whole=len(data) % 2 == 0)
            end.delivered()
        for device in self.fleet.devices():
            self.fleet.send_fault(device.id, FaultCode.BAD_AUDIO, text[:100])


def fuzz(data: bytes) -> None:
    owner = _Owner()
    for act, frame in steps(data):
        owner.does(act, frame)
    owner.fleet.shut_down(owner.now)
    owner.fleet.outgoing(owner.now)


def _stumbled(work: str, error: Exception) -> NoReturn:
    raise AssertionError(work) from error
