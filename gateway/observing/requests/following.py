"""Each HTTP request under an id: in its answer, in every line that is logged meanwhile, and in what it causes.

A client may give it (``X-Correlation-ID``); what is none, or too long, is not taken over anywhere.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.contract.tracing import CALLER, HEADER, trace_context
from gateway.observing.requests.counting import HttpRequests

CORRELATION_HEADER: Final = "X-Correlation-ID"
HUNG_UP: Final = 499
"""In place of a status where nobody waits for an answer any more, as nginx has it."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CORRELATION = web.RequestKey("earshot.correlation_id", str)
_OPENED = web.RequestKey("earshot.opened_at", float)


def correlation_of(request: web.Request) -> str:
    """The id of a request that is ``followed``."""
    return request[_CORRELATION]


def request_id(given: str) -> str:
    """What somebody gives as one, where it is one; else one of ours."""
    return given if _ID.fullmatch(given) else f"r_{secrets.token_urlsafe(16)}"


def follow(application: web.Application, counted: HttpRequests) -> None:
    """All that it serves. To be called after its other middlewares are in place: this one is around them."""
    application.middlewares.insert(0, _following(counted))
    application.on_response_prepare.append(_tell)


def _following(counted: HttpRequests) -> Middleware:
    @web.middleware
    async def followed(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[_CORRELATION] = made = request_id(request.headers.get(CORRELATION_HEADER, ""))
        began, status = time.monotonic(), 500
        caller = CALLER.set(trace_context(request.headers.get(HEADER, "")))
        with structlog.contextvars.bound_contextvars(correlation_id=made):
            try:
                response = await handler(request)
                status = response.status
            except web.HTTPException as error:
                status = error.status
                raise
            except asyncio.CancelledError:
                status = HUNG_UP
                raise
            finally:
                CALLER.reset(caller)  # the next request of this connection is another's
                ended = request.get(_OPENED, 0.0) or time.monotonic()
                counted.note(request.method, _route(request), status, ended - began)
        return response

    return followed


async def _tell(request: web.Request, response: web.StreamResponse) -> None:
    """It is about to be sent. What stays open (a WebSocket, a stream of events) has been answered by that."""
    if _CORRELATION not in request:
        return  # it could not be read
    response.headers[CORRELATION_HEADER] = correlation_of(request)
    if not isinstance(response, web.Response | web.FileResponse):
        request[_OPENED] = time.monotonic()


def _route(request: web.Request) -> str:
    """As it was given to the router, without what stands in its places; empty: there is none."""
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical
