"""Listeners on server-sent events: events, filters, resuming and policies as on WebSockets (``docs/events.md``).

A browser's EventSource needs nothing else: it reconnects by itself and says with ``Last-Event-ID`` after which
event. A stream that ends was ended by the gateway (a comment says why), or its listener is gone.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import NoReturn

import structlog
from aiohttp import web

from gateway.access.door import NotAdmitted
from gateway.contract.events import MOST_CURSORS, MOST_NAMES, Subscribe
from gateway.hub.fanout import Batch
from gateway.hub.hub import Evicted, HubFull, ListenerQueue, SlowConsumer
from gateway.web.entrance.guard import who
from gateway.web.entrance.problems import refusal
from gateway.web.listeners.forwarding import DIRECT_BYTES, forward
from gateway.web.parts import Parts

log = structlog.get_logger(__name__)

RETRY_MS = 1_000
"""How long a browser waits before it reconnects."""
LOOK_SECONDS = 0.5
"""How often it is looked whether a listener is still there."""
_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
_CURSOR = re.compile(r"([A-Za-z0-9_-]{1,64}):([0-9]{1,18})\Z")
"""Of one gateway; of several they stand with commas between them."""
_LISTS = ("kinds", "sessions", "devices", "users")


class _Gone(Exception):
    """The listener has left."""


class EventStreams:
    """All event streams of one server."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._open: set[ListenerQueue] = set()

    async def close(self) -> None:
        """Say goodbye to every listener, which each stream does for itself."""
        for queue in self._open:
            queue.close()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one listener until it leaves or falls behind, or the hub closes."""
        subscribe = _subscription(request)
        response = web.StreamResponse(headers=_HEADERS)
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        stream = _Stream(request, response, self._parts.settings.heartbeat_seconds)
        try:
            await self._parts.hub.catch_up(subscribe)
            queue = self._parts.hub.attach(subscribe, who(request), stream.direct())
        except HubFull as error:
            raise refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": "5"}) from error
        self._open.add(queue)
        try:
            with queue:
                await stream.open()
                await stream.forward(queue)
            await stream.close("the gateway is stopping")
        except (SlowConsumer, Evicted, NotAdmitted) as error:
            log.info("listener closed", reason=str(error))
            await stream.close(str(error))
        except (_Gone, ConnectionError):
            log.debug("listener left")
        finally:
            self._open.discard(queue)
        return response


class _Stream:
    """One listener's stream."""

    def __init__(self, request: web.Request, response: web.StreamResponse, heartbeat: float) -> None:
        self._request = request
        self._response = response
        self._heartbeat = heartbeat
        self._begun = False

    def direct(self) -> Callable[[Batch], bool]:
        """A way onto the wire for what is put together already, as long as the wire is free."""
        transport, chunked = self._request.transport, self._request.version >= (1, 1)

        def write(batch: Batch) -> bool:
            if transport is None or not chunked or not self._begun or transport.is_closing():
                return False
            chunk = batch.chunk
            if transport.get_write_buffer_size() + len(chunk) > DIRECT_BYTES:
                return False
            transport.write(chunk)
            return True

        return write

    async def open(self) -> None:
        """Begin; who does not answer the system any more is cut after a heartbeat and a half."""
        transport = self._request.transport
        if transport is not None and (connection := transport.get_extra_info("socket")) is not None:
            patience = int(1500 * self._heartbeat)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
        await self._response.prepare(self._request)
        await self._response.write(f"retry: {RETRY_MS}\n\n".encode())  # with which the headers leave
        self._begun = True

    async def forward(self, queue: ListenerQueue) -> None:
        """Send events until the hub closes. Raises SlowConsumer, Evicted, NotAdmitted, _Gone, ConnectionError."""
        await forward(self._request, queue, self._send_all(queue), self._keep_alive())

    async def close(self, reason: str) -> None:
        """End the stream, with a comment for people if the listener reads."""
        transport = self._request.transport
        if transport is None or transport.get_write_buffer_size() > 0:  # it reads nothing
            self._cut()
            return
        try:
            await self._response.write(f": {' '.join(reason.split())}\n\n".encode())
            await self._response.write_eof()
        except ConnectionError:
            log.debug("listener cut off", reason=reason)

    async def _send_all(self, queue: ListenerQueue) -> None:
        async for item in queue:
            await self._response.write(item.block)

    async def _keep_alive(self) -> NoReturn:
        """A comment now and then keeps proxies from giving up, and finds who is gone."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._heartbeat
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, self._heartbeat))
            transport = self._request.transport
            if transport is None or transport.is_closing():
                raise _Gone
            if loop.time() >= due:
                due = loop.time() + self._heartbeat
                await self._response.write(b": still here\n\n")

    def _cut(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()


def _subscription(request: web.Request) -> Subscribe:
    """What the query asks for, after the event that the header names. Raises 400."""
    query = request.query
    unknown = set(query) - {*_LISTS, "levels"}
    if unknown:
        raise refusal(
            HTTPStatus.BAD_REQUEST, f"the query may name {', '.join(_LISTS)} and levels, nothing else"
        )
    lists = {name: _listed(query.getall(name, [])) for name in _LISTS}
    if max(map(len, lists.values())) > MOST_NAMES:
        raise refusal(HTTPStatus.BAD_REQUEST, f"each list may have {MOST_NAMES} names")
    levels = query.get("levels", "false")
    if levels not in {"true", "false"}:
        raise refusal(HTTPStatus.BAD_REQUEST, "levels is true or false")
    # Whatever else is in the header is no event of ours: everything starts over with a snapshot.
    cursors = _cursors(request.headers.get("Last-Event-ID", ""))
    try:
        return Subscribe(**lists, levels=levels == "true", epoch="", seq=0, cursors=cursors)
    except ValueError as error:
        raise refusal(HTTPStatus.BAD_REQUEST, "kinds has one that there is not (docs/events.md)") from error


def _cursors(last_id: str) -> dict[str, int]:
    """How far a page is with each gateway; nothing, where anything of it is none."""
    found = [_CURSOR.match(one) for one in last_id.split(",", MOST_CURSORS)]
    return {} if None in found else {one[1]: int(one[2]) for one in found if one}


def _listed(values: list[str]) -> tuple[str, ...]:
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())
