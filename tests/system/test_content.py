"""The word in between in a whole gateway: over HTTP and WebSockets, in health and in the audit log."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession

from gateway.app import Gateway
from gateway.broker.base import RoutingKey
from gateway.config.configuration import GatewayConfig
from gateway.contract.agents import ANNOUNCEMENTS_TOPIC, AnnouncementMessage
from gateway.contract.events import ReplyEvent, TranscriptionEvent
from gateway.contract.messages import encode, new_id
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.pipeline.content.port import KEPT_BACK, PassingText
from tests.record import passes
from tests.system.house import House, open_house, settings

CARD = "my card is 4111 1111 1111 1111"
MASKED = "my card is [card number]"
OFF = {"engine": "off"}
RUN = """
import asyncio, sys
from gateway.app import Gateway
from gateway.config.configuration import GatewayConfig
import msgspec
async def main():
    async with Gateway(msgspec.convert({parts!r}, GatewayConfig)):
        print("imported:", *sorted(name for name in sys.modules if name.startswith("gateway.pipeline.content.")))
asyncio.run(main())
"""


def look(text: PassingText) -> str:
    if "break" in text.text:
        raise RuntimeError(text.text)
    return text.text


NO_FUNCTION = 3


def written(folder: Path) -> bytes:
    """Everything that a gateway has left there."""
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


def house(folder: Path, content: dict[str, Any], **parts: Any) -> Any:
    return open_house(folder, content=content, transcription=OFF, **parts)


async def say(client: ClientSession, one: House, text: str) -> str:
    async with client.post(f"{one.gateway.url}api/v1/say", json={"text": text}) as answer:
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["correlation_id"])


async def health(client: ClientSession, one: House) -> dict[str, Any]:
    async with client.get(f"{one.gateway.url}api/v1/health") as answer:
        told: dict[str, Any] = await answer.json()
        return told


async def audited(folder: Path, one: House) -> list[dict[str, Any]]:
    await one.gateway.audit.written()
    lines = (folder / "audit.log").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == "content filtered"]


async def test_what_is_typed_and_answered_is_masked_counted_and_audited(tmp_path: Path) -> None:
    content = {"personal_data": "mask"}
    async with house(tmp_path, content) as one, ClientSession() as client:
        correlation_id = await say(client, one, CARD)
        heard = await one.events.first(TranscriptionEvent, correlation_id=correlation_id)
        assert (heard.text, heard.flags) == (MASKED, ("personal_data",))
        assert (await one.result(correlation_id=correlation_id)).text == MASKED
        reply = await one.events.first(ReplyEvent, correlation_id=correlation_id)  # the demo's
        assert "4111" not in reply.text
        assert (await health(client, one))["content"] == {
            "flagged": 0, "changed": 1, "dropped": 0, "failed": 0,
        }  # fmt: skip
        async with client.get(f"{one.gateway.url}api/v1/utterances") as answer:
            (kept,) = (await answer.json())["utterances"]
        assert (kept["text"], kept["flags"], kept["reply"]["flags"]) == (MASKED, ["personal_data"], [])
        (line,) = await audited(tmp_path, one)
        assert line | {"time": ""} == {
            "time": "", "event": "content filtered", "text": "transcript", "outcome": "changed",
            "flags": "personal_data", "user_id": "home", "device_id": "web-local", "correlation_id": correlation_id,
        }  # fmt: skip
    assert b"4111" not in written(tmp_path)


async def test_what_is_kept_back_is_announced_to_nobody(tmp_path: Path) -> None:
    content = {"personal_data": "drop"}
    parts = {"devices": {"rooms": {"kitchen": "Kitchen"}}}
    async with house(tmp_path, content, **parts) as one, ClientSession() as client:
        url = f"{one.gateway.url}api/v1/devices/kitchen/announcements"
        async with client.post(url, json={"text": CARD}) as answer:
            assert answer.status == 422
            problem = await answer.json()
        assert problem["errors"] == [{"place": "text", "message": KEPT_BACK}]
        assert (await health(client, one))["content"]["dropped"] == 1


async def announce(one: House, text: str) -> None:
    """An agent does, over the broker."""
    message = AnnouncementMessage(device_id="kitchen", agent="clock", text=text, message_id=new_id("m"))
    key = RoutingKey("clock", "kitchen", "announcement")
    await one.gateway.broker.publish(ANNOUNCEMENTS_TOPIC, key, encode(message), message_id=message.message_id)


@pytest.mark.parametrize(("action", "told"), [("mask", [MASKED, "Dinner."]), ("drop", ["Dinner."])])
async def test_what_agents_announce_over_the_broker_is_looked_at_too(
    tmp_path: Path, action: str, told: list[str]
) -> None:
    parts = {"devices": {"rooms": {"kitchen": "Kitchen"}}}
    async with house(tmp_path, {"personal_data": action}, **parts) as one:
        await announce(one, CARD)
        await announce(one, "Dinner.")
        await one.events.first(ReplyEvent, text="Dinner.")
        assert [event.text for event in one.events.of(ReplyEvent)] == told
        assert len(one.gateway.pipeline.announcements) == len(told)


async def test_a_function_that_fails_shows_in_health_until_it_does_not(tmp_path: Path) -> None:
    content = {"hook": f"{__name__}:look", "hook_seconds": 5}
    async with house(tmp_path, content) as one, ClientSession() as client:
        assert (await health(client, one))["components"]["content"]["state"] == "healthy"
        correlation_id = await say(client, one, "break it")
        heard = await one.events.first(TranscriptionEvent, correlation_id=correlation_id)
        assert (heard.text, heard.error, heard.flags) == ("", KEPT_BACK, ("unchecked",))
        component = (await health(client, one))["components"]["content"]
        assert component["state"] == "degraded"
        assert component["reason"] == f"{__name__}:look failed: it raised RuntimeError"
        assert "content.hook" in component["remedy"]
        correlation_id = await say(client, one, "hello")
        await one.events.first(TranscriptionEvent, correlation_id=correlation_id, text="hello")
        await passes(lambda: one.gateway.health.report().components["content"].state == "healthy")


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        ("no_such_module_here:look", "there is no module no_such_module_here"),
        (f"{__name__}:nothing", "has no 'nothing'"),
        (f"{__name__}:NO_FUNCTION", "is a int, which cannot be called"),
    ],
)
async def test_a_function_that_is_not_there_keeps_the_gateway_from_starting(
    tmp_path: Path, hook: str, reason: str
) -> None:
    """Whoever wants a word in between does not want to be heard without it."""
    config = msgspec.convert(settings(tmp_path, content={"hook": hook}, transcription=OFF), GatewayConfig)
    with pytest.raises(BadOrchestrator, match=reason):
        async with Gateway(config):
            pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "imported"),
    [
        ({}, {"opening", "port"}),
        ({"personal_data": "flag"}, {"opening", "port", "filter", "personal_data", "hook"}),
    ],
)
def test_nothing_is_imported_until_it_is_configured(
    tmp_path: Path, content: dict[str, Any], imported: set[str]
) -> None:
    parts = settings(tmp_path, content=content, transcription=OFF, web={"enabled": False})
    code = RUN.format(parts=parts)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("imported: "))
    names = {name.rpartition(".")[2] for name in line.split()[1:]}
    assert imported <= names
    assert bool(content) or names == imported
