"""Real speech over the web, in a whole gateway: a simulated device on a WebSocket, and a browser's microphone."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import PIPE
from base64 import b64encode
from pathlib import Path

import pytest

from firmware_bridge.link.wires import WEB
from gateway.access.principals import LOCAL
from gateway.contract.events import DeliveryEvent, DeviceEvent, ReplyEvent
from tests.gateway.web.chromium import IN_CHROMIUM, chromium, clean_page
from tests.record import PATIENCE
from tests.system.house import RECORDINGS, open_house, pcm, text
from tests.system.process import EARSHOT

WORDS = "u05"

pytestmark = pytest.mark.slow


async def test_earshot_simulate_on_a_websocket(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        recording = RECORDINGS[WORDS].path
        process = await asyncio.create_subprocess_exec(
            *EARSHOT, "simulate", "--ws", house.gateway.url, "--id", "web-cli", "--wav", str(recording), "--speed", "8",
            stdout=PIPE, stderr=PIPE, env={**os.environ},
        )  # fmt: skip
        output, errors = await asyncio.wait_for(process.communicate(), 2 * PATIENCE)
        assert (process.returncode, errors) == (0, b"")
        assert f'heard: "{text(WORDS)}"'.encode() in output
        device = await house.events.first(DeviceEvent, device_id="web-cli")
        assert device.link == WEB
        heard = await house.result(device_id="web-cli")
        assert heard.correlation_id.startswith(f"web-{heard.session_id}-")
        await house.events.first(DeliveryEvent, correlation_id=heard.correlation_id)
        await house.idle()


SAY = """
async (pcm) => {
  const { Device } = await import("/static/device.js");
  const samples = new Int16Array(Uint8Array.from(atob(pcm), (c) => c.charCodeAt(0)).buffer);
  const told = {};
  return new Promise((done) => {
    const device = new Device("web-microphone", {
      onTranscript(transcript) { told.heard = transcript.text; },
      onReply(reply) { if (reply.final) done({ ...told, reply: reply.text, lost: device.lost }); },
    });
    device.open();
    const stream = device.start();
    for (let at = 0; at < samples.length; at += 128) device.audio(stream, samples.subarray(at, at + 128));
    device.stop(stream);
  });
}
"""


@pytest.mark.parametrize("said", [pytest.param(WORDS, marks=IN_CHROMIUM)])
async def test_speech_from_a_browser(tmp_path: Path, said: str) -> None:
    async with open_house(tmp_path) as house, chromium() as browser, clean_page(browser) as page:
        await page.goto(house.gateway.url)
        told = await page.evaluate(SAY, b64encode(pcm(said)).decode())
        heard = await house.result(device_id="web-microphone")
        reply = await house.events.first(ReplyEvent, correlation_id=heard.correlation_id, final=True)
        assert told == {"heard": text(said), "reply": reply.text, "lost": 0}
        await house.events.first(DeliveryEvent, correlation_id=heard.correlation_id)
        await house.idle()


async def test_text_is_answered_by_the_builtin_orchestrator(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        said = await house.gateway.pipeline.say(text(WORDS), LOCAL)
        reply = await house.events.first(ReplyEvent, correlation_id=said.correlation_id)
        assert (reply.final, reply.fallback, reply.error) == (True, False, None)
        assert reply.text
        await house.idle()
