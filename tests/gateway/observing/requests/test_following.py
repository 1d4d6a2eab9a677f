"""Requests of a small server of its own: each handler's log has its request's id, and nothing is counted twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import structlog
from aiohttp import ClientError, ClientSession, web
from structlog.testing import capture_logs

from gateway.observing.requests.counting import OTHER, HttpRequests
from gateway.observing.requests.following import CORRELATION_HEADER, correlation_of, follow
from tests.record import passes

log = structlog.get_logger(__name__)


@dataclass
class Server:
    """``gate``: what /slow waits for; ``inner``: ids that the middleware beneath has seen."""

    counted: HttpRequests = field(default_factory=HttpRequests)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    inner: list[str] = field(default_factory=list)
    url: str = ""

    async def slow(self, request: web.Request) -> web.Response:
        await self.gate.wait()
        log.info("answered", path=request.path)
        return web.Response(text=correlation_of(request))

    async def broken(self, _request: web.Request) -> web.Response:
        log.info("about to break")
        raise ZeroDivisionError

    async def refused(self, _request: web.Request) -> web.Response:
        raise web.HTTPForbidden(text="no")

    async def moved(self, _request: web.Request) -> web.Response:
        raise web.HTTPSeeOther("/slow/1")

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun\n")
        await self.gate.wait()
        return response


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    one = Server()

    @web.middleware
    async def beneath(request: web.Request, handler: object) -> web.StreamResponse:
        one.inner.append(correlation_of(request))
        return await handler(request)  # type: ignore[operator, no-any-return]

    application = web.Application(middlewares=[beneath])
    for path in ("broken", "refused", "moved", "stream"):
        application.router.add_get(f"/{path}", getattr(one, path))
    application.router.add_get("/slow/{number}", one.slow)
    follow(application, one.counted)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield one
    one.gate.set()
    await runner.cleanup()


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def test_requests_side_by_side_log_under_their_own_ids(server: Server, client: ClientSession) -> None:
    async def ask(number: int) -> str:
        given = {CORRELATION_HEADER: f"mine-{number}"}
        async with client.get(f"{server.url}/slow/{number}", headers=given) as answer:
            return await answer.text()

    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logged:
        asking = [asyncio.create_task(ask(number)) for number in range(10)]
        await passes(lambda: len(server.inner) == 10)
        server.gate.set()
        told = await asyncio.gather(*asking)
    assert told == [f"mine-{number}" for number in range(10)]
    answered = {line["path"]: line["correlation_id"] for line in logged if line["event"] == "answered"}
    assert answered == {f"/slow/{number}": f"mine-{number}" for number in range(10)}
    assert server.counted.counts == {("GET", "/slow/{number}", "2xx"): 10}


async def test_what_breaks_is_counted_as_ours_and_its_log_has_the_id(
    server: Server, client: ClientSession
) -> None:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logged:
        async with client.get(f"{server.url}/broken", headers={CORRELATION_HEADER: "mine"}) as answer:
            assert answer.status == 500
    [line] = [one for one in logged if one["event"] == "about to break"]
    assert line["correlation_id"] == "mine"
    assert server.counted.counts == {("GET", "/broken", "5xx"): 1}


@pytest.mark.parametrize(
    ("path", "status", "counted"),
    [("/refused", 403, "/refused"), ("/moved", 303, "/moved"), ("/nowhere/at/all", 404, OTHER)],
)
async def test_refusals_and_redirections_have_ids_too(
    server: Server, client: ClientSession, path: str, status: int, counted: str
) -> None:
    async with client.get(server.url + path, allow_redirects=False) as answer:
        assert answer.status == status
        assert answer.headers[CORRELATION_HEADER].startswith("r_")
    assert server.counted.counts == {("GET", counted, f"{status // 100}xx"): 1}


async def test_a_stream_is_timed_until_it_is_open_and_counted_at_its_end(
    server: Server, client: ClientSession
) -> None:
    async with client.get(f"{server.url}/stream") as answer:
        assert answer.headers[CORRELATION_HEADER] == server.inner[0]
        assert await answer.content.readline() == b"begun\n"
        assert not server.counted.counts
        opened = asyncio.get_running_loop().time()
        await asyncio.to_thread(lambda: None)
        server.gate.set()
        await answer.read()
    await passes(lambda: server.counted.counts == {("GET", "/stream", "2xx"): 1})
    _, durations = server.counted.families()
    [took] = [sample.value for sample in durations.samples if sample.suffix == "_sum"]
    assert took <= asyncio.get_running_loop().time() - opened + 5.0


async def test_who_hangs_up_is_counted_too(server: Server, client: ClientSession) -> None:
    with pytest.raises((ClientError, TimeoutError)):
        async with asyncio.timeout(0.2), client.get(f"{server.url}/slow/1"):
            pass
    await asyncio.sleep(0)
    server.gate.set()
    await passes(lambda: sum(server.counted.counts.values()) == 1)


async def test_the_same_header_twice_is_one_of_them_or_ours(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"GET /refused HTTP/1.1\r\nHost: x\r\nX-Correlation-ID: one\r\nX-Correlation-ID: two\r\n"
        b"Connection: close\r\n\r\n"
    )
    answer = (await reader.read()).decode()
    writer.close()
    told = [line.split(": ")[1] for line in answer.split("\r\n") if line.startswith(CORRELATION_HEADER)]
    assert told == ["one"]
