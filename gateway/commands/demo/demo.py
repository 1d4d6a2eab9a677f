"""The main job on one machine: a gateway with its defaults, and two simulated ESP32s that talk to it.

Nothing is cut short: one device is on a real pseudo-terminal, the other on a real MQTT broker, both speak
in real time, and a real WebSocket listener watches. Each utterance is checked end to end.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog

from firmware_bridge.settings import DeviceSettings, MqttSettings, SerialSettings
from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.user import SpokenUtterance
from firmware_bridge.simulator.wires import Mqtt, PseudoTerminal
from firmware_bridge.speech_files import SpeechFile, recordings
from gateway.app import Gateway
from gateway.client.listener import Listener
from gateway.commands.demo.screen import Screen
from gateway.config.configuration import GatewayConfig
from gateway.contract.escaping import in_lines, json_text, one_line
from gateway.contract.events import ListenerEvent, ReplyEvent, TranscriptionEvent
from gateway.observing import log as logging
from gateway.observing.health import HealthReport, HealthState
from gateway.settings.journal import JournalSettings
from gateway.settings.log import LogSettings
from gateway.settings.web import WebSettings

log = structlog.get_logger(__name__)

SERIAL_DEVICE, MQTT_DEVICE = "kitchen", "bedside"
SERIAL_SPEECH = ("u00", "u27", "u33", "u38", "u12", "u36", "u31", "u18")
MQTT_SPEECH = ("u25", "u20", "u07", "u14", "u34", "u09", "u35", "u01")
"""What the devices say, in this order: commands first, then cards and numbers."""
SPOKEN_ONCE = 4
"""Recordings each device speaks with ``--once``."""
PAUSE_SECONDS = 2.5
"""Between two utterances of a device when the demo goes on for ever."""
START_SECONDS = 30.0
PAGE_PORT = 8080
PATIENCE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One utterance, end to end. ``heard`` and ``answered``: what the WebSocket listener saw."""

    device_id: str
    link: str
    recording: SpeechFile
    spoken: SpokenUtterance
    heard: TranscriptionEvent | None
    answered: ReplyEvent | None

    @property
    def problems(self) -> list[str]:
        """What is not as it should be; empty when all is right."""
        spoken, heard, answered = self.spoken, self.heard, self.answered
        checks = {
            f"transcript {spoken.transcript!r} instead of {self.recording.text!r}": spoken.transcript
            == self.recording.text,
            "no reply reached the device": spoken.reply is not None
            and not spoken.fallback
            and not spoken.error,
            "no transcript reached the listener": heard is not None and heard.text == spoken.transcript,
            "no reply reached the listener": answered is not None and answered.text == spoken.reply,
        }
        return [problem for problem, fine in checks.items() if not fine]

    def json(self) -> str:
        """One line for machines."""
        spoken, heard = self.spoken, self.heard
        document = {
            "device_id": self.device_id,
            "link": self.link,
            "session_id": heard.session_id if heard else None,
            "utterance_id": heard.utterance_id if heard else None,
            "correlation_id": spoken.correlation_id,
            "expected": self.recording.text,
            "transcript": spoken.transcript,
            "reply": spoken.reply,
            "speech_to_text_ms": _since(spoken.stopped_at, spoken.transcript_at),
            "speech_to_reply_ms": _since(spoken.stopped_at, spoken.reply_at),
            "ok": not self.problems,
            "problems": self.problems,
        }
        return msgspec.json.encode(document).decode()


@dataclass(slots=True)
class Seen:
    """What the listener saw, by correlation id."""

    heard: dict[str, TranscriptionEvent] = field(default_factory=dict)
    answered: dict[str, ReplyEvent] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def note(self, event: ListenerEvent) -> None:
        """Keep what belongs to an utterance."""
        async with self.changed:
            if isinstance(event, TranscriptionEvent):
                self.heard[event.correlation_id] = event
            elif isinstance(event, ReplyEvent) and event.final:
                self.answered[event.correlation_id] = event
            self.changed.notify_all()

    async def both(self, correlation_id: str) -> tuple[TranscriptionEvent | None, ReplyEvent | None]:
        """Transcript and reply of an utterance, as far as they come within a second."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0), self.changed:
                await self.changed.wait_for(lambda: correlation_id in self.answered)
        return self.heard.pop(correlation_id, None), self.answered.pop(correlation_id, None)


@asynccontextmanager
async def temporary_folder() -> AsyncIterator[str]:
    """For what the demo leaves behind, which goes with it."""
    folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="earshot-demo-")
    try:
        yield folder.name
    finally:
        await asyncio.to_thread(folder.cleanup)


async def run_demo(*, once: bool, json_lines: bool) -> int:
    """Run the demo; with ``once`` until everything was spoken, else until Ctrl-C. Returns the exit status."""
    logging.configure(LogSettings(level="error", format="text"))
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(temporary_folder())
        screen = stack.enter_context(Screen(quiet=json_lines, once=once))
        terminal = Path(folder, "ttyESP32")
        screen.say("Starting the gateway: memory broker, embedded MQTT broker, bundled model ...")
        config = _config(terminal)
        async with Gateway(config) as gateway:
            try:
                await ready(gateway)
            except TimeoutError:
                print(in_lines("\n".join(what_is_missing(gateway.health.report()))), file=sys.stderr)  # noqa: T201
                return 1
            taken = "" if config.web.port else f" (port {PAGE_PORT} is taken)"
            screen.say(f"The page is at {gateway.url}{taken}")
            mqtt = Mqtt(gateway.bridge.mqtt_url_of(MQTT_DEVICE), MQTT_DEVICE)
            devices = (
                SimulatedDevice(SERIAL_DEVICE, PseudoTerminal(terminal), wants_partials=True),
                SimulatedDevice(MQTT_DEVICE, mqtt, wants_partials=True),
            )
            async with (
                Listener(gateway.url) as listener,
                _watching(listener, screen) as seen,
                devices[0],
                devices[1],
            ):
                for device in devices:
                    async with asyncio.timeout(START_SECONDS):
                        await device.connected()
                outcomes = await _talk(devices, seen, once=once, json_lines=json_lines, screen=screen)
        wrong = [outcome for outcome in outcomes if outcome.problems]
        for outcome in wrong:
            print(one_line(f"{outcome.device_id}: {'; '.join(outcome.problems)}"), file=sys.stderr)  # noqa: T201
        screen.say(f"{len(outcomes) - len(wrong)} of {len(outcomes)} utterances right, transcript and reply.")
    return 1 if wrong or not outcomes else 0


async def _talk(
    devices: tuple[SimulatedDevice, SimulatedDevice],
    seen: Seen,
    *,
    once: bool,
    json_lines: bool,
    screen: Screen,
) -> list[Outcome]:
    """Both devices speak at once; the outcomes, in the order in which they ended."""
    outcomes: list[Outcome] = []

    async def speak(
        device: SimulatedDevice, link: str, said: Iterator[SpeechFile], *, on_silence: bool
    ) -> None:
        await device.connected()
        for recording in said:
            screen.speaking(device.device_id, link, recording.text)
            spoken = await device.say(recording.path, end_on_silence=on_silence, patience=PATIENCE_SECONDS)
            outcome = Outcome(
                device.device_id, link, recording, spoken, *await seen.both(spoken.correlation_id)
            )
            if json_lines:
                print(json_text(outcome.json()), flush=True)  # noqa: T201
            if once:
                outcomes.append(outcome)
            await asyncio.sleep(0.3 if once else PAUSE_SECONDS)

    by_name = {recording.path.stem: recording for recording in await asyncio.to_thread(recordings)}
    says = [[by_name[name] for name in names] for names in (SERIAL_SPEECH, MQTT_SPEECH)]
    serial, mqtt = (iter(said[:SPOKEN_ONCE]) if once else itertools.cycle(said) for said in says)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(speak(devices[0], "serial, push-to-talk", serial, on_silence=False))
        tasks.create_task(speak(devices[1], "MQTT, hands-free", mqtt, on_silence=True))
    return outcomes


@asynccontextmanager
async def _watching(listener: Listener, screen: Screen) -> AsyncIterator[Seen]:
    """Everything the listener sees goes to the screen and is kept for the checks."""
    seen = Seen()

    async def watch() -> None:
        async for event in listener:
            screen.show(event)
            await seen.note(event)

    watcher = asyncio.create_task(watch(), name="demo listener")
    try:
        yield seen
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher


async def ready(gateway: Gateway) -> None:
    """Wait until everything is there that the demo needs."""
    async with asyncio.timeout(START_SECONDS):
        while not (_is_ready(gateway)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def _is_ready(gateway: Gateway) -> bool:
    mqtt = gateway.bridge.mqtt_url or not gateway.config.devices.mqtt.url
    return bool(gateway.health.report().ready and mqtt and gateway.url)


def what_is_missing(report: HealthReport) -> Iterator[str]:
    """A line for each component that is not well, with its remedy."""
    yield f"Not ready after {START_SECONDS:g} s:"
    for name, health in report.components.items():
        if health.state is not HealthState.HEALTHY:
            yield f"{name}: {health.reason}" + (f" -> {health.remedy}" if health.remedy else "")


def _config(terminal: Path) -> GatewayConfig:
    return GatewayConfig(
        devices=DeviceSettings(
            serial=SerialSettings(ports=(str(terminal),), scan_seconds=0.2),
            mqtt=MqttSettings(embedded_port=0),
            users={SERIAL_DEVICE: "alice", MQTT_DEVICE: "bob"},
            rooms={SERIAL_DEVICE: "Kitchen", MQTT_DEVICE: "Bedroom"},
        ),
        journal=JournalSettings(path=str(terminal.with_name("journal.db"))),
        web=WebSettings(port=page_port()),
    )


def page_port() -> int:
    """Where the page is; 0: anywhere, since somebody else is there."""
    return PAGE_PORT if _is_free(PAGE_PORT) else 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _since(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(1000 * (end - start), 1)
