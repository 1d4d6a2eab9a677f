"""The operations as routes of the web server, and every error below /api as problem details."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.access.principals import LOCAL, Right
from gateway.contract.messages import encode
from gateway.journal import JournalError
from gateway.web.api import reading
from gateway.web.api.operation import JSON, Call, Operation
from gateway.web.api.table import OPERATIONS, PREFIX
from gateway.web.api.versions import OPERATIONS as VERSIONS
from gateway.web.entrance.guard import count_upload, who
from gateway.web.entrance.problems import PROBLEM_TYPE, Problem, unavailable
from gateway.web.parts import NotRunning, Parts

log = structlog.get_logger(__name__)

CORRELATION_HEADER = "X-Correlation-ID"
_PAGE = Path(__file__).parent.parent / "static" / "api.html"
_CORRELATION = web.RequestKey("earshot.correlation_id", str)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


def add_routes(router: web.UrlDispatcher, parts: Parts) -> None:
    """Serve the API and its page."""
    for operation in OPERATIONS:
        path, answer = PREFIX + operation.path, _answering(operation, parts)
        if operation.method == "GET":
            router.add_get(path, answer)
        else:
            router.add_route(operation.method, path, answer)
    (versions,) = VERSIONS
    router.add_get("/api", _answering(versions, parts))
    router.add_get("/api/", _page)


@web.middleware
async def explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Below /api: a correlation id in and out, and problem details for whatever goes wrong, also at the door."""
    if not request.path.startswith("/api/") and request.path != "/api":
        return await handler(request)
    given = request.headers.get(CORRELATION_HEADER, "")
    request[_CORRELATION] = correlation_id = (
        given if _TOKEN.fullmatch(given) else f"r_{secrets.token_urlsafe(16)}"
    )
    with structlog.contextvars.bound_contextvars(request_id=correlation_id):
        response = await _explained(request, handler, correlation_id)
    if not response.prepared:
        response.headers[CORRELATION_HEADER] = correlation_id
    return response


async def _explained(request: web.Request, handler: Handler, correlation_id: str) -> web.StreamResponse:
    try:
        return await handler(request)
    except Problem as problem:
        return _told(problem, correlation_id)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST or error.content_type == PROBLEM_TYPE:
            error.headers[CORRELATION_HEADER] = correlation_id
            raise
        return _told(_translated(error), correlation_id)
    except NotRunning as error:
        later = unavailable(str(error), "try again soon; /readyz says what is missing")
        later.headers["Retry-After"] = "2"
        return _told(later, correlation_id)
    except JournalError as error:
        return _told(unavailable(str(error), "/readyz says what is wrong with the journal"), correlation_id)
    except Exception:
        log.exception("request failed", method=request.method, path=request.path)
        return _told(
            Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "something is wrong with the gateway, not with the request",
                remedy="the gateway's log has the details, under this correlation id",
            ),
            correlation_id,
        )


def _answering(operation: Operation, parts: Parts) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        principal = who(request) if isinstance(operation.right, Right) else LOCAL
        reading.check_accepted(request.headers.getall("Accept", ()), operation.produces)
        if operation.uploads:
            reading.check_upload(request, operation.uploads)
        path = reading.from_path(request.match_info, operation.path_type) if operation.path_type else None
        query = reading.from_query(request.query, operation.query) if operation.query else None
        if operation.uploads:
            count_upload(request)
        call = Call(
            request,
            parts,
            principal,
            path,
            query,
            await reading.from_body(request, operation.body) if operation.body else None,
            request[_CORRELATION],
        )
        return _response(operation, await operation.run(call))

    return answer


def _response(operation: Operation, answer: object) -> web.StreamResponse:
    if isinstance(answer, web.StreamResponse):
        return answer
    if answer is None:
        return web.Response(status=HTTPStatus.NO_CONTENT)
    return web.Response(body=msgspec.json.encode(answer), status=operation.status, content_type=JSON)


def _told(problem: Problem, correlation_id: str) -> web.Response:
    response = web.Response(
        body=encode(problem.details(correlation_id)),
        status=problem.status,
        content_type=PROBLEM_TYPE,
        headers=problem.headers,
    )
    if problem.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        response.force_close()  # the rest of it is not wanted
    return response


def _translated(error: web.HTTPException) -> Problem:
    status = HTTPStatus(error.status)
    headers = {name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers}
    match status:
        case HTTPStatus.NOT_FOUND:
            return Problem(status, "there is nothing here; /api/v1/openapi.json says what there is")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return Problem(status, f"there is {headers.get('Allow', 'another method')} here", headers=headers)
        case _:
            return Problem(status, (error.text or "").strip(), headers=headers)


async def _page(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(_PAGE)
