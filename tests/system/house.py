"""A house with a whole gateway in it, its boards, and those who watch: all of them real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.user import (
    ReplyShown,
    Report,
    StatusShown,
    StreamBegan,
    TranscriptShown,
)
from firmware_bridge.simulator.wires import DeviceWire, Mqtt, PseudoTerminal
from firmware_bridge.speech_files import read_wav, recordings
from gateway.app import Gateway
from gateway.broker.base import Message, MessageBroker
from gateway.client.listener import Listener
from gateway.config.configuration import GatewayConfig
from gateway.contract.messages import RESULTS_TOPIC, TranscriptionMessage, decode_transcription
from gateway.pipeline.pipeline import PipelineStats
from tests.record import PATIENCE, Record, passes

IDLE = PipelineStats(sessions=0, streams=0, turns=0, asked=0, undelivered=0)
RECORDINGS = {recording.path.stem: recording for recording in recordings() if recording.demo}


def text(name: str) -> str:
    """What is said in a recording."""
    return RECORDINGS[name].text


def pcm(name: str) -> bytes:
    """A recording's samples."""
    return read_wav(RECORDINGS[name].path)


def silence(seconds: float) -> bytes:
    return bytes(2 * int(16_000 * seconds))


class Board(SimulatedDevice):
    """A simulated device that remembers what it was told."""

    def __init__(self, device_id: str, wire: DeviceWire, **options: Any) -> None:
        self.told = Record()
        super().__init__(device_id, wire, report=self.told, **{"speed": 16.0, **options})

    async def connected(self) -> None:
        """Whoever is not welcomed in all that time fails its test, and hangs nobody."""
        await asyncio.wait_for(super().connected(), PATIENCE)

    def story(self, stream: int) -> list[str]:
        """All of one stream, in order, in words."""
        return [words for item in self.told.items if (words := _words(item, stream))]

    async def statuses(self, stream: int, last: str) -> list[str]:
        """The statuses of a stream, once ``last`` is the newest."""
        await self.told.until(lambda: self._statuses(stream)[-1:] == [last])
        return self._statuses(stream)

    def _statuses(self, stream: int) -> list[str]:
        return [item.status.name.lower() for item in self.told.of(StatusShown, stream=stream)]


def _words(item: Report, stream: int) -> str:
    if getattr(item, "stream", None) != stream:
        return ""
    match item:
        case StreamBegan():
            return "speaks"
        case StatusShown():
            return item.status.name.lower()
        case TranscriptShown():
            return f"heard: {item.text}"
        case ReplyShown():
            return f"reply: {item.text}"
    return ""


class House:
    """A running gateway, and what a listener and a subscriber see of it."""

    def __init__(self, gateway: Gateway, folder: Path, mqtt: str) -> None:
        self.gateway = gateway
        self.events = Record()
        """What a WebSocket listener gets."""
        self.results = Record()
        """What a subscriber of transcription.results gets, decoded."""
        self.messages: list[Message] = []
        """The same, as it travels."""
        self._folder = folder
        self._mqtt = mqtt

    def board(self, name: str, carrier: str = "serial", **options: Any) -> Board:
        return board(self._folder, name, self._mqtt if carrier == "mqtt" else "", **options)

    async def result(self, **facts: Any) -> TranscriptionMessage:
        """The first published result with these fields."""
        found: TranscriptionMessage = await self.results.first(TranscriptionMessage, **facts)
        return found

    async def idle(self) -> None:
        """Wait until nothing is on its way any more."""
        await passes(lambda: self.gateway.pipeline.stats() == IDLE)

    async def watch(self, listener: Listener) -> None:
        async for event in listener:
            self.events(event)

    async def subscribe(self, broker: MessageBroker, subscribed: asyncio.Event) -> None:
        async with broker.subscribe(RESULTS_TOPIC) as results:
            subscribed.set()
            async for delivery in results:
                self.messages.append(delivery.message)
                self.results(decode_transcription(delivery.message.payload))
                await delivery.ack()


def board(folder: Path, name: str, mqtt: str = "", **options: Any) -> Board:
    """A board on a pseudo-terminal in the folder, or on MQTT."""
    wire: DeviceWire = Mqtt(mqtt, name) if mqtt else PseudoTerminal(folder / f"usb-{name}")
    return Board(name, wire, **options)


def settings(folder: Path, mqtt: str = "", **parts: dict[str, Any]) -> dict[str, Any]:
    """A configuration for boards in the folder; ``parts`` are laid over it."""
    base: dict[str, Any] = {
        "devices": {
            "serial": {"ports": [f"{folder}/usb-*"], "scan_seconds": 0.05},
            "mqtt": {"url": mqtt},
        },
        "transcription": {"threads": 1, "isolation": "inline"},  # tests run side by side
        "journal": {"path": f"{folder}/journal.db"},
        "web": {"port": 0},
    }
    return _over(base, parts)


def _over(base: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in parts.items():
        merged[key] = _over(base.get(key, {}), value) if isinstance(value, dict) else value
    return merged


@asynccontextmanager
async def open_house(folder: Path, mqtt: str = "", **parts: dict[str, Any]) -> AsyncIterator[House]:
    """A whole gateway in this process; ready when its recognizer is (unless that is switched off)."""
    config = msgspec.convert(settings(folder, mqtt, **parts), GatewayConfig)
    async with Gateway(config) as gateway:
        house = House(gateway, folder, mqtt)
        await passes(lambda: gateway.health.report().components["recognizer"].state == "healthy")
        subscribed = asyncio.Event()
        async with Listener(gateway.url) as listener:
            with running(house.watch(listener), house.subscribe(gateway.broker, subscribed)):
                await subscribed.wait()
                yield house


@contextmanager
def running(*work: Coroutine[Any, Any, None]) -> Iterator[None]:
    """Work beside the test; what went wrong in it is the test's failure."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
    for task in tasks:
        if task.done():
            with suppress(asyncio.CancelledError):
                task.result()
