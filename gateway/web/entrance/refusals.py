"""How the door says no: problem details (RFC 9457), for people and programs alike."""

from __future__ import annotations

import math
from http import HTTPStatus

import msgspec
from aiohttp import web

PROBLEM = "application/problem+json"


def refusal(status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> web.HTTPException:
    """To be raised. ``detail`` has nothing in it that came with the request."""
    problem = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    return _CLASSES[status](
        text=msgspec.json.encode(problem).decode() + "\n", content_type=PROBLEM, headers=headers
    )


def unauthorized(reason: str) -> web.HTTPException:
    """401: a token is needed, or this one will not do."""
    return refusal(HTTPStatus.UNAUTHORIZED, reason, {"WWW-Authenticate": 'Bearer realm="earshot"'})


def too_many(what: str, seconds: float) -> web.HTTPException:
    """429, and when to come again."""
    wait = max(1, math.ceil(seconds))
    return refusal(
        HTTPStatus.TOO_MANY_REQUESTS, f"too many {what}; wait {wait} s", {"Retry-After": str(wait)}
    )


_CLASSES: dict[HTTPStatus, type[web.HTTPException]] = {
    HTTPStatus.BAD_REQUEST: web.HTTPBadRequest,
    HTTPStatus.UNAUTHORIZED: web.HTTPUnauthorized,
    HTTPStatus.FORBIDDEN: web.HTTPForbidden,
    HTTPStatus.TOO_MANY_REQUESTS: web.HTTPTooManyRequests,
    HTTPStatus.SERVICE_UNAVAILABLE: web.HTTPServiceUnavailable,
}
