"""The port to devices: whoever has what it asks for stands behind it, and everybody is led the same way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import pytest

from firmware_bridge.link.events import (
    AudioReceived,
    DeviceConnected,
    DeviceStatus,
    StreamStarted,
    StreamStopped,
)
from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import RoutingKey
from gateway.config.configuration import GatewayConfig
from gateway.contract.messages import (
    REPLIES_TOPIC,
    RESULTS_TOPIC,
    OrchestratorReply,
    decode_transcription,
    encode,
)
from gateway.hub.hub import Hub
from gateway.journal import NoJournal
from gateway.observing.health import Health
from gateway.pipeline.pipeline import Pipeline
from gateway.pipeline.sessions.names import StreamName
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.fallback_texts import FallbackTexts
from gateway.settings.orchestrator import OrchestratorSettings
from tests.gateway.works import Engine, loud
from tests.record import passes
from tests.transcription.speech import LevelVad
from transcription.scheduling.engines import OpenEngine
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import TranscriptionSettings

TEXTS = FallbackTexts(OrchestratorSettings(), TranscriptionSettings())

TOASTER = StreamName("toaster", 3, 9)


class Toasters:
    """Devices that speak no frame of ours; each thing that they are told is written down."""

    def __init__(self) -> None:
        self.settled: dict[StreamName, int] = {}
        self.statuses: list[str] = []
        self.transcripts: list[tuple[StreamName, str]] = []
        self.replies: list[tuple[StreamName, str, str]] = []
        self.is_away = False

    def settle(self, device_id: str, boot: int, stream: int, position: int) -> None:
        self.settled[StreamName(device_id, boot, stream)] = position

    def send_status(self, device_id: str, boot: int, stream: int, status: DeviceStatus) -> bool:
        assert StreamName(device_id, boot, stream) == TOASTER
        self.statuses.append(status.name.lower())
        return not self.is_away

    def wants_partials(self, _device_id: str, _boot: int) -> bool:
        return False

    def send_partial(self, device_id: str, boot: int, stream: int, text: str, stable: str = "") -> bool:
        raise AssertionError("nobody wants any")

    def send_transcript(
        self, device_id: str, boot: int, stream: int, _correlation_id: str, text: str
    ) -> bool:
        self.transcripts.append((StreamName(device_id, boot, stream), text))
        return not self.is_away

    def send_reply(
        self,
        device_id: str,
        boot: int,
        stream: int,
        correlation_id: str,
        text: str,
        *,
        final: bool,
        fallback: bool = False,
        error: bool = False,
        whole: bool = True,
    ) -> bool:
        assert (final, fallback, error, whole) == (True, False, False, True)
        if not self.is_away:
            self.replies.append((StreamName(device_id, boot, stream), correlation_id, text))
        return not self.is_away

    def wants_pieces(self, _device_id: str, _boot: int) -> bool:
        return False

    def send_piece(
        self, device_id: str, boot: int, stream: int, correlation_id: str, text: str, *, anew: bool
    ) -> bool:
        raise AssertionError("nobody wants any")

    def visitor(self, _device_id: str) -> str:
        return ""

    def renew(self, device_id: str, boot: int) -> None:
        raise AssertionError("nobody was put off")

    def forget(self, _device_id: str) -> bool:
        return self.is_away

    def set_busy(self, is_busy: Callable[[str], bool]) -> None: ...

    def blank(self, correlation_ids: Collection[str]) -> None: ...


def connected(*, resumed: bool) -> DeviceConnected:
    return DeviceConnected(
        *TOASTER[:2], "kitchen wall", firmware="1", ring_frames=0, wants_partials=False, resumed=resumed, lost_frames=0
    )  # fmt: skip


@asynccontextmanager
async def kitchen(devices: Toasters) -> AsyncIterator[tuple[Pipeline, MemoryBroker]]:
    config, engine = GatewayConfig(), Engine()
    hub, broker = Hub(config.web, redact=False), MemoryBroker(config.broker)
    recognizer = Recognizer(
        config.transcription,
        open_engine=lambda _settings, **_how: OpenEngine(engine),
        retry_seconds=(0.01, 0.05),
    )
    async with recognizer:
        pipeline = Pipeline(
            config,
            devices=devices,
            recognizer=recognizer,
            listen=LevelVad,
            broker=broker,
            announcer=Announcer(devices, hub, config.devices, TEXTS),
            journal=NoJournal(),
            health=Health(hub.publish),
        )
        async with pipeline:
            pipeline.start()
            yield pipeline, broker
        await broker.close(0.1)


@pytest.mark.parametrize("is_away", [False, True], ids=["here", "away while it is answered"])
async def test_a_device_of_other_people_is_heard_and_answered(is_away: bool) -> None:  # noqa: FBT001
    devices, speech = Toasters(), loud(1)
    async with kitchen(devices) as (pipeline, broker), broker.subscribe(RESULTS_TOPIC) as results:
        pipeline.hear(connected(resumed=False))
        pipeline.hear(StreamStarted(*TOASTER, end_on_silence=False))
        pipeline.hear(AudioReceived(*TOASTER, position=0, pcm=speech, lost_samples=0))
        pipeline.hear(StreamStopped(*TOASTER))
        delivery = await anext(results)
        heard = decode_transcription(delivery.message.payload)
        await delivery.ack()
        assert (heard.device_id, heard.text) == ("toaster", "16000")
        await passes(lambda: devices.settled == {TOASTER: len(speech) // 2})
        assert devices.transcripts == [(TOASTER, "16000")]
        devices.is_away = is_away
        reply = OrchestratorReply(
            session_id=heard.session_id, correlation_id=heard.correlation_id, text="Toast."
        )
        key = RoutingKey(heard.user_id, heard.device_id, heard.session_id)
        await broker.publish(REPLIES_TOPIC, key, encode(reply))
        await passes(lambda: pipeline.stats().undelivered == 1)
        devices.is_away = False
        pipeline.hear(connected(resumed=True))
        await passes(lambda: devices.replies == [(TOASTER, heard.correlation_id, "Toast.")])
        pipeline.delivered(*TOASTER[:2], heard.correlation_id)
        await passes(lambda: not pipeline.stats().undelivered and not pipeline.stats().sessions)
        assert devices.statuses[:3] == ["listening", "transcribing", "thinking"]
        assert devices.statuses[-1] == "idle"
