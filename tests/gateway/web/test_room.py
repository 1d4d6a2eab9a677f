"""Who chooses among several gateways is told which has room."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession

from gateway.observing.health import HealthState
from tests.gateway.web.site import Site, open_site

ONE = {"devices": {"max_devices": 1}, "web": {"max_listeners": 2}}
"""One of the two listeners is the test's own."""


async def answers(site: Site, path: str) -> int:
    async with ClientSession() as client, client.get(site.url + path) as response:
        return response.status


@pytest.mark.parametrize("what", ["device", "page"])
async def test_a_full_gateway_is_ready_for_who_is_there_and_not_for_more(what: str) -> None:
    async with open_site(**ONE) as site:
        site.parts.health.set("recognizer", HealthState.HEALTHY)
        assert await answers(site, "readyz?room") == 200
        async with ClientSession() as client:
            if what == "page":
                async with client.ws_connect(site.url + "ws") as ws:
                    await ws.receive()
                    full = await answers(site, "readyz?room"), await answers(site, "readyz")
            else:
                async with site.board() as board:
                    await board.connected()
                    full = await answers(site, "readyz?room"), await answers(site, "readyz")
        assert full == (503, 200)


async def test_what_is_not_ready_has_no_room() -> None:
    async with open_site() as site:
        site.parts.health.set("recognizer", HealthState.UNHEALTHY, "it is gone", "wait")
        assert await answers(site, "readyz?room") == 503
