"""docs/events.schema.json: current, served, and true of everything that a whole gateway really sends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from jsonschema import Draft202012Validator, ValidationError

from gateway.contract.events import EVENT_KINDS, Say, Subscribe
from gateway.contract.events_schema import PAGE, events_schema
from gateway.contract.messages import encode
from gateway.observing.health import HealthState
from tests.gateway.events import delivery, device, partial, reply, status, transcription
from tests.gateway.web.house import House
from tests.gateway.web.site import open_site
from tests.gateway.works import loud

VALIDATOR = Draft202012Validator(json.loads(PAGE.read_text()))
EXAMPLES = [
    json.loads(encode(one))
    for one in (
        device(),
        status(),
        partial(),
        transcription(),
        transcription(error="no"),
        reply(),
        reply(final=False),
        delivery(),
    )
]


def test_it_is_current() -> None:
    assert json.loads(PAGE.read_text()) == events_schema(), "run python -m gateway.events_schema"


def test_it_is_a_schema_that_names_every_kind() -> None:
    Draft202012Validator.check_schema(events_schema())
    structs = [one["properties"] for one in events_schema()["$defs"].values() if "properties" in one]
    tags = {fields["type"]["enum"][0] for fields in structs if "type" in fields}
    assert tags >= {*EVENT_KINDS, "snapshot", "said", "error", "subscribe", "say", "authenticate"}


async def test_it_is_served(house: House, client: ClientSession) -> None:
    async with client.get(house.url + "api/v1/events.schema.json") as response:
        assert response.status == 200
        assert await response.json() == events_schema()


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event["type"])
def test_it_holds_for_an_event_and_not_for_half_of_one(event: dict[str, Any]) -> None:
    VALIDATOR.validate(event)
    VALIDATOR.validate({**event, "news": "of a later gateway"})
    for wrong in ({**event, "type": "rumour"}, {**event, "seq": "one"}, {**event, "device_id": 7}):
        with pytest.raises(ValidationError):
            VALIDATOR.validate(wrong)
    with pytest.raises(ValidationError):
        VALIDATOR.validate({name: value for name, value in event.items() if name != "device_id"})


@pytest.mark.parametrize(
    ("name", "message"), [("Subscribe", Subscribe(kinds=("reply",))), ("Say", Say(text="hello", ref="1"))]
)
def test_what_a_listener_says(name: str, message: Subscribe | Say) -> None:
    schema = {**events_schema(), "$ref": f"#/$defs/{name}"}
    del schema["anyOf"]
    validator = Draft202012Validator(schema)
    said = json.loads(encode(message))
    validator.validate(said)
    with pytest.raises(ValidationError):
        validator.validate({**said, "surprise": 1})


async def test_every_event_of_a_real_run(tmp_path: Path, client: ClientSession) -> None:
    """Two turns of speech and one of text, an error, a device that goes: all of it on a socket and on a stream."""
    parts = {"transcription": {"partials": {"every_ms": 200}}}
    async with open_site(journal=tmp_path / "journal.db", **parts) as site:
        async with client.ws_connect(site.url + "ws") as ws:
            await ws.send_str('{"type":"subscribe","levels":true}')
            events = [json.loads(await ws.receive_str())]
            site.parts.health.set("broker", HealthState.DEGRADED, "slow", "have patience")
            site.parts.engine.poison.add(24_000)
            async with site.board("hall", speed=3) as board:
                for seconds in (1, 1.5):
                    await board.say(loud(seconds), patience=0.1)
            await ws.send_str('{"type":"say","text":"hello","ref":"1"}')
            await ws.send_str('{"type":"say","text":""}')
            heard = await site.parts.result(text="hello")
            await site.parts.reply(heard, "hel", final=False)
            await site.parts.reply(heard, "hello")
            while (events[-1].get("status"), events[-1].get("session_id")) != ("idle", heard.session_id):
                events.append(json.loads(await ws.receive_str()))
        async with client.ws_connect(site.url + "ws") as ws:
            await ws.send_str('{"type":"subscribe"}')
            events.append(json.loads(await ws.receive_str()))  # everything in one snapshot
    for event in events:
        VALIDATOR.validate(event)
    assert all(events[-1][part] for part in ("devices", "conversation", "health"))
    kinds = {event["type"] for event in events}
    assert kinds >= {
        "snapshot",
        "device",
        "status",
        "partial",
        "transcription",
        "reply",
        "said",
        "error",
        "health",
    }
