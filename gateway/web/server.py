"""The web server: the page, the WebSocket and the health endpoints, behind the door.

::

    GET /          the page
    GET /static/   its parts
    GET /ws        events as a WebSocket (docs/events.md)
    GET /events    the same as server-sent events
    GET /device    a device's WebSocket (docs/protocol.md)
    /v1/           OpenAI's audio interface, where it is switched on (docs/openai.md)
    GET /recognition/audio/  audio too large for a job, for who knows its secret, where recognizers.audio_at is set
    GET /livez     200 as long as the event loop turns
    GET /api/v1/   the API (docs/api.md); /api/ describes it
    GET /metrics   figures for Prometheus, or in OpenMetrics' form (docs/observing.md)
    GET /readyz    200 healthy or degraded, 503 unhealthy; JSON with reason and remedy per component;
                   with ?room 503, too, where no room is for one more device or page

``gateway/web/rights.py`` says what each route asks for; one that is not there is closed.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.access.door import Door
from gateway.contract.messages import encode
from gateway.observing.health import seen_by
from gateway.observing.requests.following import follow
from gateway.web.api.health import running_version
from gateway.web.device_sockets import DeviceSockets
from gateway.web.entrance.addresses import Addresses
from gateway.web.entrance.doorstep import Doorstep
from gateway.web.entrance.guard import SECURITY_HEADERS, Guard, visit_of
from gateway.web.entrance.listening import CannotListen, check_door, listening, page_url
from gateway.web.entrance.tls import Tls, TlsUnavailable, wanted
from gateway.web.listeners.event_stream import EventStreams
from gateway.web.listeners.forwarding import CLOSE_SECONDS
from gateway.web.listeners.sockets import Sockets
from gateway.web.metrics.serving import Metrics
from gateway.web.operations.routes import add_routes, explained
from gateway.web.parts import Parts
from gateway.web.rights import needed

log = structlog.get_logger(__name__)

_STATIC = Path(__file__).parent / "static"
STATIC = "/static/"
RENEWED_SECONDS = 60.0
"""How often a certificate on the disk is looked at."""
HSTS = "max-age=31536000"
FULL = "full"


class WebServer:
    """Serves from ``async with`` to its end. Raises CannotListen on entering."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._sockets = Sockets(parts)
        self._devices = DeviceSockets(parts)
        self._streams = EventStreams(parts)
        self._lifetime = AsyncExitStack()
        self.application: web.Application | None = None
        self.url = ""
        """Where the page is, known once serving: ``http://127.0.0.1:8080/``."""

    async def __aenter__(self) -> Self:
        parts, settings = self._parts, self._parts.settings
        tls = await asyncio.to_thread(self._tls)
        door = await asyncio.to_thread(Door, settings, parts.folder, parts.audit)
        check_door(settings, door)
        listener = await listening(settings.host, settings.port)
        host, port = listener.getsockname()[:2]
        scheme = "https" if tls else "http"
        addresses = Addresses(host, port, scheme=scheme, names=settings.hosts, origins=settings.origins)
        guard = Guard(addresses, door, parts.audit, settings, needed)
        async with AsyncExitStack() as stack:
            stack.callback(listener.close)
            self.application = self._application(guard, tls)
            runner = web.AppRunner(self.application, shutdown_timeout=CLOSE_SECONDS)
            await runner.setup()
            assert runner.server is not None
            stack.push_async_callback(runner.cleanup)
            stack.push_async_callback(self._streams.close)
            stack.push_async_callback(self._sockets.close)
            stack.push_async_callback(self._devices.close)
            await stack.enter_async_context(door)
            parts.common_door.serve(door, guard.shared)
            context = (lambda: tls.context) if tls else None
            await stack.enter_async_context(
                Doorstep(
                    listener, runner.server, settings.limits, parts.audit, proxies=guard.proxies, tls=context
                )
            )
            if tls is not None:
                watch = asyncio.create_task(_watch(tls), name="certificate")
                stack.callback(watch.cancel)
            self._lifetime = stack.pop_all()
        self.url = page_url(scheme, host, port)
        log.info("web server listening", url=self.url, tokens="required" if door.required else "not required")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lifetime.aclose()

    def _tls(self) -> Tls | None:
        settings = self._parts.settings
        if not wanted(settings):
            return None
        try:
            tls = Tls(settings, self._parts.folder)
        except TlsUnavailable as error:
            raise CannotListen(f"{settings.host}:{settings.port}", str(error), error.remedy) from error
        log.info("web server's certificate", sha256=tls.fingerprint, self_signed=tls.is_self_signed)
        return tls

    def _application(self, guard: Guard, tls: Tls | None) -> web.Application:
        application = web.Application(middlewares=[explained, *self._of_openai(), guard.check])
        headers = dict(SECURITY_HEADERS)
        if tls is not None and not tls.is_self_signed:  # else a new one would lock its owner out
            headers["Strict-Transport-Security"] = HSTS

        async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
            response.headers.update(headers)
            if request.path != "/" and not request.path.startswith(STATIC):
                response.headers["Cache-Control"] = "no-store"  # what is said belongs on no browser's disk

        application.on_response_prepare.append(add_headers)
        application.router.add_get("/", _page)
        application.router.add_static(STATIC, _STATIC)
        application.router.add_get("/ws", self._sockets.serve)
        application.router.add_get("/events", self._streams.serve)
        application.router.add_get("/device", self._devices.serve)
        add_routes(application.router, self._parts)
        if self._parts.openai.enabled:
            from gateway.web.openai.routes import add_openai  # noqa: PLC0415 - nothing of it where nobody wants it

            add_openai(application, self._parts)
        if self._parts.give_audio is not None:
            application.router.add_get("/recognition/audio/{secret}", self._give_audio)
        application.router.add_get("/metrics", Metrics(self._parts, running_version()).serve)
        application.router.add_get("/livez", _livez)
        application.router.add_get("/readyz", self._readyz)
        follow(application, self._parts.requests)
        return application

    def _of_openai(self) -> list[Middleware]:
        """What tells errors below /v1 in OpenAI's form, where it is switched on."""
        if not self._parts.openai.enabled:
            return []
        from gateway.web.openai.errors import told_as_openai  # noqa: PLC0415 - as above

        return [told_as_openai]

    async def _give_audio(self, request: web.Request) -> web.Response:
        """To who has been told its secret, with a job."""
        assert self._parts.give_audio is not None
        data = self._parts.give_audio(request.match_info["secret"])
        if data is None:
            raise web.HTTPNotFound
        return web.Response(body=data, content_type="application/octet-stream")

    async def _readyz(self, request: web.Request) -> web.Response:
        """``?room``: only with room for one more device and page is it ready, for those who choose among several."""
        report, principal = self._parts.health.report(), visit_of(request).principal
        if report.ready and "room" in request.query and self._parts.is_full():
            return web.json_response({"state": FULL}, status=503)
        status = 200 if report.ready else 503
        # What is wrong here, and where, is nothing for strangers.
        told = encode(seen_by(principal, report)) if principal else b'{"state":"%s"}' % report.state.encode()
        return web.Response(body=told, status=status, content_type="application/json")


async def _page(request: web.Request) -> web.FileResponse:
    """The page; to somebody who has not signed in, the form for it."""
    if visit_of(request).principal is None:
        return web.FileResponse(_STATIC / "sign-in.html", status=HTTPStatus.UNAUTHORIZED)
    return web.FileResponse(_STATIC / "index.html")


async def _livez(_request: web.Request) -> web.Response:
    return web.Response(text="alive\n")


async def _watch(tls: Tls) -> None:
    """A renewed certificate is used for the next connection."""
    while True:
        await asyncio.sleep(RENEWED_SECONDS)
        try:
            if await asyncio.to_thread(tls.load):
                log.info("certificate renewed", sha256=tls.fingerprint)
        except TlsUnavailable as error:
            log.warning("the renewed certificate cannot be used", reason=str(error))
