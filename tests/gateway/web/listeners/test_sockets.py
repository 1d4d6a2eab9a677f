"""Listeners on real WebSockets: good ones, bad ones, slow ones."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gateway.contract.events import (
    ErrorEvent,
    ListenerEvent,
    ReplyEvent,
    SnapshotEvent,
    StatusEvent,
    Subscribe,
    decode_event,
    decode_subscribe,
)
from gateway.contract.messages import BadMessage, encode
from gateway.settings.web import WebSettings
from tests.gateway.events import reply, status, transcription
from tests.gateway.web.house import PATIENCE, House, until


async def receive(ws: ClientWebSocketResponse) -> ListenerEvent:
    return decode_event(await ws.receive_str(timeout=PATIENCE))


@asynccontextmanager
async def listening(
    client: ClientSession, url: str, subscribe: Subscribe | None = None
) -> AsyncIterator[ClientWebSocketResponse]:
    async with client.ws_connect(url + "ws") as ws:
        await ws.send_str(encode(subscribe or Subscribe()).decode())
        yield ws


async def closed(ws: ClientWebSocketResponse) -> tuple[int | None, str]:
    """How the gateway ended the connection."""
    async with asyncio.timeout(PATIENCE):
        while (message := await ws.receive()).type is WSMsgType.TEXT:
            pass
    assert message.type is WSMsgType.CLOSE
    return message.data, message.extra or ""


async def test_a_snapshot_then_what_happens(house: House, client: ClientSession) -> None:
    house.publish(transcription())
    house.publish(status("thinking"))
    async with listening(client, house.url) as ws:
        snapshot = await receive(ws)
        assert isinstance(snapshot, SnapshotEvent)
        assert [event.status for event in snapshot.sessions] == ["thinking"]
        assert len(snapshot.conversation) == 1
        assert [event.component for event in snapshot.health] == ["recognizer"]
        house.publish(reply("The light is on."))
        event = await receive(ws)
        assert isinstance(event, ReplyEvent)
        assert (event.epoch, event.seq) == (snapshot.epoch, snapshot.seq + 1)


@pytest.mark.slow
async def test_who_says_nothing_gets_everything(house: House, client: ClientSession) -> None:
    async with client.ws_connect(house.url + "ws") as ws:
        assert isinstance(await receive(ws), SnapshotEvent)
        house.publish(reply("Everything."))
        assert isinstance(await receive(ws), ReplyEvent)


async def test_a_filter(house: House, client: ClientSession) -> None:
    async with listening(client, house.url, Subscribe(sessions=("s-study",))) as ws:
        assert isinstance(await receive(ws), SnapshotEvent)
        house.publish(status(device="kitchen"), status(device="study"))
        event = await receive(ws)
        assert isinstance(event, StatusEvent)
        assert event.session_id == "s-study"


async def test_resuming_brings_the_missed_finals_and_no_snapshot(house: House, client: ClientSession) -> None:
    async with listening(client, house.url) as ws:
        cursor = await receive(ws)
    for number in range(5):
        house.publish(reply(f"reply {number}", number))
    async with listening(client, house.url, Subscribe(epoch=cursor.epoch, seq=cursor.seq)) as ws:
        events = [await receive(ws) for _ in range(5)]
    assert [event.text for event in events if isinstance(event, ReplyEvent)] == [
        f"reply {number}" for number in range(5)
    ]


async def test_a_cursor_of_another_run_gets_a_snapshot(house: House, client: ClientSession) -> None:
    async with listening(client, house.url, Subscribe(epoch="e_yesterday", seq=1)) as ws:
        assert isinstance(await receive(ws), SnapshotEvent)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("hello?", "malformed"),
        ("[]", "Expected `object`"),
        ('{"type":"shout"}', "Invalid value 'shout'"),
        ('{"type":"subscribe","kinds":"reply"}', "Expected `array`"),
        ('{"type":"subscribe","kinds":["replies"]}', "no such kind: 'replies'"),
        ('{"type":"subscribe","rooms":["kitchen"]}', "unknown field `rooms`"),
        ('{"type":"subscribe","seq":"1"}', "Expected `int`"),
    ],
)
async def test_a_bad_message_is_told_why(
    house: House, client: ClientSession, message: str, reason: str
) -> None:
    async with client.ws_connect(house.url + "ws") as ws:
        await ws.send_str(message)
        event = await receive(ws)
        assert isinstance(event, ErrorEvent)
        assert event.code == "bad_message"
        assert reason in event.reason
        assert await closed(ws) == (1008, "bad_message")


async def test_binary_is_not_understood(house: House, client: ClientSession) -> None:
    async with client.ws_connect(house.url + "ws") as ws:
        await ws.send_bytes(b"\x00\xff")
        event = await receive(ws)
        assert isinstance(event, ErrorEvent)
        assert "binary" in event.reason
        assert (await closed(ws))[0] == 1008


async def test_an_oversized_message_closes_with_1009(house: House, client: ClientSession) -> None:
    async with client.ws_connect(house.url + "ws") as ws:
        await ws.send_str(json.dumps({"type": "subscribe", "sessions": ["x" * 70_000]}))
        assert (await closed(ws))[0] == 1009
    async with listening(client, house.url) as ws:
        assert isinstance(await receive(ws), SnapshotEvent)


async def test_one_subscribe_per_connection(house: House, client: ClientSession) -> None:
    async with listening(client, house.url) as ws:
        assert isinstance(await receive(ws), SnapshotEvent)
        await ws.send_str('{"type":"subscribe"}')
        event = await receive(ws)
        assert isinstance(event, ErrorEvent)
        assert (event.code, event.closes) == ("ignored", False)
        house.publish(reply())
        assert isinstance(await receive(ws), ReplyEvent)


@given(st.one_of(st.text(), st.binary(), st.recursive(st.none() | st.integers(), st.lists).map(json.dumps)))
@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow])
def test_no_client_message_is_worse_than_a_bad_one(payload: str | bytes) -> None:
    with suppress(BadMessage):
        assert isinstance(decode_subscribe(payload), Subscribe)


def test_brackets_deeper_than_the_stack_are_a_bad_message() -> None:
    with pytest.raises(BadMessage):
        decode_event('{"type":"error","deep":' + "[" * 60_000)


class TestFewListeners:
    @pytest.fixture
    def settings(self) -> WebSettings:
        return WebSettings(port=0, max_listeners=1)

    async def test_one_too_many(self, house: House, client: ClientSession) -> None:
        async with listening(client, house.url) as first, listening(client, house.url) as second:
            await receive(first)
            event = await receive(second)
            assert isinstance(event, ErrorEvent)
            assert event.code == "too_many_listeners"
            assert (await closed(second))[0] == 1013
        assert house.hub.stats().refused == 1


class TestStalled:
    @pytest.fixture
    def settings(self) -> WebSettings:
        return WebSettings(port=0, outbox_messages=8, slow_seconds=0.1)

    async def test_a_stalled_listener_is_cut_and_delays_nobody(
        self, house: House, client: ClientSession
    ) -> None:
        stalled = await asyncio.to_thread(connect_and_never_read, house.url)
        with stalled:
            async with asyncio.timeout(PATIENCE), listening(client, house.url) as quick:
                await receive(quick)
                number = 0
                while not house.hub.stats().slow_consumers:
                    number += 1
                    house.publish(reply("x" * 20_000, number))
                    event = await receive(quick)
                    assert isinstance(event, ReplyEvent)
                    assert event.correlation_id == f"c_correlation_{number}"
            await until(lambda: house.hub.stats().listeners == 0)

    async def test_a_slow_reader_is_told_where_to_resume(self, house: House, client: ClientSession) -> None:
        async with listening(client, house.url) as ws:
            await receive(ws)
            for number in range(100):  # more at once than the wire is given beside the outbox
                house.publish(reply("a burst in one go" * 100, number))
            code, reason = await closed(ws)
        assert code == 1013
        assert reason.startswith("slow consumer: resume after seq ")


def connect_and_never_read(url: str) -> socket.socket:
    """A WebSocket whose peer has stopped reading, with as small a buffer as the system gives."""
    host, port = url.split("/")[2].split(":")
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.connect((host, int(port)))
    stalled.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    # An empty JSON object, masked with zeros: the subscription.
    stalled.sendall(b"\x81\x82\x00\x00\x00\x00{}")
    return stalled


async def test_a_listener_that_vanishes_is_forgotten(house: House, client: ClientSession) -> None:
    async with listening(client, house.url) as ws:
        await receive(ws)
        assert house.hub.stats().listeners == 1
    await until(lambda: house.hub.stats().listeners == 0)


async def test_closing_the_hub_says_goodbye(house: House, client: ClientSession) -> None:
    async with listening(client, house.url) as ws:
        await receive(ws)
        house.publish(reply("last words"))
        house.hub.close()
        event = await receive(ws)
        assert isinstance(event, ReplyEvent)
        assert await closed(ws) == (1001, "the gateway is stopping")


async def test_stopping_the_server_says_goodbye(house: House, client: ClientSession) -> None:
    async with listening(client, house.url) as ws:
        await receive(ws)
        stopping = asyncio.ensure_future(house.server.__aexit__(None, None, None))
        assert (await closed(ws))[0] == 1001
        await asyncio.wait_for(stopping, PATIENCE)
    assert house.hub.stats().listeners == 0
