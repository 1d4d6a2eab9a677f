"""Who answers with a real gateway: named agents inside it and beside it, and what its health says of each."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.answering import agents_health
from gateway.answering.crew import Crew
from gateway.app import Gateway
from gateway.broker.base import RoutingKey
from gateway.broker.opening import MEMORY, open_broker
from gateway.config.configuration import GatewayConfig
from gateway.contract.agents import PRESENCE_TOPIC, REQUESTS_TOPIC, AgentRequest
from gateway.contract.messages import REPLIES_TOPIC, AudioFacts, TranscriptionMessage, decode_reply, encode
from gateway.observing.health import ComponentHealth, HealthState
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator
from gateway.pipeline.agents.roster import AgentRoster
from gateway.settings.broker import BrokerSettings
from gateway.settings.orchestrator import OrchestratorSettings
from tests.record import passes
from tests.servers.mosquitto import Mosquitto
from tests.servers.nats import Nats
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis
from tests.system.house import running

HOUSE = """
from gateway.orchestrator import Orchestrator
house = Orchestrator("house", version="1.4")

@house.on_transcript
async def answer(heard):
    return f"You said {heard.text}"

mute = Orchestrator("mute")

mortal = Orchestrator("mortal")

@mortal.on_transcript
async def die(heard):
    import os
    os._exit(9)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents_health, "LOOK_SECONDS", 0.05)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a module of the user's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crew_of_mine.py").write_text(HOUSE)
    yield tmp_path
    sys.modules.pop("crew_of_mine", None)


@asynccontextmanager
async def gateway(
    folder: Path, broker: dict[str, Any] | None = None, **orchestrator: Any
) -> AsyncIterator[Gateway]:
    config = msgspec.convert(
        {
            "devices": {"serial": {"ports": []}, "mqtt": {"url": ""}},
            "transcription": {"engine": "off"},
            "broker": broker or {},
            "orchestrator": orchestrator,
            "journal": {"path": f"{folder}/journal.db"},
            "web": {"enabled": False},
        },
        GatewayConfig,
    )
    async with Gateway(config) as one:
        yield one


def of(one: Gateway, agent: str) -> ComponentHealth | None:
    return one.health.report().components.get(f"agent {agent}")


def roster(one: Gateway) -> AgentRoster:
    assert one.pipeline.agents is not None
    return one.pipeline.agents


async def test_agents_with_an_app_run_inside_under_their_own_names(folder: Path) -> None:
    agents = {"lights": {"app": "crew_of_mine:house"}, "weather": {"app": "crew_of_mine:house"}}
    async with gateway(folder, agents=agents, app="nobody:looks_at_this") as one:
        for name in agents:
            await passes(lambda name=name: of(one, name) is not None)
            assert of(one, name) == ComponentHealth(HealthState.HEALTHY, detail="1.4, inside the gateway")
        assert "orchestrator" not in one.health.report().components
        async with one.broker.subscribe(REPLIES_TOPIC) as replies:
            for name in agents:
                await ask(one, name)
                delivery = await anext(replies)
                reply = decode_reply(delivery.message.payload)
                assert (reply.agent, reply.text, reply.request_id) == (name, "You said hello", f"q_{name}")
                await delivery.ack()


async def ask(one: Gateway, agent: str) -> None:
    """As the gateway asks an agent."""
    heard = TranscriptionMessage(
        session_id="s_1", user_id="home", device_id="kitchen", text="hello", timestamp=1.0, success=True,
        message_id="m_1", correlation_id="c_1", utterance_id="u_1", audio=AudioFacts(seconds=1.0),
    )  # fmt: skip
    request = AgentRequest(request_id=f"q_{agent}", agent=agent, transcript=heard)
    await one.broker.publish(REQUESTS_TOPIC, RoutingKey(agent, "kitchen", "s_1"), encode(request))


async def test_an_agent_outside_is_missed_until_it_comes_and_again_when_it_leaves(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.pipeline.agents.roster.ABSENT_SECONDS", 0.1)
    weather = Orchestrator("weather", version="7")

    @weather.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        return heard.text

    agents = {"lights": {"app": "crew_of_mine:house"}, "weather": {}}
    async with gateway(folder, agents=agents) as one:
        await passes(lambda: of(one, "weather") is not None)
        missed = of(one, "weather")
        assert missed is not None
        assert (missed.state, missed.works, missed.reason) == ("degraded", False, "weather is not there")
        assert missed.remedy == agents_health.NAME_ONE
        with running(weather.run(one.broker)):
            await passes(lambda: of(one, "weather") == ComponentHealth(HealthState.HEALTHY, detail="7"))
        await passes(lambda: of(one, "weather") == missed)
        lights = of(one, "lights")
        assert lights is not None
        assert lights.state == "healthy"


@pytest.mark.slow
async def test_health_says_that_an_agents_process_is_away_until_it_is_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.agents.process.watched.FIRST_PAUSE", 60.0)
    agents = {"lights": {"app": "crew_of_mine:mortal", "process": True}}
    async with gateway(folder, agents=agents) as one, one.broker.subscribe(REPLIES_TOPIC) as replies:
        await passes(lambda: of(one, "lights") is not None)
        await ask(one, "lights")
        reply = decode_reply((await anext(replies)).message.payload)
        assert (reply.final, reply.error) == (True, "lights: its process ended with status 9")
        away = of(one, "lights")
        assert away is not None
        assert (away.state, away.works) == ("degraded", False)
        assert away.reason == "lights: its process ended with status 9; it is started again"
        assert away.remedy == "see what it says in the log"
    assert "crew_of_mine" not in sys.modules


async def test_records_that_lie_change_nothing_for_the_others(folder: Path) -> None:
    agents = {"lights": {"app": "crew_of_mine:house"}, "weather": {}}
    async with gateway(folder, agents=agents) as one:
        await passes(lambda: of(one, "lights") is not None)
        for payload in (b"{}", b"\xff", b'{"agent": "thief", "instance": "i_1"}'):
            await one.broker.publish(PRESENCE_TOPIC, RoutingKey("weather", "i_1", "presence"), payload)
        await passes(lambda: roster(one).strangers(roster(one)._patient_until) == ("thief",))
        lights = of(one, "lights")
        assert lights is not None
        assert lights.state == "healthy"
        assert one.health.mishaps.counts.total() == 0


@pytest.mark.parametrize(
    ("app", "complaint"),
    [
        ("no_such_module_x:house", "orchestrator.agents.lights.app: there is no module no_such_module_x"),
        ("crew_of_mine:nobody", "orchestrator.agents.lights.app: module crew_of_mine has no 'nobody'"),
    ],
)
async def test_an_agent_that_does_not_exist_is_said_at_the_start(
    folder: Path, app: str, complaint: str
) -> None:
    with pytest.raises(BadOrchestrator) as caught:
        async with gateway(folder, agents={"lights": {"app": app}}):
            pass
    assert complaint in str(caught.value)


async def test_an_agent_that_cannot_answer_is_unusable_and_the_others_are_there(folder: Path) -> None:
    agents = {"mute": {"app": "crew_of_mine:mute"}, "lights": {"app": "crew_of_mine:house"}}
    async with gateway(folder, agents=agents) as one:
        await passes(lambda: of(one, "mute") is not None and of(one, "lights") is not None)
        mute, lights = of(one, "mute"), of(one, "lights")
        assert mute is not None
        assert lights is not None
        assert (mute.state, mute.remedy) == ("degraded", "correct orchestrator.agents.mute.app")
        assert "nothing answers" in mute.reason
        assert lights.state == "healthy"


async def test_the_demos_agent_can_have_a_name_of_its_own(folder: Path) -> None:
    async with gateway(folder, agents={"demo": {"app": "builtin"}}) as one:
        await passes(lambda: of(one, "demo") is not None)
        assert of(one, "demo") == ComponentHealth(HealthState.HEALTHY, detail="inside the gateway")


@pytest.mark.slow
def test_without_named_agents_nothing_of_them_is_imported(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys
ours = ("gateway.pipeline.agents", "gateway.pipeline.teams", "gateway.pipeline.asking.presences",
    "gateway.pipeline.asking.team", "gateway.pipeline.asking.agent_letters",
    "gateway.answering.agents_health")
from pathlib import Path
from gateway.app import Gateway
from gateway.config.loading import load_config

async def main():
    Path("c.yaml").write_text("devices: {{serial: {{ports: []}}, mqtt: {{url: ''}}}}\\n"
        "transcription: {{engine: off}}\\nweb: {{enabled: false}}\\njournal: {{path: {tmp_path}/journal.db}}\\n")
    async with Gateway(load_config(Path("c.yaml"), {{}})):
        pass
    print(sorted(name for name in sys.modules if name.startswith(ours)))

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stdout + done.stderr


# -- over each broker


@pytest.fixture
def url(request: pytest.FixtureRequest, server: str) -> str:
    found: Mosquitto | Redis | Nats | RabbitMQ = request.getfixturevalue(server)
    return found.url


@pytest.mark.slow
@pytest.mark.parametrize(
    "server",
    ["mosquitto", "redis", "nats", pytest.param("rabbitmq", marks=pytest.mark.xdist_group("rabbitmq"))],
)
async def test_over_each_broker_who_comes_is_seen_and_who_leaves_is_missed(tmp_path: Path, url: str) -> None:
    lights = Orchestrator("lights", version="2")

    @lights.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        return heard.text

    settings = {"url": url, "client_id": tmp_path.name.replace(".", "")[-30:]}
    broker = open_broker(url, BrokerSettings(url=url))
    async with gateway(tmp_path, broker=settings, agents={"lights": {}}) as one:
        await passes(lambda: (of(one, "lights") or ComponentHealth(HealthState.HEALTHY)).works is False)
        missed = of(one, "lights")
        assert missed is not None
        assert missed.remedy == agents_health.START
        with running(lights.run(broker)):
            await passes(lambda: of(one, "lights") == ComponentHealth(HealthState.HEALTHY, detail="2"))
            clock = roster(one).clock("lights", one.pipeline._now())
            assert abs(clock - time.time()) < 2.0
        await passes(lambda: of(one, "lights") == missed)
    await broker.close()


def test_what_is_said_leaves_this_machine_also_by_tools_and_a_broker() -> None:
    tools = {
        "near": {"url": "http://127.0.0.1:1/mcp"},
        "far": {"url": "https://tools.example/mcp"},
        "other": {"url": "https://api.example/mcp"},
    }
    agents = {
        "brain": {"kind": "openai", "url": "https://api.example/v1", "openai": {"tools": {"servers": tools}}},
        "house": {"kind": "commands", "commands": {"file": "demo", "mqtt": {"url": "mqtt://broker.example"}}},
        "local": {"kind": "openai", "url": "http://localhost:1/v1"},
    }
    with capture_logs() as logs:
        Crew(msgspec.convert({"agents": agents}, OrchestratorSettings), MEMORY)
    told = {line["agent"]: line["host"] for line in logs if line["event"].startswith("what is said leaves")}
    assert told == {"brain": "api.example, tools.example", "house": "broker.example"}
