"""Single questions to a server that answers as a gateway does, or as none would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from gateway.client.credentials import Introduction
from gateway.client.questions import Api, ApiError, ApiRefused, ApiUnreachable

BIG = bytes(range(256)) * 8_000


async def whole(_request: web.Request) -> web.Response:
    return web.Response(body=BIG)


async def pieces(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for start in range(0, len(BIG), 100_000):
        await response.write(BIG[start : start + 100_000])
    await response.write_eof()
    return response


async def breaks_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(BIG[:100_000])
    assert request.transport is not None
    request.transport.abort()
    return response


async def refuses(_request: web.Request) -> web.Response:
    told = json.dumps({"detail": "there is no such user", "remedy": "look at the history"}).encode()
    return web.Response(status=404, body=told, content_type="application/problem+json")


async def is_no_gateway(_request: web.Request) -> web.Response:
    return web.Response(status=500, text="<html>oops</html>")


@asynccontextmanager
async def served() -> AsyncIterator[Api]:
    application = web.Application()
    for name, answer in {
        "whole": whole, "pieces": pieces, "breaks": breaks_off, "refuses": refuses, "none": is_no_gateway,
    }.items():  # fmt: skip
        application.router.add_get(f"/api/v1/{name}", answer)
        application.router.add_get(f"/api/v1/users/{name}/data", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Api(f"http://127.0.0.1:{runner.addresses[0][1]}/", Introduction())
    finally:
        await runner.cleanup()


async def downloaded(api: Api, path: str, *names: str) -> bytes:
    return await asyncio.to_thread(lambda: b"".join(api.download(path, *names)))


@pytest.mark.parametrize("path", ["/whole", "/pieces"])
async def test_a_file_comes_whole_however_it_is_sent(path: str) -> None:
    async with served() as api:
        assert await downloaded(api, path) == BIG


async def test_a_name_stands_in_the_path() -> None:
    async with served() as api:
        assert await downloaded(api, "/users/{}/data", "whole") == BIG


async def test_it_is_taken_in_parts_and_not_at_once() -> None:
    async with served() as api:
        sizes = await asyncio.to_thread(lambda: [len(part) for part in api.download("/whole")])
    assert sum(sizes) == len(BIG)
    assert max(sizes) <= 256 * 1024


async def test_one_that_breaks_off_is_an_error_and_no_file() -> None:
    async with served() as api:
        with pytest.raises(ApiUnreachable):
            await downloaded(api, "/breaks")


async def test_a_no_is_told_with_its_remedy() -> None:
    async with served() as api:
        with pytest.raises(ApiRefused, match="no such user") as caught:
            await downloaded(api, "/refuses")
    assert (caught.value.status, caught.value.remedy) == (404, "look at the history")


async def test_what_is_no_gateway_is_told_by_its_status() -> None:
    async with served() as api:
        with pytest.raises(ApiRefused, match="answered 500"):
            await downloaded(api, "/none")


async def test_where_nobody_is_the_remedy_says_what_to_look_at() -> None:
    with pytest.raises(ApiUnreachable) as caught:
        await downloaded(Api("http://127.0.0.1:1/", Introduction()), "/whole")
    assert "is the gateway running?" in caught.value.remedy


async def test_what_the_reader_does_wrong_is_no_fault_of_the_gateway_s() -> None:
    """A disk that is full while it is written down is told as that."""
    async with served() as api:

        def write() -> None:
            for _ in api.download("/pieces"):
                raise OSError(28, "No space left on device")

        with pytest.raises(OSError, match="No space left") as caught:
            await asyncio.to_thread(write)
    assert not isinstance(caught.value, ApiError)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://house/", "http://"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        Api(url, Introduction())


async def test_a_question_may_wait_longer_where_much_is_to_be_done() -> None:
    async def slow(_request: web.Request) -> web.Response:
        await asyncio.sleep(0.3)
        return web.json_response({"erased": 5})

    application = web.Application()
    application.router.add_get("/api/v1/slow", slow)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api = Api(f"http://127.0.0.1:{runner.addresses[0][1]}/", Introduction())
    try:
        told: Any = await asyncio.to_thread(lambda: api.ask("/slow", seconds=5.0))
        assert told == {"erased": 5}
        with pytest.raises(ApiUnreachable):
            await asyncio.to_thread(lambda: api.ask("/slow", seconds=0.05))
    finally:
        await runner.cleanup()
