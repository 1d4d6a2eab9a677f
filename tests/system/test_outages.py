"""What is missing, and comes back: brokers, ports, models, the gateway itself. Nothing is started anew."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession

from firmware_bridge.simulator.user import StatusShown
from firmware_bridge.simulator.wires import PseudoTerminal
from gateway import app
from gateway.app import Gateway
from gateway.config.configuration import GatewayConfig
from gateway.contract.events import DeviceEvent, HealthEvent
from gateway.web import kept_open
from tests.record import passes
from tests.servers.process import free_port
from tests.system.house import RECORDINGS, Board, House, board, pcm, settings, text
from tests.system.process import run
from transcription.models.models import BUNDLED

pytestmark = pytest.mark.slow

SPEECH = RECORDINGS["u05"].path


async def readyz(url: str) -> tuple[int, dict[str, Any]]:
    async with ClientSession() as session, session.get(f"{url}readyz") as response:
        return response.status, await response.json()


def health(house: House, component: str) -> tuple[str, str, str]:
    found = house.gateway.health.report().components.get(component)
    return (found.state, found.reason, found.remedy) if found else ("", "", "")


async def test_devices_wait_for_a_broker_that_comes_later(house: Any, mosquitto: Any) -> None:
    mosquitto.stop()
    async with house(mqtt=mosquitto.url) as one, one.board("bedside", "mqtt") as bedside:
        await passes(lambda: health(one, "mqtt")[0] == "degraded")
        _, reason, remedy = health(one, "mqtt")
        assert reason
        assert remedy
        assert (await readyz(one.gateway.url))[0] == 200, "serial devices and listeners are served"
        saying = asyncio.create_task(bedside.say(SPEECH))
        mosquitto.start()
        assert (await saying).transcript == text("u05")
        assert health(one, "mqtt") == ("healthy", "", "")


async def test_a_broker_that_restarts_under_speech_costs_nothing(house: Any, mosquitto: Any) -> None:
    async with house(mqtt=mosquitto.url) as one, one.board("bedside", "mqtt", speed=4) as bedside:
        saying = asyncio.create_task(bedside.say(RECORDINGS["u00"].path))
        await passes(lambda: bedside.end.counters.sent > 6)
        mosquitto.restart()
        said = await saying
        assert (said.transcript, said.reply) == (text("u00"), "Demo: Timer set for 60 minutes.")
        (result,) = one.results.items
        assert (result.audio.gaps, result.audio.end_reason) == (0, "stop")
        await one.events.first(DeviceEvent, state="disconnected")
        assert [event.state for event in one.events.of(HealthEvent, component="mqtt")][-2:] == [
            "degraded",
            "healthy",
        ]


async def test_a_port_that_is_not_there_is_found_when_it_is_plugged_in(house: Any, tmp_path: Path) -> None:
    port = tmp_path / "ttyESP32"
    serial = {"ports": [str(port)], "scan_seconds": 0.05}
    async with house(devices={"serial": serial}) as one:
        await passes(lambda: health(one, str(port))[0] == "degraded")
        assert health(one, str(port))[1:] == ("no such port", "plug it in; it is found by itself")
        async with Board("kitchen", PseudoTerminal(port)) as kitchen:
            assert (await kitchen.say(SPEECH)).transcript == text("u05")
            assert health(one, str(port))[0] == "healthy"
        await passes(lambda: health(one, str(port))[0] == "degraded")


async def test_the_page_waits_for_its_address_and_the_devices_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_open, "RETRY_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        config = msgspec.convert(settings(tmp_path, web={"port": port}), GatewayConfig)
        async with Gateway(config) as gateway, board(tmp_path, "kitchen") as kitchen:
            page = gateway.health.report().components["page"]
            assert (page.state, gateway.url) == ("degraded", "")
            assert page.reason == f"127.0.0.1:{port}: another program listens there"
            assert "web.port" in page.remedy
            assert (await kitchen.say(SPEECH)).transcript == text("u05")
            squatter.close()
            await passes(lambda: gateway.url)
            status, report = await readyz(gateway.url)
            assert (status, report["components"]["page"]["state"]) == (200, "healthy")


async def test_voice_activity_that_is_installed_later_is_taken_without_a_restart(
    house: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    find, nothing = importlib.util.find_spec, "faster_whisper"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == nothing else find(name))
    monkeypatch.setattr(app, "VOICE_RETRY_SECONDS", 0.05)
    async with house() as one, one.board("kitchen") as kitchen:
        state, reason, remedy = health(one, "voice activity")
        assert state == "unhealthy"
        assert "not installed" in reason
        assert "faster-whisper" in remedy
        assert (await readyz(one.gateway.url))[0] == 503
        said = await kitchen.say(SPEECH)
        assert said.transcript == text("u05"), "push-to-talk is heard as it is"
        nothing = ""
        await passes(lambda: health(one, "voice activity")[0] == "healthy")
        assert (await readyz(one.gateway.url))[0] == 200
        assert (await kitchen.say(SPEECH, end_on_silence=True)).transcript == text("u05")


def bring(model: Path) -> None:
    """The model appears as a whole."""
    shutil.copytree(BUNDLED, model.with_suffix(".part"))
    model.with_suffix(".part").rename(model)


def without_model(folder: Path, engine: str) -> GatewayConfig:
    model = {"engine": engine, "model": str(folder / "model")}
    return msgspec.convert(settings(folder, transcription=model), GatewayConfig)


async def test_speech_waits_for_a_model_that_is_put_there_later(tmp_path: Path) -> None:
    async with (
        Gateway(without_model(tmp_path, "faster-whisper")) as gateway,
        board(tmp_path, "kitchen") as kitchen,
    ):
        await passes(lambda: "no folder" in gateway.health.report().components["recognizer"].reason)
        status, report = await readyz(gateway.url)
        recognizer = report["components"]["recognizer"]
        assert (status, report["state"], recognizer["state"]) == (503, "unhealthy", "unhealthy")
        assert str(tmp_path / "model") in recognizer["reason"]
        assert "put the model there" in recognizer["remedy"]
        saying = asyncio.create_task(kitchen.say(SPEECH))
        await kitchen.told.first(StatusShown, stream=1, status=2)
        bring(tmp_path / "model")
        assert (await saying).transcript == text("u05")
        assert (await readyz(gateway.url))[0] == 200


@pytest.mark.slow
async def test_the_fallback_engine_serves_until_the_model_is_there(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx")
    async with Gateway(without_model(tmp_path, "auto")) as gateway, board(tmp_path, "kitchen") as kitchen:
        await passes(lambda: gateway.health.report().components["recognizer"].state == "degraded")
        status, report = await readyz(gateway.url)
        assert (status, report["state"]) == (200, "degraded")
        assert report["components"]["recognizer"]["remedy"]
        said = await kitchen.say(SPEECH)
        assert said.transcript
        assert said.reply
        assert gateway.recognizer.state.engine == "pocketsphinx"
        bring(tmp_path / "model")
        await passes(lambda: gateway.health.report().components["recognizer"].state == "healthy")
        assert (await kitchen.say(SPEECH)).transcript == text("u05")


@pytest.mark.slow
async def test_a_gateway_that_is_killed_in_mid_speech_gets_all_of_it_again(
    tmp_path: Path, mosquitto: Any
) -> None:
    web = {"port": free_port()}
    async with (
        board(tmp_path, "kitchen", speed=1) as kitchen,
        board(tmp_path, "bedside", mosquitto.url, speed=1) as bedside,
    ):
        async with run(tmp_path, mosquitto.url, web=web) as first:
            await asyncio.gather(kitchen.connected(), bedside.connected())
            before = await kitchen.say(RECORDINGS["u05"].path)
            saying = [
                asyncio.create_task(one.say(name))
                for one, name in ((kitchen, pcm("u00")), (bedside, pcm("u15")))
            ]
            for one in (kitchen, bedside):
                sent = one.end.counters.sent
                await passes(lambda one=one, sent=sent: one.end.counters.sent > sent + 8)
            await first.kill()
        async with run(tmp_path, mosquitto.url, web=web):
            said = await asyncio.gather(*saying)
        assert before.transcript == text("u05")
        assert [one.transcript for one in said] == [text("u00"), text("u15")]
        assert [one.reply for one in said] == [
            "Demo: Timer set for 60 minutes.",
            "Demo: The office thermostat is set to 0 degrees.",
        ]
