"""Earshot beside a real Home Assistant: added by its own forms, asked and commanded as its pages and users do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from docs.plan.house import ROOT
from firmware_bridge.simulator.user import ReplyShown
from gateway.agents.ready_made import probed, ready_made
from gateway.names.home_assistant import NamesForbidden
from gateway.names.home_assistant import ask as ask_for_names
from gateway.names.tiers import in_order
from gateway.orchestrator import Rehearsal
from gateway.settings.agents.home_assistant import AssistSettings
from gateway.settings.names import AssistNamesSettings
from gateway.settings.orchestrator import AgentSettings
from tests.real.home_assistant import HomeAssistant, Owner
from tests.real.things import HOME_ASSISTANT
from tests.system.house import RECORDINGS, open_house, pcm, silence, text

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("home_assistant")]

DOCUMENT = (ROOT / "docs" / "home-assistant.md").read_text(encoding="utf-8")
AUTOMATION = DOCUMENT.partition("<!-- an automation -->\n```yaml\n")[2].partition("```")[0]


POET = """
from homeassistant.components.conversation import ConversationEntity, ConversationResult
from homeassistant.components.conversation.const import DATA_COMPONENT
from homeassistant.helpers import intent


class Poet(ConversationEntity):
    _attr_name = "Poet"
    supported_languages = "*"

    async def _async_handle_message(self, user_input, chat_log):
        async def pieces():
            yield {"role": "assistant"}
            for word in ("Roses ", "are ", "red."):
                yield {"content": word}

        async for _ in chat_log.async_add_delta_content_stream(self.entity_id, pieces()):
            pass
        response = intent.IntentResponse(language=user_input.language)
        response.async_set_speech("Roses are red.")
        return ConversationResult(response, chat_log.conversation_id, continue_conversation=True)


async def async_setup(hass, config):
    await hass.data[DATA_COMPONENT].async_add_entities([Poet()])
    return True
"""
"""An integration of Home Assistant's whose agent speaks word by word, as those of language models do."""
ROOMS = ("pantry", "attic")


def light(room: str) -> dict[str, Any]:
    """One that is as a switch is."""
    switch = {"target": {"entity_id": f"input_boolean.{room}"}}
    return {
        "unique_id": room,
        "value_template": f"{{{{ is_state('input_boolean.{room}', 'on') }}}}",
        "turn_on": {"action": "input_boolean.turn_on", **switch},
        "turn_off": {"action": "input_boolean.turn_off", **switch},
    }


@pytest.fixture(scope="module")
def home_assistant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeAssistant]:
    switches = {"fan": {"name": "Living room fan"}, **{room: {} for room in ROOMS}}
    lights = [{"platform": "template", "lights": {room: light(room) for room in ROOMS}}]
    server = HomeAssistant(
        tmp_path_factory.mktemp("home"),
        poet={},
        automation=yaml.safe_load(AUTOMATION),
        input_boolean=switches,
        light=lights,
    )
    server.integrate("poet", POET)
    server.start()
    yield server
    server.kill()


@pytest.mark.real(HOME_ASSISTANT)
async def test_devices_come_by_mqtt_discovery_and_announce_what_they_are_told(
    tmp_path: Path, mosquitto: Any, owner: Owner, home_assistant: HomeAssistant
) -> None:
    settings = {"adapters": {"home_assistant": {"url": mosquitto.url}}}
    named = {"devices": {"known": {"esp-32": {"name": "Kitchen", "room": "Kitchen"}}}}
    async with (
        open_house(tmp_path, **settings, **named) as house,
        house.board("esp-32") as board,
        at_broker(owner, mosquitto.port) as entry,
    ):
        await owner.sees("sensor.kitchen_state", "idle")
        said = text("u28")
        await board.say(RECORDINGS["u28"].path)
        heard = await owner.sees("sensor.kitchen_last_transcript", said)
        assert heard["attributes"]["language"] == "en"
        await owner.sees("input_boolean.fan", "on")  # by the automation of the document
        await board.told.until(lambda: board.told.of(ReplyShown, text="The fan is on"))
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


@pytest.fixture
async def owner(home_assistant: HomeAssistant) -> AsyncIterator[Owner]:
    async with Owner.of(home_assistant) as one:
        yield one


@pytest.mark.real(HOME_ASSISTANT)
async def test_what_it_exposes_is_told_to_the_recognizer_by_rooms(
    tmp_path: Path, owner: Owner, home_assistant: HomeAssistant
) -> None:
    study = await owner.ask("config/area_registry/create", name="Study", aliases=["den"])
    await owner.ask("config/floor_registry/create", name="Loft", aliases=[])
    made = await owner.ask("input_boolean/create", name="Tolomeo lamp")
    entity = f"input_boolean.{made['id']}"
    await owner.sees(entity, "off")
    await owner.ask(
        "config/entity_registry/update", entity_id=entity, area_id=study["area_id"], aliases=["Artemide"]
    )
    await owner.expose(entity, "input_boolean.fan")
    (tmp_path / "token").write_text(home_assistant.token)
    asked = msgspec.convert(
        {"url": home_assistant.url, "token_file": str(tmp_path / "token")}, AssistNamesSettings
    )
    told = in_order((await ask_for_names(asked)).names(), "study")
    assert set(told[:4]) == {"Tolomeo lamp", "Artemide", "Study", "den"}
    assert {"Loft", "Living room fan"} <= set(told[4:])
    (tmp_path / "token").write_text("another")
    with pytest.raises(NamesForbidden, match="refuses the token"):
        await ask_for_names(asked)


def wyoming(port: int) -> dict[str, Any]:
    return {"adapters": {"wyoming": {"listen": [f"tcp://127.0.0.1:{port}"], "zeroconf": False}}}


@pytest.mark.real(HOME_ASSISTANT)
async def test_what_is_said_into_a_pipeline_is_carried_out(
    tmp_path: Path, free_tcp_port: int, owner: Owner
) -> None:
    async with open_house(tmp_path, **wyoming(free_tcp_port)) as house, added(owner, free_tcp_port):
        await owner.expose("input_boolean.fan")
        await owner.post("/api/services/input_boolean/turn_off", entity_id="input_boolean.fan")
        pipeline = await owner.pipeline("stt.earshot")
        spoken = await owner.speak(pipeline, pcm("u28"))
        assert (spoken.text, spoken.error) == (text("u28"), "")
        assert spoken.answer.startswith("Turned on")
        await owner.sees("input_boolean.fan", "on")
        nothing = await owner.speak(pipeline, silence(1.0))
        assert (nothing.text, nothing.answer) == ("", "")
        hands_free = await owner.speak(pipeline, pcm("u28"), trailing=3.0)  # who ends it is Home Assistant
        assert hands_free.answer.startswith("Turned on")
        assert house.gateway.health.report().components["wyoming"].state == "healthy"


@pytest.mark.real(HOME_ASSISTANT)
async def test_it_asks_whoever_answers_here_and_carries_out_what_is_handed_back(
    tmp_path: Path, free_tcp_port: int, owner: Owner, home_assistant: HomeAssistant
) -> None:
    before = len(home_assistant.complaints())
    brain: dict[str, Any] = {"orchestrator": {"app": "tests.real.brain:brain"}}
    brain |= wyoming(free_tcp_port)
    brain["adapters"]["wyoming"]["conversation"] = True
    async with open_house(tmp_path, **brain) as house, added(owner, free_tcp_port):
        await owner.expose("input_boolean.fan")
        await owner.post("/api/services/input_boolean/turn_off", entity_id="input_boolean.fan")
        told = await asked(owner, "good morning")
        assert told["response"]["speech"]["plain"]["speech"] == "You said: good morning."
        puzzled = (await asked(owner, "what is that"))["response"]
        assert (puzzled["response_type"], puzzled["speech"]["plain"]["speech"]) == (
            "error",
            "I do not know that.",
        )
        done = (await asked(owner, "start the fan", told["conversation_id"]))["response"]
        assert (done["response_type"], done["speech"]["plain"]["speech"]) == ("action_done", "The fan is on.")
        await owner.sees("input_boolean.fan", "on")
        spoken = await owner.speak(await owner.pipeline("stt.earshot", "conversation.earshot"), pcm("u00"))
        assert (spoken.text, spoken.answer) == (text("u00"), f"You said: {text('u00')}.")
        assert {one.device_id[:4] for one in house.results.items} == {"web-"}
    assert "conversation" not in "".join(home_assistant.complaints()[before:])


async def asked(owner: Owner, words: str, conversation: str | None = None) -> dict[str, Any]:
    """Its conversation API, with our agent."""
    fields = {"text": words, "language": "en", "agent_id": "conversation.earshot"}
    told = await owner.post(
        "/api/conversation/process", **fields, **({"conversation_id": conversation} if conversation else {})
    )
    return dict(told)


@asynccontextmanager
async def at_broker(owner: Owner, port: int) -> AsyncIterator[dict[str, Any]]:
    """It is at that broker, of which it takes one."""
    entry = await owner.add("mqtt", broker="127.0.0.1", port=port)
    yield entry
    await owner.delete(f"/api/config/config_entries/entry/{entry['entry_id']}")


@asynccontextmanager
async def added(owner: Owner, port: int) -> AsyncIterator[None]:
    """The gateway, as an integration; taken away again, so that the next has its names."""
    entry = await owner.add("wyoming", host="127.0.0.1", port=port)
    yield
    await owner.delete(f"/api/config/config_entries/entry/{entry['entry_id']}")


@pytest.mark.real(HOME_ASSISTANT)
async def test_it_answers_what_a_board_has_heard(
    tmp_path: Path, owner: Owner, home_assistant: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_AGENT_HOME_TOKEN", home_assistant.token)
    agents = {
        "home": {"kind": "home-assistant", "url": home_assistant.url},
        "other": {"app": "tests.real.brain:brain"},
    }
    teams = {"all": {"agents": ["home", "other"], "policy": "in_turn"}}
    async with (
        open_house(tmp_path, orchestrator={"agents": agents, "teams": teams}) as house,
        house.board("esp-32") as board,
    ):
        await owner.expose("input_boolean.fan")
        await owner.post("/api/services/input_boolean/turn_off", entity_id="input_boolean.fan")
        await board.say(RECORDINGS["u28"].path)
        await board.told.until(lambda: board.told.of(ReplyShown, text="Turned on the switch"))
        await owner.sees("input_boolean.fan", "on")
        await board.say(RECORDINGS["u00"].path)  # which it does not understand: the next is asked
        await board.told.until(lambda: board.told.of(ReplyShown, text=f"You said: {text('u00')}."))


@pytest.mark.real(HOME_ASSISTANT)
async def test_what_it_says_in_german_and_where_it_does_not_understand(
    owner: Owner, home_assistant: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_AGENT_HOME_TOKEN", home_assistant.token)
    await owner.expose("input_boolean.fan")
    async with Rehearsal(
        ready_made("home", AgentSettings(kind="home-assistant", url=home_assistant.url))
    ) as stage:
        done = await stage.say("Schalte den Living room fan ein", language="de")
        assert (done.text, done.end.understood) == ("Living room fan eingeschaltet", True)
        target = {"name": "Living room fan", "type": "entity", "id": "input_boolean.fan"}
        assert done.end.data is not None
        assert done.end.data["home_assistant"]["success"] == [target]
        puzzled = await stage.say("Guten Morgen, liebe Sorgen", language="de")
        assert (puzzled.text, puzzled.end.understood) == (
            "Entschuldigung, das habe ich nicht verstanden",
            False,
        )
        look = await probed("home", AgentSettings(kind="home-assistant", url=home_assistant.url))
        assert look == ("Home Assistant 2025.4.4 lets us in; its default agent answers", "")
        nothing = await stage.say("turn on the moon")
        assert (nothing.text, nothing.end.understood) == (
            "Sorry, I am not aware of any device called moon",
            False,
        )


@pytest.mark.real(HOME_ASSISTANT)
async def test_the_light_is_that_of_the_room_in_which_it_was_said(
    tmp_path: Path,
    mosquitto: Any,
    owner: Owner,
    home_assistant: HomeAssistant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EARSHOT_AGENT_HOME_TOKEN", home_assistant.token)
    known = {"esp-k": {"name": "Left", "room": "Pantry"}, "esp-h": {"name": "Right", "room": "Attic"}}
    settings = {"adapters": {"home_assistant": {"url": mosquitto.url}}, "devices": {"known": known}}
    async with (
        open_house(tmp_path, **settings) as house,
        house.board("esp-k"),
        house.board("esp-h"),
        at_broker(owner, mosquitto.port),
    ):
        await owner.sees("sensor.left_state", "idle")
        await owner.sees("sensor.right_state", "idle")
        lights = [f"light.{room}" for room in ("pantry", "attic")]
        for light in lights:
            await owner.sees(light, "off")
            area = light.removeprefix("light.")
            await owner.ask("config/entity_registry/update", entity_id=light, area_id=area)
        await owner.expose(*lights)
        async with Rehearsal(
            ready_made(
                "home",
                AgentSettings(
                    kind="home-assistant",
                    url=home_assistant.url,
                    home_assistant=AssistSettings(assistant="preferred"),
                ),
            )
        ) as stage:
            for device, on in (("esp-h", "light.attic"), ("esp-k", "light.pantry")):
                said = await stage.say("turn on the lights", device_id=device)
                assert (said.text, said.end.error) == ("Turned on the lights", None)
                await owner.sees(on, "on")
            await owner.post("/api/services/light/turn_off", entity_id="light.attic")
            await stage.say("turn on the lights", device_id="esp-k")
            assert await owner.state("light.attic") == "off"


@pytest.mark.real(HOME_ASSISTANT)
async def test_who_speaks_word_by_word_there_does_so_here(
    owner: Owner, home_assistant: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_AGENT_HOME_TOKEN", home_assistant.token)
    await owner.pipeline("stt.none", "conversation.poet", name="Poet")
    poet = AgentSettings(
        kind="home-assistant",
        url=home_assistant.url,
        home_assistant=AssistSettings(assistant="poet"),
    )
    async with Rehearsal(ready_made("home", poet)) as stage:
        said = await stage.say("a poem, please")
        assert (said.pieces, said.text) == (["Roses ", "are ", "red."], "Roses are red.")
        assert said.end.data is not None
        assert said.end.data["home_assistant"]["continue_conversation"] is True
    assert "poet" not in "".join(
        line for line in home_assistant.complaints() if "custom integration" not in line
    )
