"""Everything a request has to pass before it is answered, in order: names, limits, who it is, and what they may.

Whoever passes is a Principal, which :func:`who` gives. A token stands in ``Authorization: Bearer``, in the
subprotocol ``earshot.token.<token>``, in a cookie that the page was given for it, or in a WebSocket's first message
(:func:`introduce`); never in a URL. Programs that were made for OpenAI may show it in ``X-API-Key``, and where nobody
needs one, whatever they show instead is nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus

from aiohttp import HttpVersion11, web
from aiohttp.typedefs import Handler

from gateway.access.audit import Audit, What
from gateway.access.door import Door, NotAdmitted, Stay
from gateway.access.limits import Buckets, Crowd, Rate, address_key
from gateway.access.needed import Needed, Open
from gateway.access.principals import Principal, Right, Role
from gateway.access.token_text import is_meant_as_one
from gateway.settings.web import WebSettings
from gateway.web.entrance.addresses import Addresses
from gateway.web.entrance.doorstep import RETRY_SECONDS, Visitor
from gateway.web.entrance.problems import refusal, too_many, unauthorized
from gateway.web.entrance.proxies import Proxies

_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

SECURITY_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
    "Cache-Control": "no-cache",
    "Server": "earshot",
}

PROTOCOL = "earshot"
"""The WebSocket subprotocol that the gateway takes where one is offered."""
SUBPROTOCOL = "earshot.token."
"""What stands before a token that is offered beside it."""
REALTIME = "realtime"
REALTIME_KEY = "openai-insecure-api-key."
"""The same two of OpenAI's, in browsers."""
FOREIGN = "/v1/"
"""What others have defined. Their programs cannot be without a key: one that is none of ours says nothing."""
API_KEY = "X-API-Key"
BURST_SECONDS = 10.0
"""So many seconds' worth may come at once."""
TOKEN_PARAMETERS = frozenset({"token", "access_token", "auth", "authorization", "api_key", "jwt"})
_OWN_SITES = frozenset({"same-origin", "none"})
"""What `Sec-Fetch-Site` says of our own page, and of what somebody typed."""
_OF_PROGRAMS = frozenset({Role.DEVICE, Role.ORCHESTRATOR})
"""Whose tokens are at one place; people have theirs on a phone and on a desk."""
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class TooFast(Exception):
    """Somebody on a WebSocket says more than is let in."""


class Visit:
    """One request on its way in: where it comes from, and who sent it, once that is known."""

    def __init__(self, guard: Guard, request: web.Request) -> None:
        self.guard = guard
        peer, proxies, headers = request.remote or "", guard.proxies, request.headers
        self.by_proxy = peer in proxies
        self.address = address_key(proxies.client(peer, headers.getall("X-Forwarded-For", ())))
        self.is_secure = guard.addresses.scheme == "https" or proxies.is_https(
            peer, headers.getall("X-Forwarded-Proto", ())
        )
        self.principal: Principal | None = None
        self.page = ""
        """The secret of the page that is signed in, where that let it in."""
        self.stay: Stay | None = None
        self.staying = ExitStack()


_VISIT = web.RequestKey("earshot.visit", Visit)


class Guard:
    """The door of one server, as an aiohttp middleware. ``needed``: which right a method and a path ask for."""

    def __init__(
        self,
        addresses: Addresses,
        door: Door,
        audit: Audit,
        settings: WebSettings,
        needed: Callable[[str, str], Needed | None],
    ) -> None:
        limits = settings.limits
        self.proxies = Proxies(settings.trusted_proxies)
        self._needed = needed
        self.addresses = addresses
        self.door = door
        self.audit = audit
        self.requests = _buckets(limits.requests_per_second)
        self.messages = _buckets(limits.messages_per_second)
        self.uploads = Buckets(Rate(limits.uploads_per_minute / 60, limits.uploads_per_minute))
        self._failures = Buckets(Rate(limits.failures_per_minute / 60, limits.failures_per_minute))
        self._at_once = Crowd(limits.connections_per_address)

    @property
    def shared(self) -> dict[str, Buckets]:
        """Those that count for a whole house, where several gateways are one, by name."""
        return {
            "requests": self.requests,
            "messages": self.messages,
            "uploads": self.uploads,
            "failures": self._failures,
        }

    @property
    def cookie(self) -> str:
        """The name of the page's cookie. Under TLS browsers hold it to be ours alone (``__Host-``)."""
        return "__Host-earshot" if self.addresses.scheme == "https" else "earshot"

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer whatever may not pass. What is to be written down about it is, before it is answered."""
        noted = self.audit.noted
        try:
            return await self._checked(request, handler)
        finally:
            if self.audit.noted != noted:
                await self.audit.written()

    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        visit = Visit(self, request)
        request[_VISIT] = visit
        if isinstance(request.protocol, Visitor):
            request.protocol.arrived(request.content)
        self._names(request, visit)
        self._from_elsewhere(request, visit)
        self.limit(self.requests, "requests", visit)
        self._token_in_url(request, visit)
        self._handshake(request)
        await self._identify(request, visit)
        if visit.principal is not None and visit.principal.token_id:
            self.limit(self.requests, "requests", visit, key=visit.principal.token_id)
            if visit.principal.role in _OF_PROGRAMS and not visit.page:
                self.audit.on_used(visit.principal.name, visit.address)
        self._rights(request, visit)
        with ExitStack() as visit.staying, self._room(visit):
            self.stays(request, visit)
            try:
                response = await handler(request)
            except NotAdmitted as error:
                raise unauthorized(str(error)) from error
        self._operated(request, visit, response.status)
        return response

    @contextmanager
    def _room(self, visit: Visit) -> Iterator[None]:
        """Behind a proxy requests are counted, as connections are at the doorstep. Raises 429."""
        if not visit.by_proxy:
            yield
            return
        if reached := self._at_once.reached(visit.address):
            self.audit.note(What.LIMITED, address=visit.address, limit=reached)
            later = {"Retry-After": str(RETRY_SECONDS)}
            raise refusal(HTTPStatus.TOO_MANY_REQUESTS, f"too many: there are {reached} already", later)
        self._at_once.come(visit.address)
        try:
            yield
        finally:
            self._at_once.leave(visit.address)

    def stays(self, request: web.Request, visit: Visit) -> None:
        """From now on this connection ends with the token that let it in."""
        if visit.principal is not None and visit.principal.token_id:
            stay = self.door.stay(visit.principal, lambda: _cut(request), visit.page)
            visit.stay = visit.staying.enter_context(stay)

    def limit(self, buckets: Buckets, what: str, visit: Visit, *, key: str = "") -> None:
        """Raises 429 when this address, or ``key``, has done that too often."""
        if (wait := buckets.take(key or visit.address, time.monotonic())) > 0:
            self.audit.note(What.LIMITED, address=visit.address, limit=what, token_id=key)
            raise too_many(what, wait)

    async def introduce(self, visit: Visit, text: str, *, session: bool = False) -> Principal:
        """Who shows this token, or this page's secret. Raises NotAdmitted."""
        admit = self.door.admit_session if session else self.door.admit
        try:
            return await admit(text, visit.address)
        except NotAdmitted as error:
            self.audit.note(What.NOT_ADMITTED, address=visit.address, reason=str(error))
            raise

    def failed(self, visit: Visit) -> float:
        """One more wrong token from there; how long it has to wait with the next one."""
        return self._failures.take(visit.address, time.monotonic())

    def _names(self, request: web.Request, visit: Visit) -> None:
        host, origin = request.headers.get("Host"), request.headers.get("Origin")
        if self.addresses.admits(host, origin):
            return
        self.audit.note(What.FOREIGN, address=visit.address, host=host or "", origin=origin or "")
        raise refusal(
            HTTPStatus.FORBIDDEN,
            "this address answers only to its own names, and to pages it served itself (web.hosts, web.origins)",
        )

    def _from_elsewhere(self, request: web.Request, visit: Visit) -> None:
        """A page's pictures, scripts and frames say no Origin; browsers tell all the same that it is another page's.

        Only a link to our own page may be followed from there.
        """
        headers = request.headers
        if "Origin" in headers or headers.get("Sec-Fetch-Site", "none") in _OWN_SITES:
            return
        is_link = (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")) == ("navigate", "document")
        if is_link and request.method == "GET" and request.path in ("/", "/api/"):
            return
        reason = f"sent by a page elsewhere ({headers['Sec-Fetch-Site']})"
        self.audit.note(What.FOREIGN, address=visit.address, path=request.path, reason=reason)
        raise refusal(
            HTTPStatus.FORBIDDEN, "this address answers only to pages it served itself (web.origins)"
        )

    def _token_in_url(self, request: web.Request, visit: Visit) -> None:
        if any(name.lower() in TOKEN_PARAMETERS for name in request.query):
            self.audit.note(What.SHOWN_IN_URL, address=visit.address, path=request.path)
            raise refusal(
                HTTPStatus.BAD_REQUEST,
                "a token never stands in a URL, which logs and histories keep: revoke it, and send the next one in "
                "the Authorization header",
            )

    async def _identify(self, request: web.Request, visit: Visit) -> None:
        """Find out who it is, as far as the request says."""
        text, session = _shown(request, self.cookie)
        if not text or self._is_filler(request, text, session=session):
            visit.principal = self.door.without_token()
            return
        if session:
            self._same_site(request, visit)
        try:
            visit.principal = await self.introduce(visit, text, session=session)
            visit.page = text if session else ""
        except NotAdmitted as error:
            if session and self._right(request) in (Open.EVERYBODY, Open.INTRODUCES):
                visit.principal = self.door.without_token()  # an old cookie is in nobody's way
                return
            if (wait := self.failed(visit)) > 0:
                raise too_many("wrong tokens", wait) from error
            raise unauthorized(f"this token will not do: {error}") from error

    def _is_filler(self, request: web.Request, text: str, *, session: bool) -> bool:
        """Where nobody needs a token, a program that cannot be without some key; never one of ours that has ended."""
        if session or self.door.required or not _is_foreign(request):
            return False
        return not is_meant_as_one(text)

    def _same_site(self, request: web.Request, visit: Visit) -> None:
        """A browser sends its cookie whoever made it send the request; only our own page may make it do something."""
        changes = request.method not in _SAFE_METHODS or "Upgrade" in request.headers
        if (
            changes
            and "Origin" not in request.headers
            and request.headers.get("Sec-Fetch-Site") != "same-origin"
        ):
            self.audit.note(
                What.FOREIGN, address=visit.address, path=request.path, reason="cookie without origin"
            )
            raise refusal(HTTPStatus.FORBIDDEN, "a cookie needs the Origin of the page that sends it")

    def _handshake(self, request: web.Request) -> None:
        """What aiohttp leaves open of a WebSocket's handshake (RFC 6455, section 4.2.1)."""
        if "Upgrade" not in request.headers:
            return
        if request.version < HttpVersion11 or not request.headers.get("Sec-WebSocket-Key", "").isascii():
            raise refusal(HTTPStatus.BAD_REQUEST, "that is not how a WebSocket begins")
        # A browser that offers subprotocols gives up when none is taken; and aiohttp would log the token.
        offered = [one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        protocol, key = (REALTIME, REALTIME_KEY) if _is_foreign(request) else (PROTOCOL, SUBPROTOCOL)
        if any(one.startswith((SUBPROTOCOL, REALTIME_KEY)) for one in offered) and protocol not in offered:
            raise refusal(HTTPStatus.BAD_REQUEST, f"offer the subprotocol {protocol} beside {key}<token>")

    def _rights(self, request: web.Request, visit: Visit) -> None:
        if isinstance(request.match_info.http_exception, web.HTTPException):
            return  # there is no such thing
        right = self._right(request)
        if right in (Open.EVERYBODY, Open.TICKETED) or (right is Open.INTRODUCES and visit.principal is None):
            return
        if visit.principal is None:
            raise unauthorized("a token is needed: Authorization: Bearer <token>")
        if not any(map(visit.principal.may, _any_of(right))):
            self.note_not_allowed(visit, visit.principal, request.path)
            raise refusal(HTTPStatus.FORBIDDEN, "this token does not let you do that")

    def _right(self, request: web.Request) -> Needed | None:
        resource = request.match_info.route.resource
        return None if resource is None else self._needed(request.method, resource.canonical)

    def _operated(self, request: web.Request, visit: Visit, status: int) -> None:
        """Write down what somebody changed that only an operator may."""
        if request.method in _SAFE_METHODS or self._right(request) not in (Right.OPERATE, Right.GOVERN):
            return
        who = visit.principal
        facts = {"name": who.name, "token_id": who.token_id} if who else {}
        self.audit.note(
            What.OPERATED,
            address=visit.address,
            method=request.method,
            path=request.path,
            status=status,
            **facts,
        )

    def note_not_allowed(self, visit: Visit, who: Principal, path: str, **facts: str) -> None:
        """Write down that somebody wanted more than their role, or their scope, has."""
        facts |= {"name": who.name, "role": who.role.value, "token_id": who.token_id}
        self.audit.note(What.NOT_ALLOWED, address=visit.address, path=path, **facts)


def who(request: web.Request) -> Principal:
    """Who sent a request that was let in. Raises NotAdmitted for somebody who has not said it yet."""
    principal = visit_of(request).principal
    if principal is None:
        raise NotAdmitted("a token is needed")
    return principal


async def introduce(request: web.Request, text: str) -> Principal:
    """Let in somebody who shows a token in a message. Raises NotAdmitted."""
    visit = visit_of(request)
    guard = visit.guard
    try:
        principal = await guard.introduce(visit, text)
    except NotAdmitted as error:
        if guard.failed(visit) > 0:
            raise NotAdmitted("too many wrong tokens") from error
        raise
    if not principal.may(Right.LISTEN):
        guard.note_not_allowed(visit, principal, request.path)
        raise NotAdmitted(f"this token does not let you {Right.LISTEN}")
    visit.principal, visit.page = principal, ""
    visit.staying.close()
    guard.stays(request, visit)
    return principal


def count_message(request: web.Request) -> None:
    """One more message on this connection. Raises TooFast."""
    visit = visit_of(request)
    guard, principal = visit.guard, visit.principal
    token_id = principal.token_id if principal is not None else ""
    now = time.monotonic()
    wait = max(guard.messages.take(key, now) for key in {visit.address, token_id or visit.address})
    if wait > 0:
        guard.audit.note(What.LIMITED, address=visit.address, limit="messages", token_id=token_id)
        raise TooFast("too many messages")


def count_upload(request: web.Request) -> None:
    """One more file to be transcribed. Raises 429."""
    visit = visit_of(request)
    token_id = visit.principal.token_id if visit.principal is not None else ""
    visit.guard.limit(visit.guard.uploads, "uploads", visit, key=token_id)


def visit_of(request: web.Request) -> Visit:
    """The request's way in."""
    return request[_VISIT]


def _any_of(needed: Needed | None) -> tuple[Right, ...]:
    """Of these rights one is enough; nobody has one for a route that is not listed."""
    if needed is Open.INTRODUCES:
        return (Right.LISTEN,)
    if isinstance(needed, Right):
        return (needed,)
    return needed if isinstance(needed, tuple) else ()


def _is_foreign(request: web.Request) -> bool:
    return request.path.startswith(FOREIGN)


def _shown(request: web.Request, cookie: str) -> tuple[str, bool]:
    """The token that came with the request, or the page's secret (true); what was shown on purpose goes first."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and text.strip():
        return text.strip(), False
    before = REALTIME_KEY if _is_foreign(request) else SUBPROTOCOL
    for protocol in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
        if protocol.strip().startswith(before):
            return protocol.strip().removeprefix(before), False
    if _is_foreign(request) and (key := request.headers.get(API_KEY, "").strip()):
        return key, False
    return request.cookies.get(cookie, ""), True


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _buckets(per_second: float) -> Buckets:
    return Buckets(Rate(per_second, per_second * BURST_SECONDS))
