"""The pictures in docs/home-assistant.md, made anew: ``python -m tests.real.picture``, after ``make real``.

A real Home Assistant's own pages: what its voice assistant made of a command that it heard with the gateway, and a
board of the gateway's as a device, once it has said something.
"""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from pathlib import Path

from playwright.async_api import Page

from docs.plan.house import ROOT
from tests.gateway.web.chromium import chromium
from tests.real.home_assistant import HomeAssistant, Owner
from tests.servers.mosquitto import Mosquitto
from tests.servers.process import free_port
from tests.system.house import RECORDINGS, open_house, pcm, text

DOCS = ROOT / "docs"
SIZE = {"width": 1180, "height": 1040}
ASSISTANT = {"x": 404, "y": 112, "width": 632, "height": 640, "scale": 1}
DEVICE = {"x": 256, "y": 0, "width": 632, "height": SIZE["height"], "scale": 1}
"""What of a page is in the picture: without the sidebar, which is always the same."""


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="picture-") as folder:
        server = HomeAssistant(Path(folder), frontend=None).start()
        broker = Mosquitto(Path(folder)).start()
        try:
            await _house(server, broker, Path(folder))
        finally:
            server.stop()
            broker.stop()


async def _house(server: HomeAssistant, broker: Mosquitto, folder: Path) -> None:
    port = free_port()
    wyoming = {"listen": [f"tcp://127.0.0.1:{port}"], "zeroconf": False}
    settings = {"adapters": {"home_assistant": {"url": broker.url}, "wyoming": wyoming}}
    named = {"devices": {"known": {"esp32-kitchen": {"name": "Kitchen", "room": "Kitchen"}}}}
    async with (
        Owner.of(server) as owner,
        open_house(folder, **settings, **named) as house,
        house.board("esp32-kitchen") as board,
        chromium() as browser,
    ):
        await owner.settle()
        page = await browser.new_page(viewport=SIZE)
        await _logged_in(page, server)
        await owner.expose("input_boolean.fan")
        await owner.add("wyoming", host="127.0.0.1", port=port)
        pipeline = await owner.pipeline("stt.earshot", name="Earshot's ears")
        await owner.speak(pipeline, pcm("u28"))  # the first time it reads its sentences
        await owner.speak(pipeline, pcm("u28"))
        await page.goto(f"{server.url}/config/voice-assistants/debug/{pipeline}")
        await page.get_by_text("Natural Language Processing").first.wait_for()
        await _taken(page, "home-assistant.webp", ASSISTANT)
        await owner.add("mqtt", broker="127.0.0.1", port=broker.port)
        await owner.sees("sensor.kitchen_state", "idle")
        await board.say(RECORDINGS["u28"].path)
        await owner.sees("sensor.kitchen_last_transcript", text("u28"))
        [device] = [one for one in await owner.ask("config/device_registry/list") if one["name"] == "Kitchen"]
        await page.goto(f"{server.url}/config/devices/device/{device['id']}")
        await page.get_by_text("Time to answer").first.wait_for()
        await _taken(page, "home-assistant-device.webp", DEVICE)


async def _logged_in(page: Page, server: HomeAssistant) -> None:
    tokens = {
        "hassUrl": server.url,
        "clientId": f"{server.url}/",
        "access_token": server.token,
        "token_type": "Bearer",
        "expires_in": 1800,
        "expires": 9_999_999_999_000,
        "refresh_token": "none",
    }
    await page.add_init_script(f"localStorage.setItem('hassTokens', {json.dumps(json.dumps(tokens))})")


async def _taken(page: Page, name: str, clip: dict[str, int]) -> None:
    await page.wait_for_timeout(2_000)  # its pages come in piece by piece
    devtools = await page.context.new_cdp_session(page)
    shot = await devtools.send("Page.captureScreenshot", {"format": "webp", "quality": 75, "clip": clip})
    picture = DOCS / name
    print(f"{picture}: {picture.write_bytes(base64.b64decode(shot['data']))} bytes")


if __name__ == "__main__":
    asyncio.run(main())
