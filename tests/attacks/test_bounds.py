"""Whatever comes from outside has a bound, and costs the gateway no more than that."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from aiohttp import ClientConnectionError, ClientSession
from msgspec import json

from gateway.access.principals import Role
from tests.attacks.castle import Castle
from tests.attacks.hostile_files import Pieces, files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def listener(standing_castle: Castle) -> str:
    """A listener's token."""
    return standing_castle.token("listener", Role.LISTENER)


@pytest.fixture(scope="module")
def orchestrator(standing_castle: Castle) -> str:
    """An orchestrator's token."""
    return standing_castle.token("orchestrator", Role.ORCHESTRATOR)


async def upload(castle: Castle, listener: str, pieces: Pieces) -> tuple[int, str]:
    """Status and body; the gateway may answer before it has read all."""
    answered = False

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            if answered:
                return
            yield piece

    headers = {"Authorization": f"Bearer {listener}"}
    async with ClientSession() as client:
        with suppress(ClientConnectionError):
            async with client.post(
                f"{castle.url}api/v1/transcriptions", data=body(), headers=headers
            ) as answer:
                answered = True
                return answer.status, await answer.text()
    return 0, "it hung up in the middle"


@pytest.mark.parametrize("name", files())
async def test_a_recording_costs_the_gateway_nothing_whatever_it_claims(
    castle: Castle, listener: str, name: str
) -> None:
    status, text = await upload(castle, listener, files()[name])
    assert status in {0, 200, 413, 422}, text
    assert "Traceback" not in text


SUBSCRIPTIONS: dict[str, Callable[[], bytes]] = {
    "sessions": lambda: json.encode({"type": "subscribe", "sessions": [f"{n:x}" for n in range(8_000)]}),
    "devices": lambda: json.encode({"type": "subscribe", "devices": ["d"] * 15_000}),
    "users": lambda: json.encode({"type": "subscribe", "users": ["u" * 60_000]}),
    "kinds": lambda: json.encode({"type": "subscribe", "kinds": ["reply"] * 7_000}),
    "an epoch": lambda: json.encode({"type": "subscribe", "epoch": "e" * 60_000}),
    "boxes": lambda: b'{"type":"subscribe","x":' + b"[" * 60_000,
    "a token": lambda: json.encode({"type": "authenticate", "token": "t" * 60_000}),
}


@pytest.mark.parametrize("name", SUBSCRIPTIONS)
async def test_a_subscription_of_64_kib_is_not_kept(castle: Castle, listener: str, name: str) -> None:
    said = SUBSCRIPTIONS[name]().decode()
    headers = {"Authorization": f"Bearer {listener}"}
    async with ClientSession() as client:
        for _ in range(20):
            async with client.ws_connect(f"{castle.url}ws", headers=headers) as socket:
                await socket.send_str(said)
                answers = [message.data async for message in socket]
                assert socket.close_code in {1002, 1003, 1007, 1008, 1009}, answers


BODIES: dict[str, tuple[str, Callable[[], bytes | io.BytesIO]]] = {
    "a reply's text": ("replies", lambda: reply(text="x" * 60_000)),
    "a reply's agent": ("replies", lambda: reply(agent="x" * 60_000)),
    "a reply's error": ("replies", lambda: reply(error="x" * 60_000)),
    "a reply's request": ("replies", lambda: reply(correlation_id="x" * 60_000)),
    "a reply's id": ("replies", lambda: reply(message_id="x" * 60_000)),
    "a reply's hints": ("replies", lambda: reply(hints={"hotwords": "x" * 60_000})),
    "boxes": ("replies", lambda: b'{"x":' + b"[" * 60_000),
    "digits": ("replies", lambda: b'{"timestamp":' + b"9" * 60_000 + b"}"),
    "a body without an end": ("replies", lambda: io.BytesIO(b" " * 5_000_000)),
    "what is said": ("say", lambda: json.encode({"text": "x" * 60_000})),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_of_64_kib_is_not_kept(castle: Castle, orchestrator: str, name: str) -> None:
    path, body = BODIES[name]
    headers = {"Authorization": f"Bearer {orchestrator}", "Content-Type": "application/json"}
    async with ClientSession() as client:
        for _ in range(20):
            with suppress(ClientConnectionError):
                async with client.post(f"{castle.url}api/v1/{path}", data=body(), headers=headers) as answer:
                    assert answer.status in {202, 204, 400, 403, 404, 409, 413, 422, 429}, await answer.text()
                    assert len(await answer.read()) < 2_000


def reply(**facts: object) -> bytes:
    return json.encode({"correlation_id": "c", "session_id": "s", **facts})
