"""Who answers: the demo's only where nobody else can, and nobody is said to be nobody."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.broker.base import MessageBroker, RoutingKey
from gateway.broker.opening import open_broker
from gateway.client.listener import Listener
from gateway.config.configuration import GatewayConfig
from gateway.contract.events import ReplyEvent
from gateway.contract.messages import RESULTS_TOPIC, TranscriptionMessage
from gateway.observing import orchestrator_health
from gateway.observing.health import ComponentHealth
from gateway.observing.orchestrator_health import OrchestratorHealth
from gateway.orchestrators.loading import inside
from gateway.orchestrators.sdk import Orchestrator
from gateway.settings.broker import BrokerSettings
from tests.record import passes
from tests.servers.mosquitto import Mosquitto
from tests.servers.nats import Nats
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis
from tests.system.house import House, open_house, running

NOBODY = orchestrator_health.NOBODY
ALL = ["redis", "nats", pytest.param("rabbitmq", marks=pytest.mark.xdist_group("rabbitmq"))]
KEY = RoutingKey("home", "kitchen", "s_1")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orchestrator_health, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(orchestrator_health, "BOOT_SECONDS", 0.2)
    monkeypatch.setattr(orchestrator_health, "TIDY_SECONDS", 0.1)


@pytest.fixture
def url(request: pytest.FixtureRequest, server: str) -> str:
    found: Redis | Nats | RabbitMQ | Mosquitto = request.getfixturevalue(server)
    return found.url


def configured(folder: Path, url: str, **orchestrator: Any) -> GatewayConfig:
    return msgspec.convert(
        {
            "devices": {"serial": {"ports": []}, "mqtt": {"url": ""}},
            "transcription": {"engine": "off"},
            "broker": {"url": url, "client_id": folder.name.replace(".", "")[-30:]},
            "orchestrator": orchestrator,
            "journal": {"path": f"{folder}/journal.db"},
            "web": {"enabled": False},
        },
        GatewayConfig,
    )


@asynccontextmanager
async def gateway(folder: Path, url: str, **orchestrator: Any) -> AsyncIterator[Gateway]:
    async with Gateway(configured(folder, url, **orchestrator)) as running:
        yield running


def who(gateway: Gateway) -> ComponentHealth:
    return gateway.health.report().components["orchestrator"]


@pytest.mark.parametrize(
    ("app", "url", "runs"),
    [
        ("auto", "memory://", "builtin"),
        ("auto", "redis://127.0.0.1", ""),
        ("builtin", "redis://127.0.0.1", "builtin"),
        ("my_house:house", "memory://", "my_house:house"),
        ("", "memory://", ""),
    ],
)
def test_what_runs_inside(app: str, url: str, runs: str) -> None:
    assert inside(app, url) == runs


def test_auto_is_the_default() -> None:
    assert GatewayConfig().orchestrator.app == "auto"


async def test_the_demos_own_says_what_it_is(tmp_path: Path) -> None:
    async with gateway(tmp_path, "memory://") as one:
        assert (who(one).state, "demo" in str(who(one).detail)) == ("healthy", True)


async def test_each_of_its_answers_says_whose_it_is(tmp_path: Path) -> None:
    async with open_house(tmp_path, transcription={"engine": "off"}) as house:
        for text in ("unlock the front door", "status report", "nonsense"):
            assert (await said(house, text)).startswith("Demo: ")


async def said(house: House, text: str) -> str:
    """What is answered to a text."""
    before = len(house.events.of(ReplyEvent))
    async with Listener(house.gateway.url) as listener:
        await listener.say(text)
        reply: ReplyEvent = await house.events.first(ReplyEvent, count=before + 1)
    return reply.text


async def test_with_memory_and_nobody_inside_nobody_can(tmp_path: Path) -> None:
    async with gateway(tmp_path, "memory://", app="") as one:
        await passes(lambda: bool(who(one).remedy))
        assert (who(one).state, who(one).works) == ("degraded", False)
        assert who(one).reason == orchestrator_health.NOWHERE


def echo() -> Orchestrator:
    house = Orchestrator("lights")

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        return f"You said: {heard.text}"

    return house


@pytest.mark.slow
@pytest.mark.parametrize("server", [*ALL, "mosquitto"])
async def test_over_a_broker_somebody_answers_as_long_as_somebody_is_there(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "gateway.broker.backends.redis_streams.READING_SECONDS", 3.0
    )  # readers of tests before this one
    async with gateway(tmp_path, url) as one:
        await passes(lambda: bool(who(one).remedy))
        assert (who(one).state, who(one).works, who(one).reason) == ("degraded", False, NOBODY)
        for _ in range(2):
            broker = open_broker(url, BrokerSettings(url=url))
            with running(echo().run(broker)):
                await passes(lambda: who(one).state == "healthy")
            await broker.close()
            await passes(lambda: who(one).reason == NOBODY)


@pytest.mark.slow
async def test_whoever_has_answered_and_left_is_not_there(tmp_path: Path, mosquitto: Mosquitto) -> None:
    parts = {"transcription": {"engine": "off"}, "broker": {"url": mosquitto.url, "client_id": "left"}}
    broker = open_broker(mosquitto.url, BrokerSettings(url=mosquitto.url))
    async with open_house(tmp_path, **parts) as one:
        with running(echo().run(broker)):
            await passes(lambda: who(one.gateway).state == "healthy")
            assert await said(one, "hello") == "You said: hello"
        await passes(lambda: who(one.gateway).reason == NOBODY)
    await broker.close()


@pytest.mark.slow
async def test_the_demos_own_beside_others_is_pointed_out(tmp_path: Path, redis: Redis) -> None:
    async with gateway(tmp_path, redis.url, app="builtin") as one:
        assert (who(one).state, who(one).reason) == ("degraded", orchestrator_health.BESIDE)
        assert "auto" in who(one).remedy


# -- one that lets nobody else work


async def test_one_that_keeps_everything_waiting_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.orchestrators.sdk.BLOCKED_SECONDS", 0.05)
    (tmp_path / "sleepy_house.py").write_text(SLEEPY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    parts = {"transcription": {"engine": "off"}, "orchestrator": {"app": "sleepy_house:house"}}
    async with open_house(tmp_path, **parts) as house:
        assert who(house.gateway).state == "healthy"
        assert await said(house, "quickly") == "well"
        assert who(house.gateway).state == "healthy"
        assert await said(house, "slowly") == "well"
        told = who(house.gateway)
        assert (told.state, told.reason.startswith("sleepy kept everything else waiting for 0.")) == (
            "degraded", True,
        )  # fmt: skip
        assert "to_thread" in told.remedy


async def test_what_is_long_ago_is_forgiven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orchestrator_health, "BLAME_SECONDS", 0.01)
    async with gateway(tmp_path, "memory://") as one:
        OrchestratorHealth(one.health, one.broker, "sleepy", shared=False).blocked("sleepy", 3.0)
        assert who(one).state == "degraded"
        await passes(lambda: who(one).state == "healthy")


SLEEPY = """
import time
from gateway.orchestrator import Orchestrator
house = Orchestrator("sleepy")

@house.on_transcript
async def answer(heard):
    if heard.text == "slowly":
        time.sleep(0.1)
    return "well"
"""


# -- what the old default left at the broker


@pytest_asyncio.fixture
async def before(url: str) -> AsyncIterator[MessageBroker]:
    """A gateway of then, whose built-in orchestrator reads."""
    broker = open_broker(url, BrokerSettings(url=url))
    yield broker
    await broker.close(0.0)


async def has_kept(broker: MessageBroker) -> bool:
    """Whether the broker has kept for the group what came while nobody read."""
    async with broker.subscribe(RESULTS_TOPIC, group="builtin") as again:
        await asyncio.sleep(0)
        await broker.publish(RESULTS_TOPIC, KEY, b"now")
        first = await anext(again)
        await first.ack()
    return first.message.payload != b"now"


@pytest.mark.slow
@pytest.mark.parametrize("server", ALL)
async def test_what_nobody_reads_any_more_is_removed(
    tmp_path: Path, url: str, before: MessageBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.broker.backends.redis_streams.READING_SECONDS", 0.0)
    async with before.subscribe(RESULTS_TOPIC, group="builtin"):
        pass
    await before.publish(RESULTS_TOPIC, KEY, b"kept for nobody")
    async with gateway(tmp_path, url):
        await passes(lambda: _tidied() is None)
    assert not await has_kept(before)


def _tidied() -> asyncio.Task[Any] | None:
    """The task that tidies up, as long as it has to."""
    name = "what the old default left"
    return next((task for task in asyncio.all_tasks() if task.get_name() == name), None)


@pytest.mark.slow
@pytest.mark.parametrize("server", ALL)
async def test_what_somebody_reads_is_left_alone(url: str, before: MessageBroker) -> None:
    another = open_broker(url, BrokerSettings(url=url, keep_for_groups=("builtin",)))
    async with before.subscribe(RESULTS_TOPIC, group="builtin") as read:
        reader = asyncio.ensure_future(anext(read))
        while not await another.readers(RESULTS_TOPIC):  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.01)
        assert not await another.abandon(RESULTS_TOPIC, "builtin")
        await another.publish(RESULTS_TOPIC, KEY, b"still read")
        assert (await reader).message.payload == b"still read"
        await reader.result().ack()
    await another.close()
