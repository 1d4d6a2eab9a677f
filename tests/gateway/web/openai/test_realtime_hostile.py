"""Realtime sessions of clients that mean no good, or do no good: none costs more than itself."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientError, ClientSession, WSServerHandshakeError
from structlog.testing import capture_logs

from gateway.access.principals import Role
from gateway.web.openai import realtime as sessions
from gateway.web.openai import realtime_listening, realtime_queues, routes
from gateway.web.openai.realtime_messages import AppendAudio
from gateway.web.openai.realtime_queues import ClientInbox
from gateway.web.openai.realtime_session import RealtimeSession
from tests.gateway.access.keyring import Keyring
from tests.gateway.web.house import opening_slowly
from tests.gateway.web.openai.realtime_client import Speaker, loud, quiet, realtime
from tests.gateway.web.openai.v1 import V1, error, open_v1
from tests.gateway.works import Engine
from tests.record import passes
from tests.system.house import running

pytestmark = pytest.mark.slow

LOCKED = {"port": 0, "require_token": True}


async def serves(v1: V1, **options: object) -> None:
    """Others are served as ever."""
    async with realtime(v1, **options) as session:
        await session.speak(loud(0.5) + quiet(1))
        assert await session.transcript()


def dictating(v1: V1) -> int:
    return len(v1.works.pipeline.dictations._open)


async def test_a_message_that_is_too_long_ends_its_session_and_no_other(v1: V1) -> None:
    async with realtime(v1) as session, realtime(v1) as other:
        longest = sessions.MESSAGE_BYTES
        await session.socket.send_str(" " * (longest - 60) + '{"type":"input_audio_buffer.clear"}')
        await session.first("input_audio_buffer.cleared")
        await session.socket.send_str('"' + "a" * longest + '"')
        assert await session.closed() == 1009
        await other.speak(loud(0.5) + quiet(1))
        assert await other.transcript()
    await passes(lambda: not dictating(v1))


async def test_who_does_not_read_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told again and again how its session is set, and does not take it."""
    monkeypatch.setattr(realtime_queues, "OUTBOX_CHARACTERS", 64 * 1024)
    asked = {"input_audio_transcription": {"keywords": ["x" * 90] * 40}}
    update = msgspec.json.encode({"type": "session.update", "session": asked}).decode()
    unlimited = {"port": 0, "limits": {"messages_per_second": 0, "megabytes_per_second": 0}}
    async with open_v1(tmp_path, web=unlimited) as v1, realtime(v1) as session:
        await session.next()
        connection = session.socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.pause_reading()
        with capture_logs() as logs:
            with suppress(ConnectionError):
                while dictating(v1):
                    await session.socket.send_str(update)
            await passes(lambda: not dictating(v1))
        assert "the client does not read what it is told" in {one.get("reason") for one in logs}
        await serves(v1)


async def test_what_comes_faster_than_it_is_understood_waits_and_is_not_lost(tmp_path: Path) -> None:
    engine = Engine()
    async with open_v1(tmp_path, engine) as v1, realtime(v1) as session:
        engine.go.clear()
        await session.speak((loud(0.5) + quiet(1)) * 20)
        await engine.working()
        engine.go.set()
        assert all([await session.transcript() for _ in range(20)])


async def test_who_waits_for_the_recognizer_is_still_there(tmp_path: Path) -> None:
    """Its pings are answered meanwhile, or it would think that nobody is."""
    engine = Engine()
    async with open_v1(tmp_path, engine) as v1, realtime(v1, heartbeat=0.1) as session:
        engine.go.clear()
        await session.speak((loud(0.5) + quiet(1)) * 6)
        await engine.working()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):  # as long as it takes to give up on somebody
                while await session.next():
                    pass
        engine.go.set()
        assert await session.transcript()


async def test_a_mistake_of_ours_ends_a_session_and_no_other(v1: V1, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: object) -> None:
        raise RuntimeError("a mistake")

    async with realtime(v1) as session, realtime(v1) as other:
        await session.next()
        with monkeypatch.context() as patched:
            patched.setattr(AppendAudio, "data", broken)
            await session.say("input_audio_buffer.append", audio="")
            assert await session.closed() == 1011
        await other.speak(loud(0.5) + quiet(1))
        assert await other.transcript()
    assert v1.works.health.mishaps.counts["a realtime session"] == 1


async def test_a_client_may_be_so_far_ahead_and_is_then_read_no_further() -> None:
    inbox = ClientInbox()
    text = "a" * (realtime_queues.INBOX_CHARACTERS // 4)
    for number in range(4):
        await inbox.put(f"{number}{text}")
    waiting = asyncio.create_task(inbox.put("last"))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert [(await inbox.take())[0] for _ in range(4)] == list("0123")
    assert await inbox.take() == "last"
    await waiting


async def test_it_is_heard_no_faster_than_it_may_be(v1: V1, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime_listening, "PACE", realtime_listening.Rate(per_second=20.0, burst=0.5))
    async with realtime(v1) as session:
        began = asyncio.get_running_loop().time()
        await session.speak(quiet(6))
        await session.say("input_audio_buffer.commit")
        await session.transcript()
        assert asyncio.get_running_loop().time() - began > 5 / 20


async def test_messages_that_cost_no_audio_let_others_have_their_turn(
    v1: V1, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    turns = 0
    hear = RealtimeSession.hear

    async def noted(session: RealtimeSession, text: str) -> None:
        seen.append(turns)
        await hear(session, text)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(RealtimeSession, "hear", noted)
    async with realtime(v1) as session:
        await session.speak(quiet(60), size=288_000)  # what comes behind it waits
        for _ in range(200):
            await session.say("session.update", session={})
        with running(others()):
            for _ in range(200):
                await session.first("session.updated")
    assert len(set(seen[-200:])) == 200


async def test_another_format_costs_as_much_as_audio(v1: V1, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is brought to 16 kHz by has to be made."""
    monkeypatch.setattr(realtime_listening, "PACE", realtime_listening.Rate(per_second=20.0, burst=0.5))
    async with realtime(v1) as session:
        began = asyncio.get_running_loop().time()
        for rate in range(8_001, 8_008):
            await session.update(format={"type": "audio/pcm", "rate": rate})
        assert asyncio.get_running_loop().time() - began > 6 / 20


async def test_who_says_nothing_for_long_is_sent_away(v1: V1, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "IDLE_SECONDS", 0.1)
    async with realtime(v1) as session:
        assert await session.closed() == 1000
    await passes(lambda: not dictating(v1))


async def test_a_client_that_leaves_in_the_middle_takes_its_work_with_it(tmp_path: Path) -> None:
    engine = Engine()
    async with open_v1(tmp_path, engine) as v1:
        for how in ("close", "abort"):
            async with realtime(v1) as session:
                await session.speak(loud(1))
                await session.next()
                if how == "abort":
                    connection = session.socket._response.connection
                    assert connection is not None
                    assert connection.transport is not None
                    connection.transport.abort()
            await passes(lambda: not dictating(v1))
        await serves(v1)


async def test_half_a_handshake_and_half_a_frame_hold_nothing_up(v1: V1) -> None:
    host = v1.served.url.removeprefix("http://").rstrip("/")
    name, port = host.rsplit(":", 1)
    head = f"GET /v1/realtime HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    rest = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    with (
        socket.create_connection((name, int(port))) as half,
        socket.create_connection((name, int(port))) as cut,
    ):
        half.sendall(head.encode())
        cut.sendall((head + rest).encode())
        await asyncio.to_thread(cut.recv, 1)
        cut.sendall(b"\x81\xff\0\0")
        await serves(v1)


async def test_one_owner_leaves_room_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MOST", 4)
    keyring = Keyring(tmp_path)
    one, other = keyring.token("one"), keyring.token("other")
    async with open_v1(tmp_path, web=LOCKED) as v1, AsyncExitStack() as stack:
        mine = {"headers": {"Authorization": f"Bearer {one}"}}
        for _ in range(2):
            await stack.enter_async_context(realtime(v1, **mine))
        with pytest.raises(WSServerHandshakeError) as refused:
            await stack.enter_async_context(realtime(v1, **mine))
        assert refused.value.status == 429
        await serves(v1, headers={"Authorization": f"Bearer {other}"})
        await passes(
            lambda: "one, 2 connections" in str(v1.works.health.report().components["openai"].detail)
        )
    await passes(lambda: not dictating(v1))


async def test_a_token_that_is_revoked_ends_its_session(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    token, text = keyring.make("program")
    async with open_v1(tmp_path, web=LOCKED) as v1:
        protocols = ("realtime", f"openai-insecure-api-key.{text}")
        async with realtime(v1, protocols=protocols) as session:
            await session.next()
            keyring.file.revoke(token.token_id)
            assert (await session.error())["code"] == "invalid_api_key"
            assert await session.closed() == 1008


@pytest.mark.parametrize("role", [Role.ORCHESTRATOR, Role.DEVICE])
async def test_whose_token_is_for_something_else_is_refused(tmp_path: Path, role: Role) -> None:
    keyring = Keyring(tmp_path)
    text = keyring.token("other", role, devices=("kitchen",))
    async with open_v1(tmp_path, web=LOCKED) as v1:
        for headers, status in (
            ({"Authorization": f"Bearer {text}"}, 403),
            ({"Authorization": "Bearer x"}, 401),
            ({}, 401),
        ):
            with pytest.raises(WSServerHandshakeError) as refused:
                async with realtime(v1, headers=headers):
                    pass
            assert refused.value.status == status


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [("", 426, None), ("?intent=conversation", 400, "intent"), ("?model=gpt-9", 404, "model"),
     ("?api_key=x", 400, None)],
)  # fmt: skip
async def test_what_cannot_be_a_session_is_refused_before_there_is_one(
    v1: V1, query: str, status: int, param: str | None
) -> None:
    async with v1.raw("GET", f"/realtime{query}") as response:
        assert response.status == status
        assert (await error(response))["param"] == param


async def test_a_key_needs_its_subprotocol_beside_it(v1: V1) -> None:
    """Else nobody takes what is offered, and aiohttp logs all of it."""
    for offered in (("openai-insecure-api-key.x",), ("earshot", "earshot.token.x")):
        with pytest.raises(WSServerHandshakeError) as refused:
            async with realtime(v1, protocols=offered):
                pass
        assert refused.value.status == 400
    url = f"{v1.served.url}ws".replace("http", "ws", 1)
    with pytest.raises(WSServerHandshakeError, match="400"):
        await v1.served.client.ws_connect(url, protocols=("realtime", "openai-insecure-api-key.x"))


async def test_when_the_gateway_stops_its_sessions_end(tmp_path: Path) -> None:
    async with ClientSession() as client:
        async with open_v1(tmp_path) as v1:
            socket = await client.ws_connect(f"{v1.served.url}v1/realtime")
            session = Speaker(socket)
            await session.next()
            closing = asyncio.create_task(session.closed())
        assert await closing == 1001


async def test_a_gateway_that_stops_while_a_session_is_being_opened_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = opening_slowly(monkeypatch)
    async with ClientSession() as client:
        async with open_v1(tmp_path) as v1:
            connecting = asyncio.create_task(client.ws_connect(f"{v1.served.url}v1/realtime"))
            await opening.wait()
        with pytest.raises(ClientError):
            await connecting
        assert not v1.works.health.mishaps.counts
