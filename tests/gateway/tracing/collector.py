"""A collector of spans: what it is sent it reads as OTLP's JSON has it, and may be slow, full, or gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.servers.process import free_port


class Collector:
    """At ``url``; ``spans`` in the order in which they came."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.requests: list[web.Request] = []
        self.resources: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        """Of the next answers; then 200."""
        self.slow = asyncio.Event()
        self.slow.set()
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        await self.slow.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        if status != 200:
            return web.json_response({"message": "not now"}, status=status)
        for resource in (await request.json())["resourceSpans"]:
            self.resources.append(known(resource["resource"]))
            for scope in resource["scopeSpans"]:
                self.spans += scope["spans"]
        return web.json_response({})

    def named(self, name: str) -> list[dict[str, Any]]:
        """Those whose name begins so."""
        return [span for span in self.spans if span["name"].startswith(name)]


def known(told: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a span or a resource."""
    return {one["key"]: next(iter(one["value"].values())) for one in told["attributes"]}


def took_ms(span: dict[str, Any]) -> float:
    return (int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])) / 1e6


@asynccontextmanager
async def collecting(port: int = 0) -> AsyncIterator[Collector]:
    collector, port = Collector(), port or free_port()
    application = web.Application()
    application.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    collector.url = f"http://127.0.0.1:{port}"
    try:
        yield collector
    finally:
        collector.slow.set()
        await runner.cleanup()
