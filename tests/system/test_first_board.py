"""docs/first-board.md as it stands: the broker, the gateway and the board that it says, and nobody else."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from firmware_bridge.simulator.simulator import WireRefused
from firmware_bridge.simulator.wires import Mqtt
from gateway.config import strict_yaml
from tests.servers.mosquitto import Mosquitto, password_options
from tests.system.house import Board, open_house, pcm, text

PAGE = (Path(__file__).parents[2] / "docs" / "first-board.md").read_text(encoding="utf-8")
PASSWORD = "s3cret"


def block(name: str) -> str:
    """What the page says is to stand in a file."""
    found = re.search(rf"<!-- tested: {re.escape(name)} -->\n```\w*\n(.*?)```", PAGE, re.DOTALL)
    assert found, name
    return found[1]


def broker_of_the_page(folder: Path) -> Mosquitto:
    """On a free port, with the page's files in ``folder``."""
    for user in ("gateway", "kitchen", "study"):
        password_options(folder, user, PASSWORD)
    (folder / "earshot.access").write_text(block("earshot.access"))
    options = block("earshot.conf").replace("listener 1883\n", "")
    options = options.replace("/etc/mosquitto/earshot.passwords", str(folder / "passwords"))
    return Mosquitto(folder, options.replace("/etc/mosquitto/", f"{folder}/"))


@pytest.mark.slow
async def test_the_first_board_over_wifi_as_the_page_says(tmp_path: Path) -> None:
    broker = broker_of_the_page(tmp_path)
    broker.start()
    secret = tmp_path / "mqtt.password"
    secret.write_text(PASSWORD)
    config = strict_yaml.parse(block("config.yaml")).data
    mqtt = config["devices"]["mqtt"]
    mqtt |= {"url": f"{mqtt['url']}:{broker.port}", "password_file": str(secret)}

    def wire(user: str, device: str, password: str = PASSWORD) -> Mqtt:
        return Mqtt(broker.url.replace("//", f"//{user}:{password}@"), device)

    try:
        async with open_house(tmp_path, devices=config["devices"]):
            async with Board("kitchen", wire("kitchen", "kitchen")) as board:
                await board.connected()
                said = await board.say(pcm("u05"))
            assert said.transcript == text("u05")
            async with Board("kitchen", wire("kitchen", "kitchen", "wrong")) as stranger:
                with pytest.raises(WireRefused, match="Not authorized"):
                    await stranger.connected()
            async with Board("kitchen", wire("study", "kitchen")) as thief:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(thief.connected(), 0.5)
    finally:
        broker.stop()
