"""Whatever goes wrong with a program's request, as a Problem under an id; in which form, its interface says."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeAlias

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.journal import JournalError
from gateway.observing.requests.following import correlation_of
from gateway.web.entrance.problems import PROBLEM_TYPE, Problem, unavailable
from gateway.web.parts import NotAtHub, NotRunning

log = structlog.get_logger(__name__)

Tell: TypeAlias = Callable[[Problem, str], web.Response]
"""A problem in an interface's own form, under the id."""


async def explained(request: web.Request, handler: Handler, tell: Tell) -> web.StreamResponse:
    """The answer, or what is told of why there is none."""
    try:
        return await handler(request)
    except Exception as error:
        if isinstance(error, web.HTTPException) and error.status < HTTPStatus.BAD_REQUEST:
            raise
        response = tell(problem_of(error, request), correlation_of(request))
        if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            response.force_close()  # the rest of it is not wanted
        return response


def problem_of(error: Exception, request: web.Request) -> Problem:
    """What is told of it. What nobody has expected is in the log, and nowhere else."""
    match error:
        case Problem():
            return error
        case web.HTTPException():
            return _translated(error)
        case NotAtHub():
            return unavailable(str(error), "ask the gateway itself")
        case NotRunning():
            later = unavailable(str(error), "try again soon; /readyz says what is missing")
            later.headers["Retry-After"] = "2"
            return later
        case JournalError():
            return unavailable(str(error), "/readyz says what is wrong with the journal")
        case _:
            log.error("request failed", method=request.method, path=request.path, exc_info=error)
            return Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "something is wrong with the gateway, not with the request",
                remedy="the gateway's log has the details, under this correlation id",
            )


def _translated(error: web.HTTPException) -> Problem:
    """The router's refusals in our words, the door's in its own."""
    status = HTTPStatus(error.status)
    kept = ("Allow", "Retry-After", "WWW-Authenticate")
    headers = {name: error.headers[name] for name in kept if name in error.headers}
    if error.content_type == PROBLEM_TYPE:
        return Problem(status, msgspec.json.decode(error.text or "{}").get("detail", ""), headers=headers)
    match status:
        case HTTPStatus.NOT_FOUND:
            return Problem(status, "there is nothing here; /api/v1/openapi.json says what there is")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return Problem(
                status, f"only {headers.get('Allow', 'another method')} is possible here", headers=headers
            )
        case _:
            return Problem(status, (error.text or "").strip(), headers=headers)
