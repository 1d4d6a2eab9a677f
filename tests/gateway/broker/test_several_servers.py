"""A broker of several servers: whichever answers is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.broker.base import BrokerUnavailable, RoutingKey
from gateway.broker.opening import open_broker
from gateway.settings.broker import BrokerSettings
from tests.gateway.broker.contract import until
from tests.servers import redis as redis_servers
from tests.servers.process import free_port, needs
from tests.servers.redis import Redis

KEY = RoutingKey("ann", "kitchen", "s1")


@pytest.mark.slow
async def test_when_the_one_dies_the_other_is_taken(tmp_path: Path) -> None:
    needs(redis_servers.REDIS)
    one, other = Redis(tmp_path), Redis(tmp_path)
    url = f"redis://127.0.0.1:{free_port()},127.0.0.1:{one.port},127.0.0.1:{other.port}"
    broker = open_broker(url, BrokerSettings(url=url))
    try:
        one.start()
        with pytest.raises(BrokerUnavailable):  # of the first, where nobody is
            await broker.publish("some.topic", KEY, b"{}")
        await until(lambda: broker.status.connected)  # type: ignore[attr-defined]
        await broker.publish("some.topic", KEY, b"{}")
        other.start()
        one.kill()
        await until(lambda: not broker.status.connected)  # type: ignore[attr-defined]
        await until(lambda: broker.status.connected)  # type: ignore[attr-defined]
        await broker.publish("some.topic", KEY, b"{}")
    finally:
        await broker.close(0.0)
        one.kill()
        other.kill()
