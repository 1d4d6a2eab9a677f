"""Home Assistant finds the gateway by itself: announced by mDNS, here on this machine alone, and seen by a browser."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import UNSET
from zeroconf import ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from gateway.adapters.wyoming import discovery
from gateway.adapters.wyoming.at_work import announced
from gateway.adapters.wyoming.discovery import KIND, Announcement, addresses_for
from gateway.adapters.wyoming.places import ListeningPlace
from gateway.observing.health import Health
from tests.record import Record, passes
from tests.system.house import open_house

pytestmark = pytest.mark.slow

HERE = "127.0.0.1"


@asynccontextmanager
async def running(announcement: Announcement) -> AsyncIterator[None]:
    task = asyncio.create_task(announcement.run())
    yield
    task.cancel()
    await asyncio.wait({task})


@pytest.fixture
async def listener() -> AsyncIterator[AsyncZeroconf]:
    zeroconf = AsyncZeroconf(interfaces=[HERE])
    yield zeroconf
    await zeroconf.async_close()


async def test_it_is_found_with_its_port_and_gone_in_the_end(listener: AsyncZeroconf) -> None:
    seen, states = Record(), Record()

    def changed(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        del zeroconf, service_type
        seen((name, state_change))

    browser = AsyncServiceBrowser(listener.zeroconf, KIND, handlers=[changed])
    name = f"earshot-test.{KIND}"
    async with running(Announcement(10_300, lambda: [HERE], on_state=states, name="earshot-test")):
        await seen.until(lambda: (name, ServiceStateChange.Added) in seen.items)
        info = AsyncServiceInfo(KIND, name)
        assert await info.async_request(listener.zeroconf, 3_000)
        assert (info.port, info.parsed_addresses()) == (10_300, [HERE])
        await states.until(lambda: states.items == [""])
    await seen.until(lambda: (name, ServiceStateChange.Removed) in seen.items)
    await browser.async_cancel()


async def test_a_machine_without_a_network_is_announced_when_it_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discovery, "LOOK_SECONDS", 0.01)
    states = Record()
    has: list[str] = []
    async with running(Announcement(10_300, lambda: list(has), on_state=states, name="earshot-late")):
        await states.until(lambda: states.items)
        assert "no address" in states.items[0]
        has.append(HERE)
        await states.until(lambda: states.items[-1] == "")


@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket"
)  # zeroconf leaves them to the garbage collector
async def test_what_cannot_be_announced_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "LOOK_SECONDS", 0.01)
    states = Record()
    async with running(Announcement(10_300, lambda: ["192.0.2.1"], on_state=states)):
        await states.until(lambda: states.items)
        assert states.items[0] == "Cannot assign requested address"


def test_only_addresses_that_others_reach_are_told() -> None:
    assert addresses_for("192.0.2.7") == ["192.0.2.7"]
    assert not any(one.startswith("127.") or ":" in one for one in addresses_for("0.0.0.0"))
    assert "::1" not in addresses_for("::")


async def test_a_place_that_others_reach_is_announced_and_one_of_this_machine_is_not(
    listener: AsyncZeroconf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "addresses_for", lambda _host: [HERE])
    machine = f"house{secrets.token_hex(4)}"  # no other gateway on this network has that name
    monkeypatch.setattr(discovery.socket, "gethostname", lambda: f"{machine}.example")
    health = Health(Record())
    server = await asyncio.start_server(lambda _reader, _writer: None, HERE, 0)
    others = ListeningPlace("tcp://0.0.0.0:10300", server, host="0.0.0.0", port=10_300)
    ours = ListeningPlace("tcp://127.0.0.1:10301", server, host=HERE, port=10_301)
    async with announced([ours, others], health):
        await passes(lambda: "wyoming discovery" in health.report().components)
        info = AsyncServiceInfo(KIND, f"earshot-{machine}.{KIND}")
        assert await info.async_request(listener.zeroconf, 3_000)
        assert info.port == 10_300
        assert health.report().components["wyoming discovery"].notice is UNSET
    server.close()


async def test_without_the_extra_people_are_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "gateway.adapters.wyoming.discovery")
    monkeypatch.delattr("gateway.adapters.wyoming.discovery")
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    async with open_house(tmp_path, adapters={"wyoming": {"listen": ["tcp://0.0.0.0:0"]}}) as house:
        components = house.gateway.health.report().components
        await passes(lambda: "wyoming discovery" in house.gateway.health.report().components)
        components = house.gateway.health.report().components
    told = components["wyoming discovery"]
    assert told.state == "healthy"
    assert "zeroconf is not installed" in str(told.notice)
    assert told.remedy == "pip install 'earshot-gateway[zeroconf]'"
    assert components["wyoming"].state == "healthy"
