"""Two gateways of one name find out, over each broker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.observing import twin_health
from gateway.observing.health import ComponentHealth
from tests.gateway.observing.test_orchestrator_health import configured
from tests.record import passes
from tests.servers.mosquitto import Mosquitto
from tests.servers.nats import Nats
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

pytestmark = pytest.mark.slow

SHOWN = ["redis", "nats", pytest.param("rabbitmq", marks=pytest.mark.xdist_group("rabbitmq"))]


def identity(gateway: Gateway) -> ComponentHealth | None:
    return gateway.health.report().components.get("identity")


@pytest.mark.parametrize("server", SHOWN)
async def test_a_twin_is_told_and_forgotten(
    tmp_path: Path, request: pytest.FixtureRequest, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twin_health, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr("gateway.broker.backends.redis_streams.READING_SECONDS", 3.0)
    running: Redis | Nats | RabbitMQ = request.getfixturevalue(server)
    config = configured(tmp_path, running.url)
    clone = configured(_folder(tmp_path / tmp_path.name), running.url)
    assert clone.broker.client_id == config.broker.client_id
    async with Gateway(config) as one:
        async with Gateway(clone) as other:
            await passes(lambda: identity(one) is not None and identity(other) is not None)
            told = identity(one)
            assert told is not None
            assert (told.state, told.works) == ("degraded", False)
            assert config.broker.client_id in told.reason
            assert "machine-id" in told.remedy
        await passes(lambda: (found := identity(one)) is not None and found.state == "healthy")


async def test_over_mqtt_they_throw_each_other_out_and_say_so(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """On one machine a second process takes another session; so the clone here is of another machine.

    It comes back, as we do: whoever is thrown out before the broker has let it subscribe is not told by whom.
    """
    config = configured(tmp_path, mosquitto.url)
    async with Gateway(config) as one:
        await passes(lambda: one.health.report().components["broker"].detail)
        await passes(lambda: _sessions(mosquitto, config.broker.client_id))
        thief = asyncio.create_task(_clone(mosquitto, _sessions(mosquitto, config.broker.client_id)[0]))
        await passes(lambda: "taken its place" in one.health.report().components["broker"].reason)
        assert "machine-id" in one.health.report().components["broker"].remedy
        thief.cancel()
        await asyncio.gather(thief, return_exceptions=True)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _sessions(server: Mosquitto, client_id: str) -> list[str]:
    """The client ids of the sessions in which replies are read, as far as its log has come to us."""
    words = server.log.read_text().split()
    return [word for word in words if word.startswith(f"{client_id}-gateway-")]


async def _clone(server: Mosquitto, client_id: str) -> None:
    """Connects with MQTT 5 under a client id, again whenever it is thrown out, until cancelled."""
    name = client_id.encode()
    body = b"\x00\x04MQTT\x05\x00\x00\x3c\x00" + len(name).to_bytes(2, "big") + name
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(bytes((0x10, len(body))) + body)
            await reader.read()  # until it is thrown out
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        await asyncio.sleep(0.2)
