"""Behind reverse proxies: everybody has limits of their own, and nobody says what address is theirs."""

from __future__ import annotations

import asyncio
import ipaddress
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession, TCPConnector
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.door import is_locked
from gateway.settings.web import WebLimitSettings, WebSettings
from gateway.web.entrance.proxies import Proxies
from tests.gateway.access.keyring import Keyring
from tests.gateway.web.house import House, bearer, got, until
from tests.gateway.web.raw import connection, request
from tests.gateway.web.test_door import audit

PROXY, STRANGER = "127.0.0.1", "127.0.0.2"
PROXIES = Proxies((PROXY, "10.0.0.0/24", "2001:db8::/64"))


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        (PROXY, ["192.0.2.1"], "192.0.2.1"),
        (PROXY, ["198.51.100.9, 192.0.2.1"], "192.0.2.1"),  # the first one, anybody may have written
        (PROXY, ["192.0.2.1, 10.0.0.7"], "192.0.2.1"),  # two proxies
        (PROXY, ["192.0.2.1", "10.0.0.7 , 10.0.0.8"], "192.0.2.1"),
        (PROXY, ["10.0.0.7"], "10.0.0.7"),  # a proxy for itself
        (PROXY, [], PROXY),
        (PROXY, [""], PROXY),
        (PROXY, ["192.0.2.1, unknown"], PROXY),
        (PROXY, ["192.0.2.1, unknown, 10.0.0.7"], "10.0.0.7"),
        (PROXY, ["192.0.2.1,"], PROXY),
        (PROXY, ["192.0.2.1:4711"], "192.0.2.1"),
        (PROXY, ["[2001:db9::1]:4711"], "2001:db9::1"),
        (PROXY, ["2001:db9::1"], "2001:db9::1"),
        (PROXY, ["::ffff:192.0.2.1"], "192.0.2.1"),
        ("::ffff:127.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("2001:db8::5", ["192.0.2.1"], "192.0.2.1"),
        (STRANGER, ["192.0.2.1"], STRANGER),
        ("", ["192.0.2.1"], ""),
    ],
)
def test_who_it_is(peer: str, headers: list[str], client: str) -> None:
    assert PROXIES.client(peer, headers) == client


@given(st.lists(st.text(max_size=30) | st.just("10.0.0.1") | st.ip_addresses().map(str), max_size=6))
def test_whatever_stands_there_a_client_has_the_address_that_its_proxy_saw(claimed: list[str]) -> None:
    assert PROXIES.client(STRANGER, claimed) == STRANGER
    assert PROXIES.client(PROXY, [*claimed, "192.0.2.1"]) == "192.0.2.1"
    found = PROXIES.client(PROXY, claimed)
    assert ipaddress.ip_address(found)


@pytest.mark.parametrize(
    ("peer", "headers", "secure"),
    [
        (PROXY, ["https"], True),
        (PROXY, ["http, HTTPS "], True),
        (PROXY, ["https, http"], False),
        (PROXY, ["https", "http"], False),
        (PROXY, [], False),
        (STRANGER, ["https"], False),
    ],
)
def test_how_it_was_reached(peer: str, headers: list[str], *, secure: bool) -> None:
    assert PROXIES.is_https(peer, headers) is secure


def test_behind_a_proxy_everybody_needs_a_token() -> None:
    assert is_locked(WebSettings(trusted_proxies=(PROXY,)))
    assert not is_locked(WebSettings())


class TestServer:
    @pytest.fixture
    def settings(self) -> WebSettings:
        limits = WebLimitSettings(requests_per_second=1, connections_per_address=2)
        return WebSettings(port=0, trusted_proxies=(PROXY,), limits=limits)

    async def test_each_has_limits_of_their_own(self, house: House, client: ClientSession) -> None:
        async def ask(forwarded_for: str) -> int:
            return await got(client, house, "livez", **{"X-Forwarded-For": forwarded_for})

        claimed = [await ask(f"10.9.8.{number}, 192.0.2.1") for number in range(40)]
        assert claimed[:10] == [200] * 10
        assert 429 in claimed
        assert await ask("192.0.2.2") == 200

    async def test_who_comes_directly_chooses_no_address(self, house: House) -> None:
        async with ClientSession(connector=TCPConnector(local_addr=(STRANGER, 0))) as client:
            claimed = [
                await got(client, house, "livez", **{"X-Forwarded-For": f"192.0.2.{number}"})
                for number in range(40)
            ]
        assert 429 in claimed

    async def test_a_proxy_has_as_many_connections_as_it_needs(
        self, house: House, client: ClientSession, keyring: Keyring
    ) -> None:
        headers = bearer(keyring.token())
        async with AsyncExitStack() as stack:
            for number in range(4):
                forwarded = {**headers, "X-Forwarded-For": f"192.0.2.{number // 2}"}
                await stack.enter_async_context(client.ws_connect(house.url + "ws", headers=forwarded))
            await until(lambda: house.hub.stats().listeners == 4)
            assert await got(client, house, "events", **headers, **{"X-Forwarded-For": "192.0.2.1"}) == 429
            assert await got(client, house, "livez", **{"X-Forwarded-For": "192.0.2.2"}) == 200
            told = audit(keyring)[-1]
            assert (told["address"], "connections_per_address" in str(told["limit"])) == ("192.0.2.1", True)
        await until(lambda: house.hub.stats().listeners == 0)
        assert await got(client, house, "livez", **{"X-Forwarded-For": "192.0.2.1"}) == 200

    async def test_a_cookie_is_for_tls_when_the_proxy_speaks_it(
        self, house: House, client: ClientSession, keyring: Keyring
    ) -> None:
        for scheme in ("https", "http"):
            signing_in = client.post(
                house.url + "api/v1/session",
                json={"token": keyring.token(f"{scheme}-page")},
                headers={"X-Forwarded-Proto": scheme},
            )
            async with signing_in as answer:
                assert bool(answer.cookies["earshot"]["secure"]) is (scheme == "https")

    async def test_garbage_never_crashes(self, house: House) -> None:
        for garbage in ("\xff\xfe", ",,,,", "[", "]:", "[::1", "%", "1.2.3.4.5", ":" * 99, "9" * 9_000):
            async with connection(house.port) as raw:
                raw.send(
                    request(
                        house.port, headers=f"X-Forwarded-For: {garbage}\r\nX-Forwarded-Proto: {garbage}\r\n"
                    )
                )
                assert (await raw.head())[0] in {200, 400}
            await asyncio.sleep(0)
