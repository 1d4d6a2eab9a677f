"""The web server: health endpoints, the page's files, who is let in, and addresses it cannot have."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession

from gateway.access.loopback import is_loopback
from gateway.hub.hub import Hub
from gateway.observing.health import HealthState
from gateway.settings.web import WebSettings
from gateway.web import CannotListen, WebServer
from gateway.web.entrance.listening import listen
from tests.gateway.web.house import House, web_server
from tests.record import PATIENCE, Record, passes

STATIC = Path(__file__).parents[3] / "gateway" / "web" / "static"


async def test_livez(house: House, client: ClientSession) -> None:
    async with client.get(house.url + "livez") as response:
        assert (response.status, await response.text()) == (200, "alive\n")


@pytest.mark.parametrize(
    ("state", "status"),
    [(HealthState.HEALTHY, 200), (HealthState.DEGRADED, 200), (HealthState.UNHEALTHY, 503)],
)
async def test_readyz(house: House, client: ClientSession, state: HealthState, status: int) -> None:
    house.health.set("broker", state, "refused", "start it")
    async with client.get(house.url + "readyz") as response:
        assert response.status == status
        assert await response.json() == {
            "state": state,
            "components": {
                "recognizer": {"state": "healthy", "reason": "", "remedy": ""},
                "broker": {"state": state, "reason": "refused", "remedy": "start it"},
            },
        }


async def test_the_page_and_everything_it_names_is_served_from_here(
    house: House, client: ClientSession
) -> None:
    page = (STATIC / "index.html").read_text()
    named = set(re.findall(r'(?:src|href)="(/[^"]*)"', page))
    assert named >= {"/static/app.js", "/static/style.css", "/static/icon.svg"}
    assert "://" not in page
    assert not re.search(r"<script(?![^>]*src)|<style|\son\w+=|\sstyle=", page)
    kinds = {".js": "javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
    for path in {"/", *named, *(f"/static/{file.name}" for file in STATIC.iterdir())}:
        async with client.get(house.url.rstrip("/") + path) as response:
            assert response.status == 200, path
            assert kinds[Path(path).suffix or ".html"] in response.content_type


@pytest.mark.parametrize("path", ["", "static/app.js", "readyz", "nothing-here"])
async def test_every_answer_carries_the_security_headers(
    house: House, client: ClientSession, path: str
) -> None:
    async with client.get(house.url + path) as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "aiohttp" not in response.headers["Server"]


@pytest.mark.parametrize("path", ["static/../server.py", "static/%2e%2e/server.py", "static//etc/passwd"])
async def test_only_the_static_folder_is_served(house: House, client: ClientSession, path: str) -> None:
    async with client.get(house.url + path) as response:
        assert response.status in {403, 404}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1:1"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
    ],
    ids=lambda headers: "".join(f"{k} {v}" for k, v in headers.items()),
)
@pytest.mark.parametrize("path", ["", "ws", "readyz"])
async def test_strangers_are_refused(
    house: House, client: ClientSession, path: str, headers: dict[str, str]
) -> None:
    async with client.get(house.url + path, headers=headers) as response:
        assert response.status == 403


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
async def test_every_name_of_this_machine_is_ours(house: House, client: ClientSession, name: str) -> None:
    authority = house.url.split("/")[2].replace("127.0.0.1", name)
    headers = {"Host": authority, "Origin": f"http://{authority}"}
    async with client.get(house.url, headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("gateway.local", False),
        ("", False),
    ],
)
def test_loopback(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def server(settings: WebSettings) -> WebServer:
    hub = Hub(settings)
    return web_server(hub)


async def test_a_port_in_use_is_named_with_its_remedy(house: House) -> None:
    port = house.port
    with pytest.raises(CannotListen, match=f"127.0.0.1:{port}: another program listens there") as caught:
        await server(WebSettings(port=port)).__aenter__()
    assert "web.port" in caught.value.remedy


async def test_an_address_others_can_reach_is_refused_as_long_as_nobody_has_a_token() -> None:
    with pytest.raises(CannotListen, match=r"0\.0\.0\.0.*nobody has a token") as caught:
        await server(WebSettings(host="0.0.0.0", port=0)).__aenter__()
    assert "earshot token create --role operator" in caught.value.remedy


@pytest.mark.parametrize(("host", "start"), [("localhost", "http://127.0.0.1:"), ("::1", "http://[::1]:")])
async def test_localhost_and_ipv6_are_served(client: ClientSession, host: str, start: str) -> None:
    if host == "::1" and not has_ipv6_loopback():
        pytest.skip("this machine has no IPv6 loopback")
    async with server(WebSettings(host=host, port=0)) as own:
        assert own.url.startswith(start)
        async with client.get(own.url + "livez") as response:
            assert response.status == 200


def has_ipv6_loopback() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


async def test_who_is_stopped_while_it_begins_lets_the_port_go(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go, made = asyncio.Event(), threading.Event(), Record()
    loop = asyncio.get_running_loop()

    def after_a_while(host: str, port: int) -> socket.socket:
        loop.call_soon_threadsafe(begun.set)
        assert go.wait(PATIENCE)
        made(listen(host, port))
        return made.items[0]  # type: ignore[no-any-return]

    monkeypatch.setattr("gateway.web.entrance.listening.listen", after_a_while)
    beginning = asyncio.create_task(server(WebSettings(port=0)).__aenter__())
    await begun.wait()
    beginning.cancel()
    await asyncio.wait([beginning])
    go.set()
    await passes(lambda: made.items and made.items[0].fileno() == -1)


async def test_the_same_port_can_be_taken_again_at_once(client: ClientSession) -> None:
    async with server(WebSettings(port=0)) as first, client.get(first.url) as response:
        assert response.status == 200
    port = int(first.url.split(":")[2].strip("/"))
    async with server(WebSettings(port=port)) as second, client.get(second.url) as response:
        assert response.status == 200


@pytest.mark.parametrize("turns", range(4))
async def test_a_connection_made_while_it_ends_is_closed(turns: int) -> None:
    """Whichever turn of the event loop it has come to."""
    async with server(WebSettings(port=0)) as own:
        visitor = socket.create_connection(("127.0.0.1", int(own.url.split(":")[2].strip("/"))))
        for _ in range(turns):
            await asyncio.sleep(0)
    with visitor, suppress(ConnectionResetError):  # it was not accepted any more
        visitor.settimeout(10)
        assert visitor.recv(1) == b""
