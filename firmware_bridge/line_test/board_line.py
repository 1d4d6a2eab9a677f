"""The gateway's end of whatever device is on a port, at one rate: welcomes it, asks it questions, counts what comes."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Self

from firmware_bridge.alarm import Alarm
from firmware_bridge.carriers.line_quality import LineQuality, LineTrouble
from firmware_bridge.carriers.serial_link import DELIMITER, ByteStream, open_port
from firmware_bridge.line_test.line_report import LineReport, latency_of
from firmware_bridge.link.events import AudioReceived, LinkEvent, StreamStopped
from firmware_bridge.link.frames import DeviceFrame, FaultCode, Hello, Pong
from firmware_bridge.link.framing import (
    Decoded,
    DecoderCounters,
    FrameRejected,
    Noise,
    SerialDecoder,
    encode_serial,
)
from firmware_bridge.link.link import GatewayEnd, LinkSettings, say_hello

MOST_TRIPS: Final = 10_000
MOST_LINES: Final = 200
ALL: Final = 0xFFFFFFFF


class BoardLine:
    """An open port. What is recorded meanwhile is heard by nobody: it counts, and the device may forget it.

    ``async with``. Raises PortUnavailable when it cannot be opened.
    """

    def __init__(self, path: str, rate: int) -> None:
        self.path = path
        self.rate = rate
        self.device: GatewayEnd | None = None
        self.changed = asyncio.Event()
        """Something came, or the port is gone."""
        self.gone = ""
        self.texts: deque[str] = deque(maxlen=MOST_LINES)
        """What stood outside frames."""
        self.pings = 0
        self.round_trips: deque[float] = deque(maxlen=MOST_TRIPS)
        self._firmware = ""
        self._greetings = 0
        self._resent = 0
        self._samples = 0
        self._lost_samples = 0
        self._asked: dict[int, float] = {}
        self._number = 0
        self._decoder = SerialDecoder()
        self._quality = LineQuality(rate)

    async def __aenter__(self) -> Self:
        self._port = await asyncio.to_thread(open_port, self.path, self.rate)
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._alarm = Alarm(self._tick)
        self._stream = ByteStream(self._port.fileno(), self._received, self._closed)
        self._stream.write(DELIMITER)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._alarm.cancel()
        if (
            self.device and not self.gone
        ):  # it looks for the gateway at once, not when it has been silent for long
            self.device.close(self._loop.time(), "the line was tested", FaultCode.SHUTTING_DOWN)
            self._pump()
        self._stream.close()
        self._port.close()

    @property
    def counters(self) -> DecoderCounters:
        """What has come so far."""
        return self._decoder.seen()

    @property
    def waiting(self) -> int:
        """Questions that are not answered yet."""
        return len(self._asked)

    @property
    def greetings(self) -> int:
        """How often a device has said HELLO."""
        return self._greetings

    def ask(self) -> None:
        """Send a PING to the device, which is there."""
        assert self.device
        self._number += 1
        self.pings += 1
        self._asked[self._number] = self._loop.time()
        self.device.ping(self._number)
        self._pump()

    def give_up(self) -> None:
        """Wait for no answer any more; one that comes yet is none."""
        self._asked.clear()

    def trouble(self) -> LineTrouble | None:
        """What is wrong with it; to be asked about once a second."""
        return self._quality.judge(self._decoder.counters, self._loop.time())

    def report(self, expected_rate: int, trouble: LineTrouble | None, bytes_per_second: float) -> LineReport:
        """All that was counted."""
        seen = self.counters
        return LineReport(
            port=self.path,
            rate=self.rate,
            expected_rate=expected_rate,
            device=self.device.device_id if self.device else None,
            firmware=self._firmware,
            seconds=self._loop.time() - self._began,
            bytes=seen.bytes,
            text_bytes=seen.noise_bytes,
            frames=seen.frames,
            broken=seen.broken,
            greetings=self._greetings,
            resent=self._resent,
            samples=self._samples,
            lost_samples=self._lost_samples,
            pings=self.pings,
            pongs=len(self.round_trips),
            latency=latency_of(self.round_trips),
            bytes_per_second=bytes_per_second,
            trouble=trouble,
            gone=self.gone,
        )

    # -- inside

    def _received(self, data: bytes) -> None:
        now = self._loop.time()
        for arrival in self._decoder.feed(data):
            self._arrived(arrival, now)
        self._pump()
        self.changed.set()

    def _closed(self, reason: str) -> None:
        self.gone = reason
        self.changed.set()

    def _arrived(self, arrival: Decoded, now: float) -> None:
        if isinstance(arrival, Noise):
            self.texts.append(arrival.data.decode("utf-8", "replace").strip())
        elif isinstance(arrival, Hello):
            self._greet(arrival, now)
        elif self.device is None:
            self._answer_stranger(arrival)
        else:
            self._take(self.device, arrival, now)

    def _greet(self, hello: Hello, now: float) -> None:
        self._greetings += 1
        self._firmware = hello.firmware
        if self.device and (self.device.device_id, self.device.boot) == (hello.device_id, hello.boot):
            self._count(self.device.resumed(hello, self.path, now))
            return
        self.device = GatewayEnd(hello, carrier=self.path, settings=LinkSettings(), now=now)

    def _answer_stranger(self, arrival: DeviceFrame | FrameRejected) -> None:
        fault = say_hello(arrival)
        if fault:
            self._stream.write(encode_serial(fault))

    def _take(self, device: GatewayEnd, arrival: DeviceFrame | FrameRejected, now: float) -> None:
        if isinstance(arrival, Pong):
            asked = self._asked.pop(arrival.header.timestamp, None)
            if asked is not None:
                self.round_trips.append(now - asked)
        elif arrival.header and arrival.header.resent:
            self._resent += 1
        self._count(device.receive(arrival, now))

    def _count(self, events: list[LinkEvent]) -> None:
        assert self.device
        for event in events:
            if isinstance(event, AudioReceived):
                self._samples += len(event.pcm) // 2
                self._lost_samples += event.lost_samples
                self.device.settle(event.stream, event.position + len(event.pcm) // 2)
            elif isinstance(event, StreamStopped):
                self._lost_samples += event.lost_samples
                self.device.settle(event.stream, ALL)

    def _pump(self) -> None:
        if not self.device:
            return
        for frame in self.device.outgoing():
            self._stream.write(encode_serial(frame))
        deadline = self.device.next_deadline(self._loop.time())
        if deadline is not None:
            self._alarm.set(deadline)

    def _tick(self) -> None:
        if self.device:
            self._count(self.device.tick(self._loop.time()))
            self._pump()
