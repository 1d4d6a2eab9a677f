"""A scope bounds what a token is for: with rights on some rows of the house it gets no power over the house.

Ann's operator token (``--user ann``) tries to become everybody's; a page elsewhere tries to have a browser ask for it.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, WSMsgType

from firmware_bridge.link.frames import Header, Hello
from gateway.access.principals import Role
from tests.attacks.castle import Castle, open_castle
from tests.record import passes

pytestmark = pytest.mark.slow

SECRET = "hunter2"
CONFIG = {"orchestrator": {"app": "builtin"}, "devices": {"users": {"kitchen": "ann", "attic": "bob"}}}


async def call(castle: Castle, token: str, method: str, path: str, **options: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers |= options.pop("headers", {})
    async with (
        ClientSession() as client,
        client.request(method, castle.url + path, headers=headers, **options) as response,
    ):
        text = await response.text()
        return response.status, json.loads(text) if text and "json" in response.content_type else text


def audited(castle: Castle, event: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (castle.folder / "audit.log").read_text().splitlines())
    return [line for line in lines if line["event"] == event]


@pytest.fixture(scope="module")
def ann(standing_castle: Castle) -> str:
    return standing_castle.token("ann", Role.OPERATOR, users=("ann",))


@pytest.fixture(scope="module")
def kitchen(standing_castle: Castle) -> str:
    return standing_castle.token("kitchen-panel", Role.OPERATOR, devices=("kitchen",))


@pytest.fixture(scope="module")
def whole(standing_castle: Castle) -> str:
    return standing_castle.token("whole", Role.OPERATOR)


TAKEOVERS = {
    "somebody else's board": {"devices": {"users": {"attic": "ann"}}},
    "everybody's boards": {"devices": {"default_user": "ann"}},
    "no tokens any more": {"web": {"require_token": False}},
    "another address": {"web": {"host": "0.0.0.0"}},
    "another origin": {"web": {"origins": ["https://ann.example"]}},
    "a proxy to be believed": {"web": {"trusted_proxies": ["10.0.0.1"]}},
    "another broker": {"broker": {"url": "mqtt://ann@ann.example"}},
    "a file's first line": {"broker": {"url": "mqtt://ann@ann.example", "password_file": "/etc/hostname"}},
    "no limits": {"web": {"limits": {"failures_per_minute": 0}}},
    "the history": {"history": {"days": 36500}},
    "another model": {"transcription": {"model": "/home/ann/model"}},
    "nothing at all": {},
}


@pytest.mark.parametrize("patch", TAKEOVERS.values(), ids=TAKEOVERS)
async def test_a_scope_changes_no_configuration(castle: Castle, ann: str, patch: dict[str, Any]) -> None:
    before = castle.config.read_text()
    status, _ = await call(castle, ann, "PATCH", "api/v1/config?save=true", json=patch)
    assert status == HTTPStatus.FORBIDDEN
    assert castle.config.read_text() == before
    assert audited(castle, "not allowed")[-1]["name"] == "ann"


@pytest.mark.parametrize("path", ["api/v1/config", "api/v1/models"])
async def test_a_scope_reads_nothing_of_the_house(castle: Castle, ann: str, kitchen: str, path: str) -> None:
    for token in (ann, kitchen):
        assert (await call(castle, token, "GET", path))[0] == HTTPStatus.FORBIDDEN
        assert (await call(castle, token, "HEAD", path))[0] == HTTPStatus.FORBIDDEN


async def test_a_scope_sees_no_others_lines(castle: Castle, kitchen: str, whole: str) -> None:
    async with castle.board("attic") as attic, castle.board("kitchen") as board:
        await attic.connected()
        await board.connected()
        _, told = await call(castle, kitchen, "GET", "api/v1/links")
        assert [link["devices"] for link in told["links"]] == [["kitchen"]]
        assert [link["lines"] for link in told["links"]] == [[]]
        _, told = await call(castle, whole, "GET", "api/v1/links")
        assert {"attic", "kitchen"} <= {name for link in told["links"] for name in link["devices"]}
        await board.goodbye()
        await attic.goodbye()


FILES = {
    "shadow": ("broker", {"url": "mqtt://me@127.0.0.1:1", "password_file": "/etc/shadow"}),
    "environment": ("broker", {"url": "mqtt://me@127.0.0.1:1", "password_file": "/proc/self/environ"}),
    "a key of ours": ("broker", {"url": "mqtt://me@127.0.0.1:1", "password_file": "{folder}/token.key"}),
    "tokens": ("broker", {"url": "mqtt://me@127.0.0.1:1", "password_file": "{folder}/tokens.json"}),
    "the configuration": (
        "broker",
        {"url": "mqtt://me@127.0.0.1:1", "password_file": "{folder}/config.yaml"},
    ),
    "out of the folder": ("broker", {"url": "mqtt://me@127.0.0.1:1", "password_file": "{folder}/../../x"}),
    "a link": ("broker", {"url": "mqtt://me@127.0.0.1:1", "password_file": "{folder}/link"}),
    "relative": ("broker", {"url": "mqtt://me@127.0.0.1:1", "password_file": "../../etc/passwd"}),
    "devices' password": (
        "devices",
        {"mqtt": {"url": "mqtt://me@127.0.0.1:1", "password_file": "/etc/shadow"}},
    ),
    "another's journal": ("journal", {"path": "/var/lib/other/things.db"}),
    "the key of tokens": ("web", {"secret_file": "/etc/hostname"}),
    "a certificate": ("web", {"tls": {"cert_file": "/etc/ssl/private/house.pem"}}),
    "a port": ("devices", {"serial": {"ports": ["/etc/*"]}}),
    "models": ("transcription", {"models_dir": "/"}),
}


@pytest.mark.parametrize(("section", "settings"), FILES.values(), ids=FILES)
async def test_no_file_is_named_from_afar(castle: Castle, whole: str, section: str, settings: Any) -> None:
    """Not by an operator of the whole house either: a stolen token is not the machine."""
    if not (castle.folder / "link").is_symlink():
        (castle.folder / "link").symlink_to("/etc/hostname")
    text = json.dumps(settings).replace("{folder}", str(castle.folder))
    before = castle.config.read_text()
    status, told = await call(
        castle, whole, "PATCH", "api/v1/config?save=true", json={section: json.loads(text)}
    )
    assert status == HTTPStatus.UNPROCESSABLE_ENTITY, told
    assert "by hand" in told["detail"]
    assert castle.config.read_text() == before


async def test_nothing_that_the_gateway_keeps_is_sent_to_a_broker(castle: Castle, whole: str) -> None:
    kept = [file for file in castle.folder.iterdir() if file.is_file() and file.name not in ("log", "link")]
    assert len(kept) > 4
    for file in kept:
        broker = {"url": "mqtt://me@127.0.0.1:1", "password_file": str(file)}
        status, _ = await call(castle, whole, "PATCH", "api/v1/config", json={"broker": broker})
        assert status == HTTPStatus.UNPROCESSABLE_ENTITY, file


async def test_who_opens_the_door_is_written_down(castle: Castle, whole: str) -> None:
    patch = {"broker": {"url": f"mqtt://me:{SECRET}@p@127.0.0.1:1"}, "web": {"hosts": ["house.example"]}}
    assert (await call(castle, whole, "PATCH", "api/v1/config", json=patch))[0] == HTTPStatus.OK
    back = {"broker": {"url": None}, "web": {"hosts": None}}  # before the page is opened anew
    assert (await call(castle, whole, "PATCH", "api/v1/config", json=back))[0] == HTTPStatus.OK
    lines = {
        line["setting"]: line
        for line in audited(castle, "door changed by the configuration")
        if "example" in line["new"] or "mqtt" in line["new"]
    }
    assert (lines["web.hosts"]["old"], lines["web.hosts"]["new"]) == ("[]", '["house.example"]')
    assert lines["web.hosts"]["name"] == "whole"
    assert lines["broker.url"]["new"] == '"mqtt://me:***@127.0.0.1:1"'
    assert SECRET not in (castle.folder / "audit.log").read_text()
    assert SECRET not in str(castle.log_lines())


@pytest.mark.parametrize("login", [f"me:a@{SECRET}", f"our user:{SECRET}", f"me:{SECRET}/b", f":{SECRET}@@"])
async def test_no_password_is_shown(castle: Castle, whole: str, login: str) -> None:
    """What is refused is told without it, too."""
    patch = {"broker": {"url": f"mqtt://{login}@127.0.0.1:1"}, "log": {"level": 5}}
    _, told = await call(castle, whole, "PATCH", "api/v1/config", json=patch)
    patch = {"devices": {"mqtt": {"url": f"nothing://{login}@127.0.0.1:1"}}}
    _, more = await call(castle, whole, "PATCH", "api/v1/config", json=patch)
    assert SECRET not in f"{told} {more} {castle.log_lines()}"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_page_elsewhere_has_nothing_fetched(castle: Castle, site: str) -> None:
    """A picture or a script of that address is asked for without an Origin."""
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    for path in ("api/v1/utterances", "api/v1/config", "events", "readyz", "static/app.js"):
        assert (await call(castle, "", "GET", path, headers=headers))[0] == HTTPStatus.FORBIDDEN


async def test_a_page_elsewhere_may_link_here_and_frame_nothing(castle: Castle) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await call(castle, "", "GET", "", headers=link))[0] == HTTPStatus.OK
    assert (await call(castle, "", "GET", "api/v1/config", headers=link))[0] == HTTPStatus.FORBIDDEN
    frame = {**link, "Sec-Fetch-Dest": "iframe"}
    assert (await call(castle, "", "GET", "", headers=frame))[0] == HTTPStatus.FORBIDDEN


async def test_nothing_of_the_house_is_left_in_a_cache(castle: Castle, whole: str) -> None:
    async with ClientSession(headers={"Authorization": f"Bearer {whole}"}) as client:
        for path in ("events", "readyz", "api/v1/utterances", "api/v1/health"):
            async with client.get(castle.url + path) as response:
                assert response.headers["Cache-Control"] == "no-store"


async def test_who_poses_as_anothers_board_is_written_down(tmp_path: Path) -> None:
    """In a castle of its own, whose health says so for a while."""
    with open_castle(tmp_path, CONFIG) as castle:
        await castle.ready()
        await pose(castle, castle.token("mallory", Role.DEVICE, devices=("hall",)))
        await passes(lambda: bool(audited(castle, "not allowed")))
        (line,) = audited(castle, "not allowed")
        assert (line["name"], line["device_id"], line["path"]) == ("mallory", "attic", "/device")
        await castle.holds("devices")


async def pose(castle: Castle, token: str) -> None:
    """Say HELLO as the attic."""
    headers = {"Authorization": f"Bearer {token}"}
    async with ClientSession() as client, client.ws_connect(f"{castle.url}device", headers=headers) as socket:
        await socket.send_bytes(Hello(Header(credit=32), "attic", 7, "test", 100, 0, 0, 0, 2048).to_bytes())
        assert [message.type async for message in socket] == [WSMsgType.BINARY], "why, and then the end"
