"""The page under other settings while the gateway runs: whoever is connected comes back and has missed nothing."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession
from msgspec import structs

from gateway.client.device_socket import WebSocketWire
from gateway.client.listener import Listener
from gateway.contract.events import TranscriptionEvent
from gateway.observing.health import HealthState
from gateway.web import kept_open
from tests.record import passes
from tests.servers.process import free_port
from tests.system.house import RECORDINGS, Board, House, open_house, text


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_open, "ANSWER_SECONDS", 0.02)
    monkeypatch.setattr(kept_open, "RETRY_SECONDS", 0.1)


async def answers(url: str, path: str = "livez") -> int:
    """The status; 0: nobody is there."""
    try:
        async with ClientSession() as client, client.get(f"{url}{path}") as response:
            return response.status
    except aiohttp.ClientError:
        return 0


def change(house: House, **web: Any) -> None:
    gateway = house.gateway
    gateway.reconfigure(structs.replace(gateway.config, web=structs.replace(gateway.config.web, **web)))


async def moved(house: House, port: int) -> str:
    """The page's new address, once it is open there."""
    await passes(lambda: house.gateway.url.endswith(f":{port}/"))
    return house.gateway.url


async def test_it_moves_to_another_port_and_the_old_one_is_free(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        before, port = house.gateway.url, free_port()
        change(house, port=port)
        url = await moved(house, port)
        assert (await answers(url), await answers(before)) == (200, 0)
        assert house.gateway.health.report().components["page"].state is HealthState.HEALTHY
        assert house.gateway.config.web.port == port


async def test_a_listener_that_comes_back_there_has_missed_nothing(tmp_path: Path) -> None:
    async with (
        open_house(tmp_path, web={"port": free_port()}) as house,
        house.board("kitchen") as kitchen,
        Listener(house.gateway.url) as listener,
    ):
        first = await anext(listener)
        change(house, heartbeat_seconds=7.0)  # the same port, opened anew
        await kitchen.say(RECORDINGS["u00"].path)
        async for event in listener:
            if isinstance(event, TranscriptionEvent):
                assert event.text == text("u00")
                assert event.epoch == first.epoch, "it went on, and did not begin anew"
                break


async def test_a_device_over_the_page_goes_on_where_it_was(tmp_path: Path) -> None:
    port = free_port()
    async with open_house(tmp_path, web={"port": port}) as house:
        wire = WebSocketWire(house.gateway.url)
        async with Board("web-attic", wire, speed=4) as attic:
            saying = asyncio.create_task(attic.say(RECORDINGS["u00"].path))
            await passes(lambda: any(info.connected for info in house.gateway.bridge.devices()))
            change(house, heartbeat_seconds=7.0)
            said = await saying
        assert (said.transcript, said.overrun_frames) == (text("u00"), 0)


async def test_where_the_new_settings_cannot_be_those_of_before_go_on(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with open_house(tmp_path, web={"port": free_port()}) as house:
            before = house.gateway.url
            change(house, port=taken.getsockname()[1])
            page = house.gateway.health.report
            await passes(lambda: page().components["page"].state is HealthState.DEGRADED)
            assert "those of before go on" in page().components["page"].reason
            await passes(lambda: house.gateway.url == before)
            assert await answers(before) == 200
            assert house.gateway.config.web.port != taken.getsockname()[1], "what is told is what is"


async def test_nobody_is_let_in_from_the_network_without_a_token(tmp_path: Path) -> None:
    """As at the start: the change is refused, and nothing was open meanwhile."""
    async with open_house(tmp_path, web={"port": free_port()}) as house:
        before = house.gateway.url
        change(house, host="0.0.0.0")
        await passes(lambda: "go on" in house.gateway.health.report().components["page"].reason)
        assert (house.gateway.url, house.gateway.config.web.host) == (before, "127.0.0.1")


async def test_it_is_switched_off_and_on_again(tmp_path: Path) -> None:
    port = free_port()
    async with open_house(tmp_path, web={"port": port}) as house:
        url = house.gateway.url
        change(house, enabled=False)
        await passes(lambda: house.gateway.url == "")
        assert await answers(url) == 0
        change(house, enabled=True)
        assert await answers(await moved(house, port)) == 200


async def test_many_changes_at_once_come_to_the_last(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(5)]
    async with open_house(tmp_path) as house:
        for port in ports:
            change(house, port=port)
        assert await answers(await moved(house, ports[-1])) == 200
        change(house, port=ports[0])
        change(house, port=ports[-1])  # and back before anything was done
        await asyncio.sleep(0.2)
        assert house.gateway.url.endswith(f":{ports[-1]}/")


async def test_whoever_changes_it_over_the_page_has_the_answer(tmp_path: Path) -> None:
    port = free_port()
    async with open_house(tmp_path, web={"port": free_port()}) as house:
        async with (
            ClientSession() as client,
            client.patch(f"{house.gateway.url}api/v1/config", json={"web": {"port": port}}) as response,
        ):
            told = await response.json()
            assert (response.status, told["applied"], told["need_restart"]) == (200, ["web.port"], [])
        assert await answers(await moved(house, port)) == 200


async def test_how_many_may_listen_holds_at_once(tmp_path: Path) -> None:
    async with open_house(tmp_path, web={"port": free_port()}) as house:
        change(house, max_listeners=1, listener_policy="refuse_new")
        assert house.gateway.hub.settings.max_listeners == 1
        await passes(lambda: house.gateway.config.web.max_listeners == 1)


async def test_requests_stay_counted_when_the_page_is_opened_anew(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        assert await answers(house.gateway.url) == 200
        port = free_port()
        change(house, port=port)
        url = await moved(house, port)
        async with ClientSession() as client, client.get(f"{url}metrics") as answer:
            lines = (await answer.text()).splitlines()
    [counted] = [
        line for line in lines if line.startswith('earshot_http_requests_total{method="GET",route="/livez",')
    ]
    assert float(counted.split()[-1]) >= 1
