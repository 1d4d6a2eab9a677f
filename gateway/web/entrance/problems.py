"""What went wrong, as RFC 9457 wants it told, for people and programs alike."""

from __future__ import annotations

import math
from http import HTTPStatus

import msgspec
from aiohttp import web
from msgspec import Struct

PROBLEM_TYPE = "application/problem+json"


class Misfit(Struct, frozen=True, kw_only=True):
    """One mistake in a request: where it stands, and what is wrong there."""

    place: str
    message: str


class ProblemDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem (RFC 9457). ``remedy`` is what to do about it, ``errors`` every mistake in the request."""

    title: str
    status: int
    detail: str = ""
    remedy: str = ""
    errors: tuple[Misfit, ...] = ()
    correlation_id: str = ""
    type: str = "about:blank"


class Problem(Exception):
    """To be raised by whoever cannot answer. ``detail`` repeats nothing secret."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str = "",
        *,
        remedy: str = "",
        errors: tuple[Misfit, ...] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.remedy = remedy
        self.errors = errors
        self.headers = headers or {}

    def details(self, correlation_id: str) -> ProblemDetails:
        """As it is told."""
        return ProblemDetails(
            title=self.status.phrase,
            status=self.status.value,
            detail=self.detail,
            remedy=self.remedy,
            errors=self.errors,
            correlation_id=correlation_id,
        )


def not_found(what: str) -> Problem:
    """404, also for what is there and not for whoever asks."""
    return Problem(HTTPStatus.NOT_FOUND, f"there is no such {what}")


def no_device() -> Problem:
    """404 of a device that nobody knows, or that is not for whoever asks."""
    problem = not_found("device: it is neither here nor named in the configuration")
    problem.remedy = "name it in devices.known, or look how it is spelled: earshot devices"
    return problem


def misfit(place: str, message: str) -> Problem:
    """422: one mistake, and where it stands."""
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{place}: {message}" if place else message,
        errors=(Misfit(place=place, message=message),),
    )


def unavailable(detail: str, remedy: str) -> Problem:
    """503: not as things are."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, remedy=remedy)


# -- the door's, which says no before anybody is asked


def refusal(status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> web.HTTPException:
    """To be raised. ``detail`` has nothing in it that came with the request."""
    problem = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    text = msgspec.json.encode(problem).decode() + "\n"
    return _CLASSES[status](text=text, content_type=PROBLEM_TYPE, headers=headers)


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
