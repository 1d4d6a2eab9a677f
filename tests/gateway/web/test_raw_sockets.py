"""Bytes that no good client sends, on real sockets: refused, with nobody else disturbed and memory as it was."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

import psutil
import pytest
import structlog
from aiohttp import ClientSession

from gateway.contract.events import ReplyEvent
from gateway.settings.web import WebLimitSettings, WebSettings
from tests.gateway.events import reply
from tests.gateway.web.house import House, until
from tests.gateway.web.listeners.test_sockets import listening, receive
from tests.gateway.web.raw import connection, frame, handshake, request, websocket
from tests.record import PATIENCE

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
SUBSCRIBE = frame(TEXT, b'{"type":"subscribe"}')
TOO_LONG = 65 * 1024
JSON = "Content-Type: application/json\r\n"


@asynccontextmanager
async def undisturbed(house: House) -> AsyncIterator[None]:
    """Somebody else listens meanwhile, and hears on afterwards."""
    async with ClientSession() as client, listening(client, house.url) as other:
        await receive(other)
        hearing = asyncio.ensure_future(receive(other))  # and answers pings
        yield
        house.publish(reply("still there"))
        event = await hearing
        assert isinstance(event, ReplyEvent)
        assert event.text == "still there"


# -- HTTP

HEADS: dict[str, tuple[str, set[int]]] = {
    "no host": ("GET /livez HTTP/1.1\r\n\r\n", {400, 403}),
    "two hosts": ("GET /livez HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n\r\n", {400, 403}),
    "a host with a newline": ("GET /livez HTTP/1.1\r\nHost: {host}\n evil\r\n\r\n", {400, 403}),
    "not http": ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {0, 400}),
    "another protocol": ("EHLO mail.example\r\n\r\n", {400}),
    "http 9": ("GET / HTTP/9.9\r\nHost: {host}\r\n\r\n", {400, 403}),
    "a header without a colon": ("GET /livez HTTP/1.1\r\nHost: {host}\r\nnonsense\r\n\r\n", {400}),
    "a header with a zero": ("GET /livez HTTP/1.1\r\nHost: {host}\r\nA: \x00\r\n\r\n", {400}),
    "a header's name with a blank": ("GET /livez HTTP/1.1\r\nHost: {host}\r\nA : 1\r\n\r\n", {400}),
    "a header that is folded": ("GET /livez HTTP/1.1\r\nHost: {host}\r\nA: 1\r\n 2\r\n\r\n", {400}),
    "a long line": ("GET /" + "a" * 20_000 + " HTTP/1.1\r\nHost: {host}\r\n\r\n", {400, 414}),
    "a long header": ("GET /livez HTTP/1.1\r\nHost: {host}\r\nA: " + "a" * 40_000 + "\r\n\r\n", {400, 431}),
    "many headers": ("GET /livez HTTP/1.1\r\nHost: {host}\r\n" + "A: 1\r\n" * 5_000 + "\r\n", {400, 431}),
    "two lengths": (
        "POST {session} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        {400},
    ),
    "a length and chunks": (
        "POST {session} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "a length below nothing": (
        "POST {session} HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n",
        {400},
    ),
    "a length with a sign": ("POST {session} HTTP/1.1\r\nHost: {host}\r\nContent-Length: +1\r\n\r\na", {400}),
    "an encoding nobody knows": (
        "POST {session} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        {400, 501},
    ),
    "chunked twice": (
        "POST {session} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        {400, 501},
    ),
    "a chunk that is no number": (
        "POST {session} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        {400},
    ),
    "a body that is too big": (
        "POST {session} HTTP/1.1\r\nHost: {host}\r\n{json}Content-Length: 99999999999\r\n\r\n",
        {400, 413},
    ),
    "a proxy's request": ("GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", {400, 403}),
    "a tunnel": ("CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", {400, 403, 404, 405}),
    "a foreign origin": (
        "GET /livez HTTP/1.1\r\nHost: {host}\r\nOrigin: https://evil.example\r\n\r\n",
        {403},
    ),
    "an upload by a stranger's form": (
        "POST {session} HTTP/1.1\r\nHost: {host}\r\nOrigin: null\r\nContent-Length: 0\r\n\r\n",
        {403},
    ),
    "trace": ("TRACE / HTTP/1.1\r\nHost: {host}\r\n\r\n", {400, 405}),
    "a path upwards": ("GET /static/../server.py HTTP/1.1\r\nHost: {host}\r\n\r\n", {400, 403, 404}),
    "a path upwards, encoded": (
        "GET /static/%2e%2e/server.py HTTP/1.1\r\nHost: {host}\r\n\r\n",
        {400, 403, 404},
    ),
    "a path upwards, encoded twice": (
        "GET /static/%252e%252e/server.py HTTP/1.1\r\nHost: {host}\r\n\r\n",
        {404},
    ),
    "a path upwards, with its slash": (
        "GET /static/..%2fserver.py HTTP/1.1\r\nHost: {host}\r\n\r\n",
        {400, 403, 404},
    ),
    "a path with a backslash": (
        "GET /static/..\\server.py HTTP/1.1\r\nHost: {host}\r\n\r\n",
        {400, 403, 404},
    ),
    "a path from the root": ("GET /static//etc/passwd HTTP/1.1\r\nHost: {host}\r\n\r\n", {400, 403, 404}),
    "a path with a zero": ("GET /static/app.js%00.css HTTP/1.1\r\nHost: {host}\r\n\r\n", {400, 403, 404}),
    "a header in a path": ("GET /%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\nHost: {host}\r\n\r\n", {400, 404}),
}


@pytest.mark.parametrize("name", HEADS)
async def test_a_bad_request(house: House, name: str) -> None:
    text, statuses = HEADS[name]
    text = text.replace("{host}", f"127.0.0.1:{house.port}").replace("{session}", "/api/v1/session")
    text = text.replace("{json}", JSON)
    async with undisturbed(house), connection(house.port) as raw:
        raw.send(text.encode("latin-1"))
        status, head = await raw.head()
        assert status in statuses, head
        assert "Set-Cookie" not in head
        assert "Traceback" not in head


async def test_what_is_smuggled_behind_a_bad_request_is_not_answered(house: House) -> None:
    async with connection(house.port) as raw:
        raw.send(
            request(
                house.port,
                "POST /api/v1/session HTTP/1.1",
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            )
        )
        raw.send(b"0\r\n\r\n" + request(house.port))
        assert (await raw.head())[0] == 400
        assert b"alive" not in await raw.rest()


HANDSHAKES = {
    "no key": ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
    "a short key": ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
    "a key that is none": ("dGhlIHNhbXBsZSBub25jZQ==", "!!!"),
    "a key of other characters": ("dGhlIHNhbXBsZSBub25jZQ==", "\xe9" * 24),
    "a version nobody has": ("Version: 13", "Version: 99"),
    "no version": ("Sec-WebSocket-Version: 13\r\n", ""),
    "no upgrade": ("Upgrade: websocket\r\n", ""),
    "no connection": ("Connection: Upgrade\r\n", ""),
    "another upgrade": ("Upgrade: websocket", "Upgrade: h2c"),
    "a post": ("GET /ws", "POST /ws"),
    "http 1.0": ("HTTP/1.1", "HTTP/1.0"),
}


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_a_bad_handshake(house: House, name: str) -> None:
    what, instead = HANDSHAKES[name]
    async with undisturbed(house), connection(house.port) as raw:
        raw.send(handshake(house.port).replace(what.encode(), instead.encode("latin-1")))
        status, head = await raw.head()
        assert 400 <= status < 500, head


# -- WebSocket frames

FRAMES: dict[str, tuple[bytes, int | None]] = {
    "without a mask": (frame(TEXT, b'{"type":"subscribe"}', masked=False), 1002),
    "a ping without a mask": (SUBSCRIBE + frame(PING, b"x", masked=False), 1002),
    "a reserved bit": (frame(TEXT, b"{}", reserved=4), 1002),
    "all reserved bits": (frame(TEXT, b"{}", reserved=7), 1002),
    "an opcode nobody has": (frame(3, b""), 1002),
    "a control opcode nobody has": (frame(11, b""), 1002),
    "a ping in pieces": (frame(PING, b"x", fin=False), 1002),
    "a close in pieces": (frame(CLOSE, b"\x03\xe8", fin=False), 1002),
    "a long ping": (frame(PING, b"x" * 126), 1002),
    "a piece of nothing": (frame(0, b"{}"), 1002),
    "a beginning within a message": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
    "65 KiB": (frame(TEXT, b"x" * TOO_LONG), 1009),
    "65 KiB in pieces": (
        frame(TEXT, b"x" * 1024, fin=False) + frame(0, b"x" * 1024, fin=False) * 63 + frame(0, b"x" * 1024),
        1009,
    ),
    "4 GiB, announced": (frame(BINARY, b"x", length=4 * 1024**3), 1009),
    "more than there is, announced": (b"\x82\xff" + b"\xff" * 8 + b"\x00" * 4, 1009),
    "not utf-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "utf-8 that is cut off": (frame(TEXT, b'"\xc3'), 1007),
    "a surrogate in utf-8": (frame(TEXT, b'"\xed\xa0\x80"'), 1007),
    "binary": (frame(BINARY, b"{}"), 1008),
    "a close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "a close with 999": (frame(CLOSE, b"\x03\xe7"), 1002),
    "a close with 1005": (frame(CLOSE, b"\x03\xed"), 1002),
    "a close that is not utf-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "a good close": (frame(CLOSE, b"\x03\xe8bye"), 1000),
    "deep brackets": (frame(TEXT, b'{"type":"subscribe","kinds":' + b"[" * 60_000), 1008),
    "deep braces": (frame(TEXT, b'{"a":' * 12_000), 1008),
    "no json": (frame(TEXT, b"GET / HTTP/1.1\r\n\r\n"), 1008),
    "a type nobody has": (frame(TEXT, b'{"type":"\\u0000"}'), 1008),
    "a token where none is": (frame(TEXT, b'{"type":"authenticate","token":"x"}'), 1008),
}


@pytest.mark.parametrize("whole", [True, False], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("name", FRAMES)
async def test_a_bad_frame(house: House, name: str, *, whole: bool) -> None:
    data, code = FRAMES[name]
    async with undisturbed(house), websocket(house.port) as raw:
        if whole or len(data) > 1_000:
            raw.send(data)
        else:
            for i in range(len(data)):
                raw.send(data[i : i + 1])
                await asyncio.sleep(0)
        # Who goes on sending after the end may be reset before it has read why.
        assert await raw.close_code() in ({code} if whole else {code, None})
        raw.send(frame(CLOSE, b"\x03\xe8"))
        assert await raw.rest() == b""
    await until(lambda: house.hub.stats().listeners == 0)


async def test_a_good_listener_in_small_pieces(house: House) -> None:
    data = frame(TEXT, b'{"type":"sub', fin=False) + frame(PING, b"?") + frame(0, b'scribe"}')
    async with websocket(house.port) as raw:
        for i in range(len(data)):
            raw.send(data[i : i + 1])
            await asyncio.sleep(0)
        frames = [await raw.frame() for _ in range(2)]
    assert (10, b"?") in frames
    snapshot = next(payload for opcode, payload in frames if opcode == TEXT)
    assert json.loads(snapshot)["type"] == "snapshot"


# -- too slow, too many, half open


@pytest.mark.slow
class TestSlow:
    @pytest.fixture
    def settings(self) -> WebSettings:
        return WebSettings(port=0, limits=WebLimitSettings(header_seconds=0.3, idle_seconds=0.5))

    @pytest.mark.parametrize("sent", [b"", b"GET /livez HTTP/1.1\r\nHost:", b"GET /ws HTT"])
    async def test_a_head_that_does_not_end(self, house: House, sent: bytes) -> None:
        async with undisturbed(house), connection(house.port) as raw:
            raw.send(sent)
            assert await raw.rest() == b""

    async def test_a_head_that_trickles(self, house: House) -> None:
        async with undisturbed(house), connection(house.port) as raw:
            raw.send(b"GET /livez HTTP/1.1\r\n")
            gone = asyncio.ensure_future(raw.rest())
            while not gone.done():
                raw.send(b"A: b\r\n")
                await asyncio.wait([gone], timeout=0.05)
            assert await gone == b""

    async def test_a_body_that_does_not_come(self, house: House) -> None:
        async with undisturbed(house), connection(house.port) as raw:
            headers = f"{JSON}Content-Length: 100\r\n"
            raw.send(request(house.port, "POST /api/v1/session HTTP/1.1", headers) + b"{")
            assert await raw.rest() == b""

    async def test_a_connection_without_a_further_request(self, house: House) -> None:
        async with undisturbed(house), connection(house.port) as raw:
            raw.send(request(house.port))
            assert b"alive" in await raw.rest()

    async def test_a_further_request_that_does_not_end(self, house: House) -> None:
        async with undisturbed(house), connection(house.port) as raw:
            raw.send(request(house.port) + b"GET /livez HTTP/1.1\r\n")
            assert (await raw.rest()).count(b"alive") == 1


@pytest.mark.slow
class TestHalfOpen:
    @pytest.fixture
    def settings(self) -> WebSettings:
        return WebSettings(port=0, heartbeat_seconds=0.5)

    async def test_a_listener_that_answers_no_ping_is_forgotten(self, house: House) -> None:
        async with undisturbed(house), websocket(house.port) as raw:
            raw.send(SUBSCRIBE)
            await until(lambda: house.hub.stats().listeners == 2)
            await until(lambda: house.hub.stats().listeners == 1)
            assert await raw.close_code() is None

    async def test_a_listener_that_has_said_all_it_will_say(self, house: House) -> None:
        """Its half of the connection is closed; the other half is not used any further."""
        async with undisturbed(house), websocket(house.port) as raw:
            raw.send(SUBSCRIBE)
            await until(lambda: house.hub.stats().listeners == 2)
            raw.writer.write_eof()
            await raw.rest()


@pytest.mark.slow
class TestCrowd:
    @pytest.fixture
    def settings(self) -> WebSettings:
        return WebSettings(port=0, limits=WebLimitSettings(connections_per_address=64))

    async def test_a_thousand_connections_of_one_address(self, house: House) -> None:
        async with undisturbed(house), AsyncExitStack() as stack:
            crowd = [await stack.enter_async_context(connection(house.port)) for _ in range(1_000)]
            for raw in crowd:
                raw.send(request(house.port))
            heads = [await raw.head() for raw in crowd]
            statuses = [status for status, _ in heads]
            assert set(statuses) <= {200, 429, 0}
            assert statuses.count(200) == 63, "one is the listener's"
            assert 429 in statuses
            told = await crowd[statuses.index(429)].rest()
            assert b"there are 64 connections from one address (web.limits.connections_per_address)" in told
            head = heads[statuses.index(429)][1]
            assert f"Content-Length: {len(told)}\r\n" in head
        async with connection(house.port) as raw:
            raw.send(request(house.port))
            assert (await raw.head())[0] == 200, "there is room again"


class TestTooFast:
    @pytest.fixture
    def settings(self) -> WebSettings:
        limits = WebLimitSettings(messages_per_second=2, requests_per_second=2)
        return WebSettings(port=0, limits=limits)

    async def test_requests(self, house: House) -> None:
        async with connection(house.port) as raw:
            answers = []
            for _ in range(30):
                raw.send(request(house.port))
                answers.append(await raw.head())
                await raw.reader.readexactly(int(answers[-1][1].split("Content-Length: ")[1].split("\r")[0]))
        statuses = [status for status, _ in answers]
        assert statuses[:20] == [200] * 20
        assert statuses[-1] == 429
        assert "Retry-After: 1\r\n" in answers[-1][1]

    async def test_messages(self, house: House) -> None:
        async with websocket(house.port) as raw:
            raw.send(SUBSCRIBE + frame(TEXT, b'{"type":"say"}') * 100)
            assert await raw.close_code() == 1008


class TestTooMuch:
    @pytest.fixture
    def settings(self) -> WebSettings:
        limits = WebLimitSettings(megabytes_per_second=0.02, uploads_per_minute=2, connections=3)
        return WebSettings(port=0, limits=limits)

    @pytest.mark.slow
    async def test_bytes_are_read_no_faster(self, house: House) -> None:
        """0.2 MB at once, and then 0.02 MB a second."""
        loop = asyncio.get_running_loop()
        async with websocket(house.port) as raw:
            raw.send(SUBSCRIBE)
            await raw.frame()
            began = loop.time()
            for _ in range(4):
                raw.send(frame(TEXT, b'"' + b"x" * 60_000 + b'"'))
            answers = [await raw.frame() for _ in range(4)]
            raw.send(frame(TEXT, b"{}"))
            answers.append(await raw.frame())
            assert loop.time() - began > 1.0
        assert {opcode for opcode, _ in answers} == {TEXT}, "slowed down, and nothing is lost"

    async def test_uploads(self, house: House) -> None:
        statuses = []
        async with connection(house.port) as raw:
            for _ in range(3):
                raw.send(request(house.port, "POST /api/v1/transcriptions HTTP/1.1", UPLOAD))
                status, head = await raw.head()
                await raw.reader.readexactly(int(head.split("Content-Length: ")[1].split("\r")[0]))
                statuses.append(status)
        assert statuses == [503, 503, 429], "there is no gateway behind this door"

    async def test_connections_of_everybody(self, house: House) -> None:
        async with AsyncExitStack() as stack:
            many = [await stack.enter_async_context(connection(house.port)) for _ in range(4)]
            for raw in many:
                raw.send(request(house.port))
            assert sorted([(await raw.head())[0] for raw in many]) == [200, 200, 200, 429]


async def test_a_process_without_descriptors_refuses_at_once_and_accepts_again(house: House) -> None:
    """Whoever comes meanwhile does not wait in the kernel."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with structlog.testing.capture_logs() as logged, ExitStack() as stack:
        callers = [stack.enter_context(socket.create_connection(("127.0.0.1", house.port))) for _ in range(5)]
        os.close(free := os.dup(0))  # the lowest number that is left
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            for one in callers:
                one.settimeout(PATIENCE)
                assert await asyncio.to_thread(one.recv, 4096) == b""
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [line["event"] for line in logged].count("connections are not accepted") == 1
    async with connection(house.port) as raw:
        raw.send(request(house.port))
        assert (await raw.head())[0] == 200


UPLOAD = "Content-Type: audio/wav\r\nContent-Length: 0\r\n"


@pytest.mark.slow
async def test_memory_stays_flat(house: House) -> None:
    """The whole zoo again and again: what it costs once, it costs once."""

    async def everything() -> None:
        for data, _ in FRAMES.values():
            async with websocket(house.port) as raw:
                raw.send(data)
                await raw.close_code()
                raw.send(frame(CLOSE))
        for text, _ in HEADS.values():
            async with connection(house.port) as raw:
                raw.send(text.replace("{host}", f"127.0.0.1:{house.port}").encode("latin-1"))
                raw.writer.write_eof()
                await raw.rest()
        for _ in range(20):
            async with connection(house.port) as raw:
                raw.send(b"GET /")

    process = psutil.Process()
    for _ in range(3):
        await everything()
    gc.collect()
    before = process.memory_info().rss
    for _ in range(10):
        await everything()
    gc.collect()
    assert process.memory_info().rss - before < 8 * 1024 * 1024
