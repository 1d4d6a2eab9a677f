"""The operations as routes of the web server, and every error below /api as problem details."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.access.needed import Open
from gateway.access.principals import LOCAL
from gateway.contract.messages import encode
from gateway.observing.requests.following import correlation_of
from gateway.web import explaining
from gateway.web.api import reading
from gateway.web.api.operation import JSON, AnyCall, Call, Operation
from gateway.web.api.versions import OPERATIONS as VERSIONS
from gateway.web.entrance.guard import count_upload, who
from gateway.web.entrance.problems import PROBLEM_TYPE, Problem
from gateway.web.operations.table import OPERATIONS, PREFIX
from gateway.web.parts import Parts

_PAGE = Path(__file__).parent.parent / "static" / "api.html"


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
    """Below /api: problem details for whatever goes wrong, also at the door."""
    if not request.path.startswith("/api/") and request.path != "/api":
        return await handler(request)
    return await explaining.explained(request, handler, _told)


def _answering(operation: Operation, parts: Parts) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        principal = LOCAL if isinstance(operation.right, Open) else who(request)
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
            correlation_of(request),
        )
        return _response(operation, await _answer_of(operation, call))

    return answer


async def _answer_of(operation: Operation, call: AnyCall) -> object:
    if operation.carry is None or call.parts.others is None:
        return await operation.run(call)
    return await call.parts.others.answered(operation, call)


def _response(operation: Operation, answer: object) -> web.StreamResponse:
    if isinstance(answer, web.StreamResponse):
        return answer
    if answer is None:
        return web.Response(status=HTTPStatus.NO_CONTENT)
    return web.Response(body=msgspec.json.encode(answer), status=operation.status, content_type=JSON)


def _told(problem: Problem, correlation_id: str) -> web.Response:
    return web.Response(
        body=encode(problem.details(correlation_id)),
        status=problem.status,
        content_type=PROBLEM_TYPE,
        headers=problem.headers,
    )


async def _page(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(_PAGE)
