"""Earshot beside a real Home Assistant: added by its own forms, asked and commanded as its pages and users do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from firmware_bridge.simulator.user import ReplyShown
from tests.real.home_assistant import HomeAssistant, Owner
from tests.real.things import HOME_ASSISTANT
from tests.system.house import RECORDINGS, open_house, text

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("home_assistant")]

AUTOMATION = """
- id: fan_by_words
  triggers:
    - trigger: state
      entity_id: event.kitchen_heard
  conditions: "{{ trigger.to_state.attributes.event_type == 'heard' and 'fan' in trigger.to_state.attributes.text }}"
  actions:
    - action: input_boolean.turn_on
      target: {entity_id: input_boolean.fan}
"""


@pytest.fixture(scope="module")
def home_assistant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeAssistant]:
    server = HomeAssistant(tmp_path_factory.mktemp("home"), automation=yaml.safe_load(AUTOMATION)).start()
    yield server
    server.kill()


@pytest.mark.real(HOME_ASSISTANT)
async def test_devices_come_by_mqtt_discovery_and_announce_what_they_are_told(
    tmp_path: Path, mosquitto: Any, home_assistant: HomeAssistant
) -> None:
    settings = {"adapters": {"home_assistant": {"url": mosquitto.url}}}
    named = {"devices": {"known": {"esp-32": {"name": "Kitchen", "room": "Kitchen"}}}}
    async with (
        Owner.of(home_assistant) as owner,
        open_house(tmp_path, **settings, **named) as house,
        house.board("esp-32") as board,
    ):
        entry = await owner.add("mqtt", broker="127.0.0.1", port=mosquitto.port)
        await owner.sees("sensor.kitchen_state", "idle")
        said = text("u28")
        await board.say(RECORDINGS["u28"].path)
        heard = await owner.sees("sensor.kitchen_last_transcript", said)
        assert heard["attributes"]["language"] == "en"
        await owner.sees("input_boolean.fan", "on")  # by the automation above
        assert (await owner.states())["sensor.kitchen_time_to_answer"]["attributes"][
            "unit_of_measurement"
        ] == "ms"
        await owner.post(
            "/api/services/notify/send_message", entity_id="notify.kitchen_announce", message="Tea is ready"
        )
        await board.told.until(lambda: board.told.of(ReplyShown, text="Tea is ready"))
        await owner.sees("sensor.earshot_health", "healthy")
        await owner.sees("sensor.earshot_devices", "1")
        await owner.post(f"/api/config/config_entries/entry/{entry['entry_id']}/reload")
        await owner.sees("sensor.kitchen_last_transcript", said)  # which the broker did not keep
        board.unplug()
        await owner.sees("sensor.kitchen_state", "unavailable")
        assert house.gateway.pipeline.forget("esp-32")
        await owner.loses("sensor.kitchen_state")
    assert "mqtt" not in "".join(home_assistant.complaints())
