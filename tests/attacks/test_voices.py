"""Libraries' own voices: what they would write into the log, and whom they would tell on the network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from gateway.contract.messages import new_id
from tests.attacks.castle import Castle
from tests.gateway.web.raw import connection

pytestmark = pytest.mark.slow

CONFIG = {"web": {"require_token": True}}
ROOT = Path(__file__).parents[2]
UNSHARE = shutil.which("unshare")
NETWORK = (UNSHARE or "unshare", "--net", "--mount")
MOST_LOG_BYTES = 150_000
"""What a hundred malformed requests may add to the log."""

MALFORMED = {
    "a header without an end": "GET / HTTP/1.1\r\nHost: {host}\r\nAuthorization Bearer {token}\r\n\r\n",
    "a zero in a header": "GET / HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\x00\r\n\r\n",
    "a folded header": "GET / HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer\r\n {token}\r\n\r\n",
    "a cookie that is none": "GET / HTTP/1.1\r\nHost: {host}\r\nCookie: earshot={token}\x01;;=\r\n\r\n",
    "a token as a method": "{token} / HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "a token as a version": "GET / {token}\r\nHost: {host}\r\n\r\n",
    "a token in the address": "GET /?token={token} HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "a token for a host": "GET / HTTP/1.1\r\nHost: {token}\r\n\r\n",
    "a token in a length": "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {token}\r\n\r\n",
    "a token in a chunk": "POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n{token}\r\n",
    "an upgrade with a bad key": (
        "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: {token}\r\nSec-WebSocket-Protocol: earshot, earshot.token.{token}\r\n\r\n"
    ),
    "much of it": "GET / HTTP/1.1\r\nHost: {host}\r\n" + "A {token}\r\n" * 60 + "\r\n",
}


async def spoken_to(castle: Castle, data: str) -> None:
    """Somebody says that, and hears whatever comes until the gateway hangs up."""
    async with connection(castle.port) as raw:
        raw.send(data.encode("latin-1"))
        await raw.head()


@pytest.mark.parametrize("name", MALFORMED)
async def test_no_token_is_in_the_log(castle: Castle, name: str) -> None:
    token = castle.token(new_id("t"))
    said = MALFORMED[name].replace("{host}", f"127.0.0.1:{castle.port}").replace("{token}", token)
    await spoken_to(castle, said)
    text = castle.log_text()
    assert not any(part in text for part in token.split(".")[1:]), text[-2_000:]


@pytest.mark.parametrize(
    "offer", ["earshot.token. {token}", "EARSHOT.TOKEN.{token}", "earshot.tokens.{token}", "{token}"]
)
async def test_nor_of_a_subprotocol_that_is_not_quite_ours(castle: Castle, offer: str) -> None:
    token = castle.token(new_id("t"))
    headers = {"Sec-WebSocket-Protocol": f"earshot, {offer.format(token=token)}"}
    async with ClientSession() as client:
        with suppress(WSServerHandshakeError):
            async with client.ws_connect(f"{castle.url}ws", headers=headers) as ws:
                await ws.close()
    assert not any(part in castle.log_text() for part in token.split(".")[1:])


async def test_strangers_cannot_fill_the_log(castle: Castle) -> None:
    said = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{castle.port}\r\n" + f"A {'x' * 8_000}\r\n" + "\r\n"
    before = len(castle.log_text())
    for _ in range(100):
        await spoken_to(castle, said)
    assert len(castle.log_text()) - before < MOST_LOG_BYTES


def may_unshare() -> bool:
    """Whether we may make a network of our own here."""
    command = [
        UNSHARE or "unshare",
        "--net",
        "--mount",
        "ip",
        "link",
        "add",
        "out",
        "type",
        "veth",
        "peer",
        "name",
        "wall",
    ]
    return UNSHARE is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_nothing_but_what_is_configured_is_asked_for_on_the_network(tmp_path: Path) -> None:
    if not may_unshare():
        pytest.skip("a network namespace needs root, iproute2 and the kernel's veth")
    command = [
        str(UNSHARE),
        "--net",
        "--mount",
        sys.executable,
        "-m",
        "tests.attacks.sealed_house",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=110)
    assert done.returncode == 0, done.stderr[-3_000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["probe"] == 1, "what gets out is heard"
    assert found["heard"] == found["read"] == "start the motor"
    assert found["answered"]
    assert found["tried"] == ["mqtt", "amqp", "redis", "nats"]
    assert found["packets"] == []
