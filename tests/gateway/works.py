"""The gateway's works without its walls: pipeline, link, recognizer, broker and hub, all real, and a wire of no length.

The engine is small and does as the test says; loud is speech.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import structs

from firmware_bridge.bridge import Bridge
from firmware_bridge.link.admission import OtherGateways
from firmware_bridge.link.events import LinkEvent
from firmware_bridge.link.frames import DeviceFrame
from firmware_bridge.link.framing import DatagramDecoder, DecoderCounters
from firmware_bridge.link.wires import WEB, WEB_IDS, Line
from firmware_bridge.simulator.wires import WireOwner
from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import MessageBroker, RoutingKey
from gateway.config.configuration import GatewayConfig
from gateway.contract.messages import (
    REPLIES_TOPIC,
    RESULTS_TOPIC,
    OrchestratorReply,
    TranscriptionMessage,
    decode_transcription,
    encode,
)
from gateway.hub.hub import Hub
from gateway.journal import AnyJournal, Journal, NoJournal
from gateway.observing.health import Health
from gateway.orchestrators.loading import load_function
from gateway.pipeline.content.opening import open_filter
from gateway.pipeline.pipeline import Pipeline, PipelineStats
from gateway.pipeline.recovery import WhoseSpeech
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.fallback_texts import FallbackTexts
from gateway.registry.admission import Register
from tests.record import Record, passes
from tests.system.house import Board, running
from tests.transcription.speech import LevelVad
from transcription.errors import EngineDied, EngineFailed
from transcription.recognizing import Phase
from transcription.scheduling.engines import OpenEngine
from transcription.scheduling.scheduler import Recognizer
from transcription.transcriber import NO_HINTS, Hints, Transcript
from transcription.utterance.segmenter import Utterance

IDLE = PipelineStats(sessions=0, streams=0, turns=0, asked=0, undelivered=0)
PATIENCE = 40.0


def loud(seconds: float) -> bytes:
    """Speech, as the voice activity here understands it."""
    return swing(12_000, int(16_000 * seconds))


def quiet(seconds: float) -> bytes:
    """A pause: no digital silence, for that is not listened to at all."""
    return swing(40, int(16_000 * seconds))


def swing(amplitude: int, samples: int, offset: int = 0) -> bytes:
    """Every sample as loud as every other: 2 kHz, square."""
    return np.resize(
        np.repeat(np.array([offset + amplitude, offset - amplitude], "<i2"), 4), samples
    ).tobytes()


class Engine:
    """Says how many samples it was given. Held, it waits until it is let go; some lengths it cannot do."""

    engine, model = "counting", "none"

    def __init__(self) -> None:
        self.at_work = threading.Event()
        self.go = threading.Event()
        self.go.set()
        self.poison: set[int] = set()
        self.deadly: set[int] = set()
        self.hints: list[Hints] = []
        self.lengths: list[int] = []
        self.says = Transcript("", "en", 1.0, 0.0, (), self.engine, self.model, 0.0)

    async def working(self) -> None:
        """Wait until it has something to do."""
        assert await asyncio.to_thread(self.at_work.wait, PATIENCE)

    def load(self) -> None: ...

    def close(self) -> None: ...

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        self.at_work.set()
        assert self.go.wait(PATIENCE)
        samples = len(utterance.samples)
        self.hints.append(hints)
        self.lengths.append(samples)
        if samples in self.deadly:
            raise EngineDied(f"it died of {samples}")
        if samples in self.poison:
            raise EngineFailed(f"{samples} are too many")
        text = str(samples) if utterance.has_speech else ""
        return replace(self.says, text=text)


class Air:
    """A wire of no length: what is sent arrives in the same turn of the event loop."""

    audio_samples = 320
    checksummed = False

    def __init__(self, carrier: Carrier, name: str) -> None:
        self._carrier = carrier
        self._line = Line(WEB, name) if name.startswith(WEB_IDS) else Line(f"air-{name}")
        self._decoder = DatagramDecoder()
        self._plugged = asyncio.Event()
        self._plugged.set()
        self._broken = asyncio.Event()
        self._owner: WireOwner | None = None

    async def run(self, owner: WireOwner) -> None:
        while True:
            await self._plugged.wait()
            self._broken.clear()
            carrier = self._carrier
            self._owner = carrier.owners[self._line] = owner
            owner.wire_up()
            try:
                await self._broken.wait()
            finally:
                self._owner = None
                del carrier.owners[self._line]
                owner.wire_down()
                carrier.bridge.line_lost(self._line, "out of reach")

    def encode(self, frame: DeviceFrame) -> bytes:
        return frame.to_bytes()

    def write(self, data: bytes) -> bool:
        if self._owner is None:
            return False
        self._carrier.bridge.receive(self._line, self._decoder.feed(data))
        return True

    def unplug(self) -> None:
        self._plugged.clear()
        self._broken.set()

    def leads_to(self, carrier: Carrier) -> None:
        """From the next connection on, to that gateway's."""
        self._carrier = carrier

    def replug(self) -> None:
        self._plugged.set()


class Carrier:
    """The gateway's end of all wires of no length."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.owners: dict[Line, WireOwner] = {}
        self._decoder = DatagramDecoder()

    def counters(self) -> dict[str, DecoderCounters]:
        return {}

    def send(self, line: Line, frame: DeviceFrame) -> bool:
        owner = self.owners.get(line)
        if owner is None:
            return False
        for decoded in self._decoder.feed(frame.to_bytes()):
            owner.received(decoded)
        return True


class Works:
    """The parts, and what a listener and a subscriber see."""

    def __init__(
        self,
        config: GatewayConfig,
        engine: Engine,
        journal: AnyJournal,
        broker: MessageBroker,
        folder: Path,
        *,
        elsewhere: OtherGateways | None = None,
        whose: WhoseSpeech | None = None,
    ) -> None:
        """``folder``: where the register of devices lies, if there is one. ``elsewhere``: what other gateways know."""
        self.config = config
        self.engine = engine
        self.hub = Hub(config.web, redact=config.privacy.redact)
        self.health = Health(self.hub.publish)
        self.journal = journal
        self.broker = broker
        self.recognizer = Recognizer(
            config.transcription,
            open_engine=lambda _settings, **_how: OpenEngine(engine),
            retry_seconds=(0.01, 0.05),
        )
        self.register = Register(folder, config.devices, self.health, self.readmit)
        self.bridge = Bridge(
            config.devices,
            self._hear,
            self._delivered,
            self.health.mishaps.note,
            admission=self.register,
            elsewhere=elsewhere,
        )
        texts = FallbackTexts(config.orchestrator, config.transcription)
        self.pipeline = Pipeline(
            config,
            devices=self.bridge,
            recognizer=self.recognizer,
            listen=LevelVad,
            broker=self.broker,
            announcer=Announcer(self.bridge, self.hub, self.register.settings, texts),
            journal=journal,
            health=self.health,
            content=open_filter(
                config.content,
                load_function,
                note=lambda *noted: self.filtered.append(noted),
                hook_state=lambda _failure: None,
            ),
            whose=whose,
        )
        self.filtered: list[tuple[Any, ...]] = []
        self.carrier = Carrier(self.bridge)
        self.events = Record()
        self.results = Record()

    def readmit(self) -> None:
        """As the gateway does when its register has changed."""
        self.pipeline.reconfigure(structs.replace(self.config, devices=self.register.settings))
        self.pipeline.roster.readmitted(self.register.why_not)
        for device_id in self.bridge.readmit():
            self.pipeline.hush(device_id)

    def _hear(self, event: LinkEvent) -> None:
        self.pipeline.hear(event)

    def _delivered(self, device_id: str, boot: int, correlation_id: str) -> None:
        self.pipeline.delivered(device_id, boot, correlation_id)

    def board(self, name: str = "kitchen", **options: Any) -> Board:
        return Board(name, Air(self.carrier, name), **{"speed": float("inf"), **options})

    async def result(self, count: int = 1, **facts: Any) -> TranscriptionMessage:
        found: TranscriptionMessage = await self.results.first(TranscriptionMessage, count=count, **facts)
        return found

    async def reply(self, heard: TranscriptionMessage, text: str, **fields: Any) -> None:
        """An orchestrator answers."""
        ids = {"correlation_id": heard.correlation_id, "session_id": heard.session_id}
        reply = OrchestratorReply(**{**ids, "text": text, **fields})
        await self.broker.publish(
            REPLIES_TOPIC, RoutingKey("home", heard.device_id, heard.session_id), encode(reply)
        )

    async def ready(self) -> None:
        await passes(lambda: self.recognizer.state.phase is Phase.READY, PATIENCE)

    def hush(self) -> None:
        """From now on nothing is committed, published or settled any more, as if the gateway were dead."""
        self.pipeline._journal.commit = self._nothing  # type: ignore[method-assign]
        for task in (
            *self.pipeline._turns,
            *getattr(self.pipeline, "_workers", ()),
            *self.pipeline._outbox._tasks,
        ):
            task.cancel()

    def _nothing(self, *_effects: object) -> asyncio.Future[bool]:
        return asyncio.get_running_loop().create_future()

    async def settled(self) -> None:
        """All that was committed so far is on the disk."""
        await self.journal.commit()

    async def idle(self) -> None:
        await passes(lambda: self.pipeline.stats() == IDLE, PATIENCE)

    async def listen(self) -> None:
        with self.hub.attach() as outbox:
            async for item in outbox:
                self.events(item.event)

    async def subscribe(self) -> None:
        async with self.broker.subscribe(RESULTS_TOPIC) as results:
            async for delivery in results:
                self.results(decode_transcription(delivery.message.payload))
                await delivery.ack()


@asynccontextmanager
async def open_works(
    engine: Engine | None = None,
    *,
    subscribed: bool = True,
    watched: bool = True,
    journal: Path | None = None,
    beside: MessageBroker | None = None,
    journal_settings: dict[str, Any] | None = None,
    on_made: Callable[[Works], None] = lambda _works: None,
    elsewhere: OtherGateways | None = None,
    whose: WhoseSpeech | None = None,
    **parts: dict[str, Any],
) -> AsyncIterator[Works]:
    """The works, running. ``parts``: the configuration, as in config.yaml.

    Not ``subscribed``: nobody gets results. Not ``watched``: nobody listens to the hub. ``journal``: its file;
    without one there is none. ``beside``: a broker that outlives the works. ``on_made`` gets them before they run.
    """
    devices = {"serial": {"ports": []}, "mqtt": {"url": ""}, **parts.pop("devices", {})}
    # A listener is always there. Unless a test is about partials, its engine is only asked for whole utterances.
    transcription = {"partials": {"every_ms": 0}, **parts.pop("transcription", {})}
    config = msgspec.convert(
        {"devices": devices, "transcription": transcription, "journal": journal_settings or {}, **parts},
        GatewayConfig,
    )
    keep_audio = config.journal.keep_audio and not config.privacy.redact
    async with AsyncExitStack() as stack:
        kept = await stack.enter_async_context(
            Journal(
                structs.replace(config.journal, path=str(journal), keep_audio=keep_audio),
                history=config.history,
                sessions=config.sessions,
            )
            if journal
            else NoJournal()
        )
        folder = journal.parent if journal else Path("/nowhere")
        works = Works(
            config,
            engine or Engine(),
            kept,
            beside or MemoryBroker(config.broker),
            folder,
            elsewhere=elsewhere,
            whose=whose,
        )
        on_made(works)
        if beside is None:
            stack.push_async_callback(works.broker.close, 0.1)
        await stack.enter_async_context(works.recognizer)
        watching = [works.listen()] if watched else []
        stack.enter_context(running(*watching, *([works.subscribe()] if subscribed else [])))
        await stack.enter_async_context(works.pipeline)
        works.pipeline.start()
        await stack.enter_async_context(works.bridge)
        await works.register.look()
        works.bridge._serial = works.carrier  # type: ignore[assignment]  # where serial ports would be
        yield works
