"""The recognizer that the settings mean: with an engine of its own, or without; and how the pool shows."""

from __future__ import annotations

import subprocess
import sys
from typing import Literal

import pytest

from gateway.broker.opening import MEMORY, open_broker
from gateway.config.configuration import GatewayConfig
from gateway.contract.events import HealthEvent
from gateway.observing.health import Health, HealthState
from gateway.observing.recognizer_health import POOL, PoolHealth
from gateway.process.mishaps import Mishaps
from gateway.recognizers.audio_codec import decoded
from gateway.recognizers.pool.opening import CODECS, pooled_recognizer
from gateway.settings.broker import BrokerSettings
from gateway.settings.recognizers import RecognizersSettings
from tests.gateway.recognizers.pool.workers import StandInWorker, spoken
from transcription.recognizing import Phase
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import TranscriptionSettings
from transcription.transcriber import NO_HINTS

NOBODY = ("", "no recognizer is there", "start one")


async def opened(
    use: Literal["sooner", "only"], engine: Literal["auto", "off"] = "auto", model: str = ""
) -> tuple[bool, str]:
    """Whether it has an engine of its own, and which model the others are to have. It is not begun."""
    config = GatewayConfig(
        transcription=TranscriptionSettings(engine=engine, model="base"),
        recognizers=RecognizersSettings(use=use, model=model),
    )
    broker = open_broker(MEMORY, BrokerSettings())
    recognizer = pooled_recognizer(
        config, broker, Recognizer, Mishaps(), on_state=lambda _: None, on_pool=lambda *_: None
    )
    found = recognizer.has_own, recognizer.need(NO_HINTS).model
    assert recognizer.state.phase is Phase.LOADING
    await broker.close(0.0)
    return found


@pytest.mark.parametrize(
    ("use", "engine", "has_own"),
    [("only", "auto", False), ("only", "off", False), ("sooner", "auto", True), ("sooner", "off", False)],
)
async def test_who_leaves_it_to_others_loads_nothing(
    use: Literal["sooner", "only"],
    engine: Literal["auto", "off"],
    has_own: bool,  # noqa: FBT001
) -> None:
    assert await opened(use, engine) == (has_own, "base")


async def test_the_others_may_have_another_model() -> None:
    assert await opened("sooner", model="large-v3") == (True, "large-v3")


@pytest.mark.parametrize("codec", ["flac", "opus", "pcm"])
async def test_audio_travels_as_the_settings_say(codec: Literal["flac", "opus", "pcm"]) -> None:
    config = GatewayConfig(
        transcription=TranscriptionSettings(engine="off", model="base", wait_seconds=10),
        recognizers=RecognizersSettings(use="only", codec=codec),
    )
    broker = open_broker(MEMORY, BrokerSettings(client_id="gate"))
    recognizer = pooled_recognizer(
        config, broker, Recognizer, Mishaps(), on_state=lambda _: None, on_pool=lambda *_: None
    )
    async with recognizer, StandInWorker(broker).at_work() as worker:
        await recognizer.transcribe(spoken(0.5), owner="a", deadline=10)
        assert worker.jobs[0].codec is CODECS[codec]
        assert len(decoded(worker.jobs[0].audio, worker.jobs[0].codec, worker.jobs[0].samples)) == 8_000
    await broker.close(0.0)


def test_nothing_of_it_is_imported_where_nobody_wants_it() -> None:
    code = "import sys, gateway.app; print([name for name in sys.modules if 'gateway.recognizers' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def told(*said: tuple[str, str, str], alone: bool) -> list[HealthEvent]:
    events: list[HealthEvent] = []
    tell = PoolHealth(Health(events.append), alone=alone)
    for there, reason, remedy in said:
        tell(there, reason, remedy)
    return events


def test_who_is_there_is_shown() -> None:
    (event,) = told(("2 with base, 1 with small", "", ""), alone=True)
    assert (event.component, event.state) == (POOL, HealthState.HEALTHY)
    assert event.detail == "2 with base, 1 with small"


@pytest.mark.parametrize(("alone", "state"), [(True, HealthState.UNHEALTHY), (False, HealthState.DEGRADED)])
def test_nobody_is_worse_where_nobody_else_recognizes(alone: bool, state: HealthState) -> None:  # noqa: FBT001
    (event,) = told(NOBODY, alone=alone)
    assert (event.state, event.reason, event.remedy) == (state, NOBODY[1], NOBODY[2])


def test_what_does_not_change_is_told_once() -> None:
    events = told(NOBODY, NOBODY, ("1 with base", "", ""), ("1 with base", "", ""), alone=True)
    assert [event.state for event in events] == [HealthState.UNHEALTHY, HealthState.HEALTHY]
