"""Signing in on the page: a token for a cookie that only the gateway's own page can use, and back.

::

    POST   /api/v1/session   {"token": "..."}: sets the cookie
    GET    /api/v1/session   who the caller is
    DELETE /api/v1/session   ends the page's session; the cookie is worth nothing then
"""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.access import Principal
from gateway.door.audit import What
from gateway.door.door import NotAdmitted
from gateway.door.page_sessions import SESSION_SECONDS
from gateway.web.guard import introduce, visit_of, who
from gateway.web.refusals import refusal, unauthorized

PATH = "/api/v1/session"
MAX_BODY_BYTES = 16 * 1024
_STATIC = Path(__file__).parent / "static"


class SignIn(Struct, frozen=True, forbid_unknown_fields=True):
    """What the page sends."""

    token: str


class Somebody(Struct, frozen=True):
    """Who the caller is. ``expires_at`` is Unix time, 0 for never; empty lists bound nothing."""

    name: str
    role: str
    users: list[str]
    devices: list[str]
    expires_at: float


def add_routes(router: web.UrlDispatcher) -> None:
    """Put them in place."""
    router.add_get("/", _page)
    router.add_get(PATH, _who)
    router.add_post(PATH, _sign_in)
    router.add_delete(PATH, _sign_out)


async def _page(request: web.Request) -> web.FileResponse:
    """The page; to somebody who has not signed in, the form for it."""
    if visit_of(request).principal is None:
        return web.FileResponse(_STATIC / "sign-in.html", status=HTTPStatus.UNAUTHORIZED)
    return web.FileResponse(_STATIC / "index.html")


async def _who(request: web.Request) -> web.Response:
    return _answer(who(request))


async def _sign_in(request: web.Request) -> web.Response:
    visit = visit_of(request)
    door = visit.guard.door
    token = await _read(request)
    try:
        principal = introduce(request, token)
    except NotAdmitted as error:
        raise unauthorized(f"this token will not do: {error}") from error
    response = _answer(principal)
    response.set_cookie(
        visit.guard.cookie,
        door.sessions.begin(principal.token_id),
        max_age=int(SESSION_SECONDS),
        path="/",
        httponly=True,
        samesite="Strict",
        secure=visit.is_secure or request.headers.get("Origin", "").startswith("https:"),
    )
    visit.guard.audit.note(
        What.SIGNED_IN, address=visit.address, name=principal.name, token_id=principal.token_id
    )
    return response


async def _sign_out(request: web.Request) -> web.Response:
    visit = visit_of(request)
    guard = visit.guard
    if guard.door.sessions.end(request.cookies.get(guard.cookie, "")) and visit.principal is not None:
        guard.audit.note(What.SIGNED_OUT, address=visit.address, name=visit.principal.name)
    response = web.Response(status=HTTPStatus.NO_CONTENT)
    response.del_cookie(guard.cookie, path="/", httponly=True, samesite="Strict", secure=visit.is_secure)
    return response


async def _read(request: web.Request) -> str:
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise refusal(HTTPStatus.BAD_REQUEST, f"more than {MAX_BODY_BYTES} bytes")
    try:
        return msgspec.json.decode(await request.read(), type=SignIn).token
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise refusal(HTTPStatus.BAD_REQUEST, 'expected {"token": "..."}') from error


def _answer(principal: Principal) -> web.Response:
    somebody = Somebody(
        principal.name,
        principal.role.value,
        sorted(principal.users),
        sorted(principal.devices),
        principal.expires_at,
    )
    return web.Response(body=msgspec.json.encode(somebody), content_type="application/json")
