"""The doctor imports the agents that run inside, and says who of the others is there."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.broker.opening import open_broker
from gateway.commands.doctor.agents import START
from gateway.commands.doctor.brokers import brokers
from gateway.commands.doctor.finding import Finding
from gateway.config.configuration import GatewayConfig
from gateway.contract.messages import TranscriptionMessage
from gateway.orchestrators.sdk import Orchestrator
from gateway.settings.broker import BrokerSettings
from tests.servers.process import free_port
from tests.servers.redis import Redis
from tests.system.house import running

MODULE = """
from gateway.orchestrator import Heard, Orchestrator

house = Orchestrator("house")
mute = Orchestrator("mute")


@house.on_transcript
async def answer(heard: Heard) -> str:
    return heard.text
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "doctors_house.py").write_text(MODULE)
    yield tmp_path
    sys.modules.pop("doctors_house", None)


def found(
    url: str = "memory://", devices: dict[str, Any] | None = None, **orchestrator: Any
) -> list[Finding]:
    settings = {
        "broker": {"url": url, "connect_seconds": 2.0},
        "orchestrator": orchestrator,
        "devices": devices or {},
    }
    findings = list(brokers(msgspec.convert(settings, GatewayConfig)))
    assert findings[0].what == "broker"
    return findings[1:]


def test_those_inside_are_imported(folder: Path) -> None:
    agents = {
        "a": {"app": "doctors_house:house"},
        "b": {"app": "no_such_module_x:house"},
        "c": {"app": "builtin"},
        "d": {},
        "mute": {"app": "doctors_house:mute"},
    }
    a, b, c, d, mute = found(agents=agents)
    assert (mute.state, "nothing answers" in mute.detail) == ("fail", True)
    assert a == Finding("ok", "agent a", "doctors_house:house, inside the gateway")
    assert (b.state, b.what, "there is no module no_such_module_x" in b.detail) == ("fail", "agent b", True)
    assert b.remedy == "correct orchestrator.agents.b.app, or what it names"
    assert c.state == "ok"
    assert (d.state, d.detail) == ("fail", "with memory:// nobody can come who could be it")


@pytest.mark.slow
def test_those_in_a_process_are_loaded_there(folder: Path) -> None:
    agents = {
        "a": {"app": "doctors_house:house", "process": True},
        "b": {"app": "doctors_house:nobody", "process": True},
    }
    a, b = found(agents=agents)
    assert a == Finding("ok", "agent a", "doctors_house:house, in a process of its own")
    assert (b.state, b.remedy) == ("fail", "correct orchestrator.agents.b")
    assert b.detail == "its process says: module doctors_house has no 'nobody'"
    assert "doctors_house" not in sys.modules


def test_rooms_without_devices_and_agents_without_a_team_are_told_of() -> None:
    agents = {"a": {"app": "builtin", "rooms": ["Hall", "Attic"]}, "b": {"app": "builtin"}}
    told = found(agents=agents, teams={"t": {"agents": ["a"]}}, devices={"rooms": {"kitchen": "Hall"}})
    assert told[2:] == [
        Finding(
            "warn", "agent a", "no device is in Attic", "see devices.rooms, and orchestrator.agents.a.rooms"
        ),
        Finding(
            "warn", "agents", "in no team, so that only other agents ask them: b", "see orchestrator.teams"
        ),
    ]


def test_many_that_are_well_are_counted() -> None:
    agents = {f"a{number}": {"app": "builtin"} for number in range(100)}
    agents["b"] = {"app": "no_such_module_x:house"}
    well, bad = found(agents=agents)
    assert well == Finding("ok", "agents", "100 of 101 are well")
    assert bad.what == "agent b"


def test_where_the_broker_is_away_nobody_knows() -> None:
    (finding,) = found(f"redis://127.0.0.1:{free_port()}", agents={"a": {}})
    assert (finding.state, finding.detail) == ("warn", "the broker could not be asked whether it is there")


@pytest.mark.slow
def test_who_is_on_the_broker_is_there_and_who_is_not_is_not(redis: Redis) -> None:
    async def answer(heard: TranscriptionMessage) -> str:
        return heard.text

    async def look() -> list[Finding]:
        broker = open_broker(redis.url, BrokerSettings(url=redis.url))
        a, light = Orchestrator("a"), Orchestrator("light")
        for one in (a, light):
            one.on_transcript(answer)
        with running(a.run(broker)), running(a.run(broker)), running(light.run(broker)):
            told = await asyncio.to_thread(found, redis.url, agents={"a": {}, "lights": {}})
        await broker.close()
        return told

    a, lights, strangers = asyncio.run(look())
    assert a == Finding("ok", "agent a", "it is there, with 2 copies")
    assert lights == Finding("warn", "agent lights", "it is not there", START)
    assert (strangers.state, strangers.detail) == (
        "warn",
        "on the broker there is light, whom no setting names",
    )


def test_commands_are_read_and_their_broker_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    publishes = (
        "commands:\n  a: {say: hello, do: [{mqtt: {topic: t}}]}\n  b: {say: {de: hallo}, reply: Ja.}\n"
    )
    file.write_text(publishes)
    url = f"mqtt://127.0.0.1:{free_port()}"
    agents = {
        "demo": {"kind": "commands", "commands": {"file": "demo"}},
        "house": {"kind": "commands", "commands": {"file": str(file)}},
        "wrong": {"kind": "commands", "commands": {"file": str(tmp_path / "none")}},
    }
    demo, house, wrong = found(agents=agents, devices={"mqtt": {"url": url}})
    assert demo.state == "ok"
    assert demo.detail.endswith(" commands in de, en")
    assert (house.state, house.detail) == ("warn", f"commands, inside the gateway: {url}: Connection refused")
    assert house.remedy == "start the MQTT broker, or correct orchestrator.agents.house.commands.mqtt.url"
    assert (wrong.state, wrong.remedy) == ("fail", "correct orchestrator.agents.wrong")
    assert wrong.detail.startswith(f"{tmp_path}/none: No such file or directory")
    (unread,) = found(agents={"house": agents["house"]})
    assert "there is no broker to publish to" in unread.detail
