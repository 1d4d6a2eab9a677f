"""A real HTTP server on loopback that answers as it is told, and misbehaves on request.

Each ``Told`` in ``server.next`` is for one request, in order; what comes after them gets ``server.usual``.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Told:
    """One answer: its parts, ``pause`` seconds between them; then its end, unless it is ``cut`` or ``hangs``.

    ``silent``: not even a status comes. ``drops``: nor does that, and the connection is closed.
    """

    parts: Sequence[bytes] = ()
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.0
    cut: bool = False
    hangs: bool = False
    silent: bool = False
    drops: bool = False


def as_json(what: object, status: int = 200, **headers: str) -> Told:
    """JSON, whole."""
    return Told([json.dumps(what).encode()], status, headers=headers)


def as_events(*events: object, **how: Any) -> Told:
    """A text/event-stream: a text as it stands, anything else as JSON, a part each."""
    parts = [f"data: {one if isinstance(one, str) else json.dumps(one)}\n\n".encode() for one in events]
    return Told(parts, content_type="text/event-stream", **how)


@dataclass
class Asked:
    """One request as it came; ``gone`` is set when its client left before it had all."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class UnrulyServer:
    """``asked`` has the requests so far, ``arrived`` is notified of each."""

    def __init__(self) -> None:
        self.usual = as_json({})
        self.next: deque[Told] = deque()
        self.asked: list[Asked] = []
        self.url = ""
        self._arrivals = asyncio.Condition()

    async def requests(self, count: int) -> list[Asked]:
        """Those so far, when there are so many."""
        async with asyncio.timeout(10), self._arrivals:
            await self._arrivals.wait_for(lambda: len(self.asked) >= count)
        return self.asked

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        asked = Asked(request.method, request.path_qs, request.headers.copy(), await request.read())
        async with self._arrivals:
            self.asked.append(asked)
            self._arrivals.notify_all()
        told = self.next.popleft() if self.next else self.usual
        try:
            return await self._tell(request, told)
        except (asyncio.CancelledError, ConnectionError):
            asked.gone.set()
            raise

    async def _tell(self, request: web.BaseRequest, told: Told) -> web.StreamResponse:
        if told.drops and request.transport is not None:
            request.transport.close()
            raise ConnectionError
        if told.silent:
            await asyncio.Event().wait()
        response = web.StreamResponse(status=told.status, headers=told.headers)
        response.content_type = told.content_type
        await response.prepare(request)
        for number, part in enumerate(told.parts):
            if number and told.pause:
                await asyncio.sleep(told.pause)
            await response.write(part)
        if told.hangs:
            await asyncio.Event().wait()
        if told.cut and request.transport is not None:
            request.transport.abort()
            return response
        await response.write_eof()
        return response


@asynccontextmanager
async def unruly(tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[UnrulyServer]:
    """One, at ``url``; on any free port, or on that one."""
    server = UnrulyServer()
    runner = web.ServerRunner(web.Server(server.answer, handler_cancellation=True), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        at = runner.addresses[0][1]
        server.url = f"http{'s' if tls else ''}://127.0.0.1:{at}"
        yield server
    finally:
        await runner.cleanup()
