"""What went wrong in OpenAI's form, ``{"error": {...}}``, and with the status that its clients go by."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Struct

from gateway.observing.requests.following import correlation_of
from gateway.web.api.operation import JSON
from gateway.web.entrance.problems import Problem
from gateway.web.explaining import explained

PREFIX = "/v1"
REQUEST_HEADER = "X-Request-Id"
"""In which OpenAI's clients look for the id of a request."""

_TYPES: dict[HTTPStatus, tuple[str, str | None]] = {
    HTTPStatus.UNAUTHORIZED: ("invalid_request_error", "invalid_api_key"),
    HTTPStatus.FORBIDDEN: ("permission_error", "insufficient_permissions"),
    HTTPStatus.NOT_FOUND: ("invalid_request_error", "unknown_url"),
    HTTPStatus.TOO_MANY_REQUESTS: ("rate_limit_error", "rate_limit_exceeded"),
}
_OURS = ("server_error", "server_error")
_THEIRS = ("invalid_request_error", None)
RETRY_SECONDS = 2
"""When to come again, where nobody knows better."""


class WrongRequest(Problem):
    """400, or another status: ``param`` is the field that is wrong; ``code`` is for programs."""

    def __init__(
        self,
        message: str,
        param: str | None = None,
        code: str | None = None,
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
    ) -> None:
        super().__init__(status, message)
        self.param = param
        self.code = code


class ErrorDetails(Struct, frozen=True, kw_only=True):
    """An error as OpenAI tells it."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorAnswer(Struct, frozen=True):
    """What stands in the body."""

    error: ErrorDetails


def answer_of(problem: Problem) -> ErrorAnswer:
    """The problem in OpenAI's words."""
    status = _status(problem)
    kind, code = _TYPES.get(status, _OURS if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _THEIRS)
    message = "; ".join(part for part in (problem.detail or status.phrase, problem.remedy) if part)
    param = problem.errors[0].place if problem.errors else None
    if isinstance(problem, WrongRequest):
        param, code = problem.param, problem.code or code
    return ErrorAnswer(ErrorDetails(message=message, type=kind, param=param, code=code))


@web.middleware
async def told_as_openai(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Below /v1: a request's id, and OpenAI's errors for whatever goes wrong, also at the door."""
    if not request.path.startswith(f"{PREFIX}/"):
        return await handler(request)
    response = await explained(request, handler, _told)
    if not response.prepared:
        response.headers[REQUEST_HEADER] = correlation_of(request)
    return response


def _told(problem: Problem, _request_id: str) -> web.Response:
    status = _status(problem)
    headers = dict(problem.headers)
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers.setdefault("Retry-After", str(RETRY_SECONDS))
    return web.Response(
        body=msgspec.json.encode(answer_of(problem)), status=status, content_type=JSON, headers=headers
    )


def _status(problem: Problem) -> HTTPStatus:
    """OpenAI knows no 422: what cannot be understood of a request is a bad one."""
    if problem.status is HTTPStatus.UNPROCESSABLE_ENTITY:
        return HTTPStatus.BAD_REQUEST
    return problem.status
