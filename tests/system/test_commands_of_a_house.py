"""An agent of kind commands in a whole gateway: a board speaks, and a lamp on the devices' own broker goes on."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.carriers.mqtt_address import BrokerAddress
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession
from firmware_bridge.carriers.mqtt_publication import Publication
from gateway.contract.events import ReplyEvent
from tests.record import passes
from tests.servers.mosquitto import Mosquitto
from tests.system.house import RECORDINGS, text

pytestmark = pytest.mark.slow

SPEECH = RECORDINGS["u05"].path
COMMANDS = """
rooms:
  Hall: {{thing: pump}}
lists: {{thing: [motor, pump]}}
commands:
  start:
    say: "{said}"
    do: [{{mqtt: {{topic: "home/{{thing}}/set", payload: {{on: true, room: "{{room}}"}}}}}}]
    reply: "The {{thing}} runs."
    rooms: [Hall]
  ask:
    say: "{said}"
    confirm: "Start it?"
    do: [{{mqtt: {{topic: "home/asked"}}}}]
"""


async def test_a_board_speaks_and_a_message_is_published_on_the_devices_broker(
    house: Any, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    file = tmp_path / "commands.yaml"
    file.write_text(COMMANDS.format(said=text("u05").replace("motor", "(motor|{thing})")))
    told: list[Publication] = []
    listener = await MqttConnection.open(
        BrokerAddress.parse(mosquitto.url), MqttSession(client_id="lamp"), told.append
    )
    await listener.subscribe("home/#")
    agents = {"rules": {"kind": "commands", "commands": {"file": str(file)}}}
    rooms = {"rooms": {"hall": "Hall"}}
    async with (
        house(mqtt=mosquitto.url, orchestrator={"agents": agents}, devices=rooms) as one,
        AsyncExitStack() as stack,
    ):
        hall = await stack.enter_async_context(one.board("hall", "mqtt"))
        said = await hall.say(SPEECH)
        assert (said.reply, said.error) == ("The pump runs.", False)
        await passes(lambda: told)
        assert (told[0].topic, told[0].payload) == ("home/pump/set", b'{"on":true,"room":"Hall"}')
        whole = await one.events.first(ReplyEvent, final=True)
        assert whole.agents == ("rules",)

        cellar = await stack.enter_async_context(one.board("cellar", "mqtt"))
        assert (await cellar.say(SPEECH)).reply == "Start it?"
        await one.idle()
        assert len(told) == 1
        audit = (tmp_path / "audit.log").read_text()
        assert '"outcome":"to be confirmed"' in audit
        assert '"tool":"ask"' in audit
    await listener.close()
