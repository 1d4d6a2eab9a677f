"""Who a token is; and signing in on the page: a token for a cookie that only the gateway's own page can use."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from gateway.access.audit import What
from gateway.access.door import NotAdmitted
from gateway.access.needed import Open
from gateway.access.page_sessions import SESSION_SECONDS
from gateway.access.principals import Principal, Right
from gateway.contract.events import MOST_TOKEN_CHARACTERS
from gateway.web.api.operation import JSON, Call, Operation
from gateway.web.entrance.guard import introduce, visit_of
from gateway.web.entrance.problems import unauthorized


class SignIn(Struct, frozen=True, forbid_unknown_fields=True):
    """What the page sends."""

    token: Annotated[str, Meta(max_length=MOST_TOKEN_CHARACTERS)]


class Somebody(Struct, frozen=True):
    """Who the caller is. ``expires_at`` is Unix time, 0 for never; empty lists bound nothing.

    ``speaks_as`` is the id of its own device, whose name may go on with ``-`` and more; empty: it does not speak.
    """

    name: str
    role: str
    users: list[str]
    devices: list[str]
    expires_at: float
    speaks_as: str


async def show_caller(call: Call[None, None, None]) -> Somebody:
    """Whose token, or cookie, came with the request."""
    return _somebody(call.principal)


async def sign_in(call: Call[None, None, SignIn]) -> web.Response:
    """The cookie is good for as long as its token."""
    request = call.request
    visit = visit_of(request)
    door = visit.guard.door
    try:
        principal = await introduce(request, call.body.token)
    except NotAdmitted as error:
        raise unauthorized(f"this token will not do: {error}") from error
    secret = await asyncio.to_thread(door.sessions.begin, principal.token_id)
    await call.parts.common_door.tell()
    response = web.Response(body=msgspec.json.encode(_somebody(principal)), content_type=JSON)
    response.set_cookie(
        visit.guard.cookie,
        secret,
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


async def sign_out(call: Call[None, None, None]) -> web.Response:
    """The cookie is worth nothing then."""
    request = call.request
    visit = visit_of(request)
    guard = visit.guard
    ended = await guard.door.sign_out(request.cookies.get(guard.cookie, ""))
    if ended:
        await call.parts.common_door.tell()
    if ended and visit.principal is not None:
        guard.audit.note(What.SIGNED_OUT, address=visit.address, name=visit.principal.name)
    response = web.Response(status=HTTPStatus.NO_CONTENT)
    response.del_cookie(guard.cookie, path="/", httponly=True, samesite="Strict", secure=visit.is_secure)
    return response


def _somebody(principal: Principal) -> Somebody:
    return Somebody(
        principal.name,
        principal.role.value,
        sorted(principal.users),
        sorted(principal.devices),
        principal.expires_at,
        principal.own_device if principal.may(Right.SPEAK) else "",
    )


OPERATIONS = (
    Operation(
        name="showCaller", method="GET", path="/session", right=Right.LISTEN, run=show_caller,
        summary="Who the caller is", answer=Somebody,
    ),
    Operation(
        name="signIn", method="POST", path="/session", right=Open.INTRODUCES, run=sign_in,
        summary="A cookie for the gateway's own page, in exchange for a token", body=SignIn, answer=Somebody,
        problems=(HTTPStatus.UNAUTHORIZED,),
    ),
    Operation(
        name="signOut", method="DELETE", path="/session", right=Open.INTRODUCES, run=sign_out,
        summary="The page's cookie is worth nothing any more",
    ),
)  # fmt: skip
