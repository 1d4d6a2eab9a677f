"""Server-sent events: the same events as on a WebSocket, and nobody who listens badly is felt by another."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import pytest
from aiohttp import ClientPayloadError, ClientResponse, ClientSession

from gateway.contract.events import (
    HealthEvent,
    ListenerEvent,
    PartialEvent,
    ReplyEvent,
    SnapshotEvent,
    StatusEvent,
    decode_event,
)
from gateway.settings.web import WebSettings
from tests.gateway.events import device, partial, reply, status
from tests.gateway.web.house import PATIENCE, House, until


class Block(NamedTuple):
    """One event of the stream as a browser reads it."""

    number: str
    kind: str
    event: ListenerEvent


@asynccontextmanager
async def listening(
    client: ClientSession, house: House, query: str = "", after: str = ""
) -> AsyncIterator[ClientResponse]:
    headers = {"Last-Event-ID": after} if after else {}
    async with client.get(f"{house.url}events{query}", headers=headers) as response:
        assert response.status == 200, await response.text()
        yield response


async def receive(response: ClientResponse) -> Block:
    """The next event; comments and the time to wait are passed over."""
    fields: dict[str, str] = {}
    async with asyncio.timeout(PATIENCE):
        while True:
            line = (await response.content.readuntil(b"\n")).decode().rstrip("\n")
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
            elif "data" in fields:
                return Block(fields["id"], fields["event"], decode_event(fields["data"]))
            else:
                fields.clear()


async def rest(response: ClientResponse) -> str:
    """Everything until the end."""
    async with asyncio.timeout(PATIENCE):
        return (await response.content.read()).decode()


async def test_a_snapshot_then_everything_that_happens(house: House, client: ClientSession) -> None:
    async with listening(client, house) as response:
        assert response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        number, kind, event = await receive(response)
        assert (kind, number) == ("snapshot", f"{house.hub.epoch}:1")
        assert isinstance(event, SnapshotEvent)
        house.publish(status(), partial(), reply("zwei\nZeilen"))
        for seq, (name, expected) in enumerate(
            [("status", StatusEvent), ("partial", PartialEvent), ("reply", ReplyEvent)], 2
        ):
            number, kind, event = await receive(response)
            assert (number, kind) == (f"{house.hub.epoch}:{seq}", name)
            assert isinstance(event, expected)
        assert isinstance(event, ReplyEvent)
        assert event.text == "zwei\nZeilen"


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("?kinds=reply", ["reply"]),
        ("?kinds=reply,status", ["status", "reply"]),
        ("?kinds=reply&kinds=status", ["status", "reply"]),
        ("?devices=kitchen", ["status", "reply"]),
        ("?devices=cellar", ["device"]),
        ("?users=anna&kinds=device", ["device"]),
        ("?levels=true&kinds=device&devices=cellar", ["device", "device"]),
        ("?sessions=s-kitchen", ["status", "reply"]),
        ("?kinds=", ["status", "reply", "device"]),
    ],
)
async def test_filters(house: House, client: ClientSession, query: str, kinds: list[str]) -> None:
    async with listening(client, house, query) as response:
        assert (await receive(response)).kind == "snapshot"
        house.publish(status(), reply(), device("cellar"), device("cellar", notice="level"))
        assert [(await receive(response)).kind for _ in kinds] == kinds


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("?kinds=replies", "kinds has one that there is not"),
        ("?kind=reply", "nothing else"),
        ("?levels=yes", "levels is true or false"),
        ("?rooms=<b>", "nothing else"),
    ],
)
async def test_a_wrong_query_is_a_problem(
    house: House, client: ClientSession, query: str, detail: str
) -> None:
    async with client.get(f"{house.url}events{query}") as response:
        assert response.status == 400
        assert response.content_type == "application/problem+json"
        assert detail in (await response.json())["detail"]
    assert house.hub.stats().listeners == 0


class TestResume:
    async def test_what_was_missed_comes_once(self, house: House, client: ClientSession) -> None:
        async with listening(client, house) as response:
            await receive(response)
            house.publish(reply("before"))
            last = (await receive(response)).number
        house.publish(*(reply(f"meanwhile {number}") for number in range(3)))
        async with listening(client, house, after=last) as response:
            house.publish(reply("after"))
            events = [(await receive(response)).event for _ in range(4)]
        texts = [event.text for event in events if isinstance(event, ReplyEvent)]
        assert texts == ["meanwhile 0", "meanwhile 1", "meanwhile 2", "after"]

    async def test_nothing_missed_is_no_snapshot(self, house: House, client: ClientSession) -> None:
        """The headers are there before any event is."""
        async with listening(client, house, after=f"{house.hub.epoch}:{1}") as response:
            house.publish(reply("the first"))
            event = (await receive(response)).event
            assert isinstance(event, ReplyEvent)

    @pytest.mark.parametrize("after", ["e_yesterday:1", "nonsense", ":", "e:-1", f"e:{10**30}", "e:1:2"])
    async def test_what_cannot_be_resumed_starts_over(
        self, house: House, client: ClientSession, after: str
    ) -> None:
        async with listening(client, house, after=after) as response:
            assert (await receive(response)).kind == "snapshot"

    async def test_broken_off_anywhere(self, house: House, client: ClientSession) -> None:
        seqs: list[int] = []
        after = f"{house.hub.epoch}:1"
        for _ in range(10):
            async with listening(client, house, after=after) as response:
                house.publish(*(reply(str(number)) for number in range(7)))
                for _ in range(3):
                    after, _, event = await receive(response)
                    seqs.append(event.seq)
        async with listening(client, house, after=after) as response:
            while seqs[-1] < 71:
                seqs.append((await receive(response)).event.seq)
        assert seqs == list(range(2, 72))


async def test_head_is_answered_and_listens_to_nothing(house: House, client: ClientSession) -> None:
    async with client.head(house.url + "events") as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
    assert house.hub.stats().listeners == 0


async def test_http_1_0_has_no_chunks(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(f"GET /events?kinds=reply HTTP/1.0\r\nHost: 127.0.0.1:{house.port}\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"chunked" not in head
        assert await reader.readuntil(b"\n\n") == b"retry: 1000\n\n"
        await reader.readuntil(b"\n\n")
        house.publish(reply())
        block = await reader.readuntil(b"\n\n")
    assert block.startswith(f"id: {house.hub.epoch}:2\nevent: reply\ndata: {{".encode())
    writer.close()


async def test_a_listener_that_leaves_is_forgotten(house: House, client: ClientSession) -> None:
    async with listening(client, house) as response:
        await receive(response)
        assert house.hub.stats().listeners == 1
        response.close()
    await until(lambda: house.hub.stats().listeners == 0)


class TestHeartbeat:
    @pytest.fixture
    def settings(self) -> WebSettings:
        return WebSettings(port=0, heartbeat_seconds=0.1)

    async def test_silence_is_broken_now_and_then(self, house: House, client: ClientSession) -> None:
        async with listening(client, house) as response:
            await receive(response)
            for _ in range(2):
                assert (
                    await asyncio.wait_for(response.content.readuntil(b"\n\n"), PATIENCE)
                    == b": still here\n\n"
                )


class TestFew:
    @pytest.fixture
    def settings(self) -> WebSettings:
        return WebSettings(port=0, max_listeners=1)

    async def test_one_too_many(self, house: House, client: ClientSession) -> None:
        async with listening(client, house) as response:
            await receive(response)
            async with client.get(house.url + "events") as refused:
                assert refused.status == 503
                assert refused.headers["Retry-After"] == "5"
                assert "1 listeners" in (await refused.json())["detail"]
            house.publish(reply())
            assert (await receive(response)).kind == "reply"


class TestReplaced:
    @pytest.fixture
    def settings(self) -> WebSettings:
        return WebSettings(port=0, max_listeners=1, listener_policy="replace_slowest")

    async def test_one_makes_room_for_the_next(self, house: House, client: ClientSession) -> None:
        async with listening(client, house) as first:
            after = (await receive(first)).number
            async with client.ws_connect(house.url + "ws") as second:
                await second.send_str("{}")
                await second.receive_str(timeout=PATIENCE)
                assert "made room" in await rest(first)
                async with listening(client, house, after=after) as again:
                    house.publish(reply("both ways"))
                    assert (await receive(again)).kind == "reply"
                    message = await second.receive(PATIENCE)
                    assert message.data == 1013
        assert house.hub.stats().evicted == 2


class TestStalled:
    @pytest.fixture
    def settings(self) -> WebSettings:
        return WebSettings(port=0, outbox_messages=8, slow_seconds=0.1)

    async def test_one_that_never_reads_is_cut_and_delays_nobody(
        self, house: House, client: ClientSession
    ) -> None:
        stalled = await asyncio.to_thread(connect_and_never_read, house.port)
        with stalled:
            async with listening(client, house) as quick:
                await receive(quick)
                await until(lambda: house.hub.stats().listeners == 2)
                async with asyncio.timeout(PATIENCE):
                    while not house.hub.stats().slow_consumers:
                        house.publish(reply("x" * 20_000))
                        assert (await receive(quick)).kind == "reply"
                await until(lambda: house.hub.stats().listeners == 1)

    async def test_a_slow_reader_is_told_where_to_resume(self, house: House, client: ClientSession) -> None:
        async with listening(client, house) as response:
            await receive(response)
            house.publish(*(reply("a burst in one go" * 100, number) for number in range(100)))
            with suppress(ClientPayloadError):  # or it is cut in the middle, and knows itself what it had
                assert "slow consumer: resume after seq " in await rest(response)
        await until(lambda: house.hub.stats().slow_consumers == 1)


def connect_and_never_read(port: int) -> socket.socket:
    """A listener with as small a buffer as the system gives, which it does not empty."""
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.connect(("127.0.0.1", port))
    stalled.sendall(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    return stalled


async def test_closing_the_hub_ends_the_stream(house: House, client: ClientSession) -> None:
    async with listening(client, house) as response:
        await receive(response)
        house.publish(reply("last words"))
        house.hub.close()
        assert (await receive(response)).kind == "reply"
        assert await rest(response) == ": the gateway is stopping\n\n"


async def test_stopping_the_server_ends_the_stream(house: House, client: ClientSession) -> None:
    async with listening(client, house) as response:
        await receive(response)
        stopping = asyncio.ensure_future(house.server.__aexit__(None, None, None))
        assert await rest(response) == ": the gateway is stopping\n\n"
        await asyncio.wait_for(stopping, PATIENCE)
    assert house.hub.stats().listeners == 0


async def test_one_broken_listener_never_touches_another(house: House, client: ClientSession) -> None:
    """Sockets and streams side by side; half of them break off in every way there is."""
    async with listening(client, house) as stream, client.ws_connect(house.url + "ws") as ws:
        await ws.send_str("{}")
        await ws.receive_str(timeout=PATIENCE)
        await receive(stream)
        broken = [await asyncio.to_thread(connect_and_never_read, house.port) for _ in range(5)]
        others = [await client.ws_connect(house.url + "ws") for _ in range(5)]
        for other in others:
            await other.send_str("{}")
        await until(lambda: house.hub.stats().listeners == 12)
        for number, (one, other) in enumerate(zip(broken, others, strict=True)):
            house.publish(reply(f"reply {number}"))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.close()  # with a reset
            connection = other.get_extra_info("socket")
            assert connection is not None
            connection.shutdown(socket.SHUT_RDWR)
        for number in range(5):
            event = decode_event(await ws.receive_str(timeout=PATIENCE))
            streamed = (await receive(stream)).event
            assert isinstance(event, ReplyEvent)
            assert event == streamed
            assert event.text == f"reply {number}"
        await until(lambda: house.hub.stats().listeners == 2)
    health = HealthEvent(component="x", state="healthy")
    house.publish(health)
