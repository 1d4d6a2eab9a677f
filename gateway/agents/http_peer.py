"""Somebody else's HTTP server, as agents ask it: bounded, in their own time, and every failure in words.

Nobody is asked twice here, and no redirect is followed: the token is for the host that the settings name. A question
that nobody waits for any more (its task is cancelled) closes its connection at once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import structlog
from aiohttp import (
    ClientError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    ClientWSTimeout,
    DummyCookieJar,
    ServerDisconnectedError,
    TCPConnector,
    TraceConfig,
    TraceRequestRedirectParams,
    WSServerHandshakeError,
)
from multidict import CIMultiDictProxy

from firmware_bridge.servers import in_words, tls_context
from gateway.contract.tracing import HEADER, trace_context
from gateway.orchestrators.answer import CannotAnswer
from gateway.orchestrators.sdk import BadOrchestrator

CONNECT_SECONDS = 5.0
SILENT_SECONDS = 60.0
"""A server that has begun and says nothing for so long is gone; the answer's own time is the agent's."""
PING_SECONDS = 20.0
GOODBYE_SECONDS = 0.05
"""A WebSocket's other end has so long to say that it has heard of the end."""
MOST_BYTES = 4 * 1024 * 1024
"""Of one answer, streams included."""
MOST_LINE = 256 * 1024
_SHOWN = 200
"""Characters of what a server says of its failure."""


class PeerFailed(CannotAnswer):
    """It did not do what was asked of it.

    ``status``: HTTP's, or 0 where there was no answer. ``never_began``: it has certainly done nothing of it, so that it
    may be asked again. ``retry_after``: seconds that it wants to be left alone for. ``hung_up``: it closed the
    connection without a word, as a server does with one that was kept for too long: most likely it began nothing.
    """

    def __init__(
        self,
        reason: str,
        remedy: str = "",
        *,
        status: int = 0,
        never_began: bool = False,
        retry_after: float | None = None,
        hung_up: bool = False,
    ) -> None:
        super().__init__(reason, remedy)
        self.hung_up = hung_up
        self.status = status
        self.never_began = never_began
        self.retry_after = retry_after


class ServerEvent(NamedTuple):
    """One of a text/event-stream: its kind ("" as a rule), and its data."""

    kind: str
    data: str


class PeerAnswer:
    """What a server answers to one question. To be read once, in one of the three ways."""

    def __init__(self, response: ClientResponse, who: str) -> None:
        self._response = response
        self._who = who

    @property
    def status(self) -> int:
        """HTTP's: one of those that say that all is well."""
        return self._response.status

    @property
    def content_type(self) -> str:
        """Without its parameters."""
        return self._response.content_type

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """All of them."""
        return self._response.headers

    async def text(self) -> str:
        """All of it. Raises PeerFailed when it is cut off or too much."""
        data = b"".join([part async for part in self._parts()])
        try:
            return data.decode(self._response.charset or "utf-8", "replace")
        except LookupError:  # there is no such encoding
            return data.decode("utf-8", "replace")

    async def json(self) -> Any:
        """The same, as JSON. Raises PeerFailed also for what is none."""
        text = await self.text()
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            what = "a web page" if "html" in self.content_type or text.lstrip()[:1] == "<" else "no JSON"
            raise PeerFailed(
                f"{self._who} answers with {what}", "see that the agent's url is the one meant"
            ) from error

    async def lines(self) -> AsyncIterator[str]:
        """Line by line, as they come. Raises PeerFailed when it is cut off, too much, or one has no end."""
        rest = b""
        async for part in self._parts():
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                yield line.rstrip(b"\r").decode("utf-8", "replace")
            if len(rest) > MOST_LINE:
                raise PeerFailed(f"{self._who} sends a line of more than {MOST_LINE // 1024} KiB")
        if rest:
            yield rest.rstrip(b"\r").decode("utf-8", "replace")

    async def events(self) -> AsyncIterator[ServerEvent]:
        """Event by event, as text/event-stream has them. One that its stream's end cuts off is none."""
        kind, data = "", list[str]()
        async for line in self.lines():
            if not line:
                if data:
                    yield ServerEvent(kind, "\n".join(data))
                kind, data = "", []
                continue
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                data.append(value)
            elif field == "event":
                kind = value

    async def _parts(self) -> AsyncIterator[bytes]:
        taken = 0
        try:
            async for part in self._response.content.iter_any():
                taken += len(part)
                if taken > MOST_BYTES:
                    raise PeerFailed(f"{self._who} answers with more than {MOST_BYTES // 1024 // 1024} MiB")
                yield part
        except (ClientError, OSError, TimeoutError) as error:
            reason = f"silent for {SILENT_SECONDS:.0f} s" if isinstance(error, TimeoutError) else "cut off"
            raise PeerFailed(f"the answer of {self._who} was {reason}") from error


class HttpPeer:
    """The server at ``url``, called ``name`` in what is said of it.

    ``token`` goes with each question as a bearer's, but where ``token_header`` names another header for it. ``running``
    is to be entered before it is asked.
    """

    def __init__(
        self, name: str, url: str, *, token: str = "", token_header: str = "", ca_file: str = ""
    ) -> None:
        self.name = name
        self._url = url.rstrip("/")
        self._ca_file = ca_file
        self._token = token
        self._headers = (
            {token_header or "Authorization": token if token_header else f"Bearer {token}"} if token else {}
        )
        self._session: ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """As long as it may be asked. Raises BadOrchestrator for a certificate's file that cannot be used."""
        try:
            tls = await asyncio.to_thread(tls_context, self._ca_file, "", "") if self._ca_file else True
        except (OSError, ValueError) as error:
            raise BadOrchestrator(f"ca_file: {in_words(error)}") from error
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
        connector = TCPConnector(ssl=tls, limit=0)
        async with ClientSession(
            timeout=timeout,
            headers=self._headers,
            connector=connector,
            cookie_jar=DummyCookieJar(),  # one person's session is not another's
            trace_configs=[_stay()],
        ) as session:
            self._session = session
            try:
                yield
            finally:
                self._session = None

    @asynccontextmanager
    async def post(
        self, path: str = "", body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[PeerAnswer]:
        """Ask: a POST of ``body``, as JSON unless it is bytes. Raises PeerFailed for whatever is no answer."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        told = {"Content-Type": "application/json", **(headers or {})}
        async with self._asked("POST", path, told, data) as answer:
            yield answer

    @asynccontextmanager
    async def get(
        self, path: str = "", *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[PeerAnswer]:
        """Look something up. Raises PeerFailed."""
        async with self._asked("GET", path, headers or {}, None) as answer:
            yield answer

    @asynccontextmanager
    async def ask(
        self, method: str, path: str, body: bytes | None, *, headers: Mapping[str, str]
    ) -> AsyncIterator[PeerAnswer]:
        """Whatever else HTTP has; ``body`` is JSON, unless a header says what it is. Raises PeerFailed."""
        told = headers if body is None else {"Content-Type": "application/json", **headers}
        async with self._asked(method, path, told, body) as answer:
            yield answer

    async def socket(self, path: str) -> ClientWebSocketResponse:
        """A WebSocket, which whoever asks for it closes. One that is silent is asked whether it is there.

        Raises PeerFailed.
        """
        if self._session is None:
            raise PeerFailed(f"{self.name} is asked while nothing runs", never_began=True)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._session.ws_connect(
                    self._url + path,
                    heartbeat=PING_SECONDS,
                    max_msg_size=MOST_BYTES,
                    timeout=ClientWSTimeout(ws_close=GOODBYE_SECONDS),
                )
        except WSServerHandshakeError as error:
            raise PeerFailed(
                f"{self.name} has no WebSocket there (status {error.status})",
                "see the agent's url",
                status=error.status,
                never_began=True,
            ) from error
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            raise _unreached(self.name, error) from error

    @asynccontextmanager
    async def _asked(
        self, method: str, path: str, headers: Mapping[str, str], data: bytes | None
    ) -> AsyncIterator[PeerAnswer]:
        if self._session is None:
            raise PeerFailed(f"{self.name} is asked while nothing runs", never_began=True)
        try:
            response = await self._session.request(
                method, self._url + path, data=data, headers=_traced(headers), allow_redirects=False
            )
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            raise _unreached(self.name, error) from error
        try:
            if not 200 <= response.status < 300:
                raise await _refused(self.name, response, self._token)
            yield PeerAnswer(response, self.name)
        finally:
            if response.content.at_eof():
                response.release()
            else:
                response.close()  # what still comes is for nobody


def _traced(headers: Mapping[str, str]) -> Mapping[str, str]:
    """With the trace of what is being answered, which goes on there; as the log has it."""
    trace = trace_context(str(structlog.contextvars.get_contextvars().get(HEADER, "")))
    return {**headers, HEADER: trace} if trace and HEADER not in headers else headers


class _SentElsewhere(ClientError):
    """A WebSocket would be opened at another address, where the token has no business."""


def _stay() -> TraceConfig:
    async def refuse(_session: object, _context: object, params: TraceRequestRedirectParams) -> None:
        raise _SentElsewhere(params.response.status)

    trace = TraceConfig()
    trace.on_request_redirect.append(refuse)
    return trace


def _unreached(who: str, error: Exception) -> PeerFailed:
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(cause, ssl.SSLError):
        why = getattr(cause, "verify_message", "") or cause.reason or "no TLS"
        return PeerFailed(
            f"{who} cannot be trusted: {why}",
            "see its certificate; ca_file names who signed it",
            never_began=True,
        )
    if isinstance(error, _SentElsewhere):
        return PeerFailed(_elsewhere(who, error.args[0]), _LAST_ADDRESS, status=error.args[0])
    if isinstance(error, TimeoutError):
        return PeerFailed(f"{who} does not answer in time", "see that it runs, and the agent's url")
    if isinstance(error, ClientResponseError):
        return PeerFailed(f"{who} answers with no HTTP", "see that the agent's url is the one meant")
    why = in_words(cause) if isinstance(cause, OSError) else type(error).__name__
    begun = not isinstance(cause, OSError) or isinstance(cause, ConnectionResetError | BrokenPipeError)
    return PeerFailed(
        f"{who} is not there: {why}",
        "start it, or correct the agent's url",
        never_began=not begun,
        hung_up=isinstance(error, ServerDisconnectedError) or (isinstance(cause, ConnectionError) and begun),
    )


async def _refused(who: str, response: ClientResponse, token: str) -> PeerFailed:
    status = response.status
    if 300 <= status < 400:
        return PeerFailed(_elsewhere(who, status), _LAST_ADDRESS, status=status)
    said = await _said(response, token)
    reason, remedy = _REFUSALS.get(status, (f"answers with status {status}", ""))
    return PeerFailed(
        f"{who} {reason}{f': {said}' if said else ''}",
        remedy,
        status=status,
        never_began=status in _NEVER_BEGAN,
        retry_after=_seconds(response.headers.get("Retry-After", "")),
    )


def _elsewhere(who: str, status: int) -> str:
    return f"{who} sends us elsewhere (status {status})"


async def _said(response: ClientResponse, token: str) -> str:
    """What a server says of its refusal, in a line; nothing of a web page, and not what lets us in."""
    try:
        async with asyncio.timeout(1.0):
            data = await response.content.read(4 * 1024)
    except (ClientError, OSError, TimeoutError):
        return ""
    text = data.decode("utf-8", "replace").strip()
    text = text.replace(token, "***") if token else text
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return "" if text.startswith("<") else " ".join(text.split())[:_SHOWN]
    for key in ("error", "message", "detail"):
        found = found.get(key, found) if isinstance(found, dict) else found
    return " ".join(found.split())[:_SHOWN] if isinstance(found, str) else ""


def _seconds(told: str) -> float | None:
    """Retry-After, as seconds; a date is not heeded."""
    return min(float(told), 3600.0) if told.isdigit() and len(told) < 10 else None


_LAST_ADDRESS = "write the last address into the agent's url"
_NEVER_BEGAN = frozenset({401, 403, 404, 429, 503})
_LET_IN = "correct what lets it in (token_file, or the agent's variable)"
_REFUSALS: Mapping[int, tuple[str, str]] = {
    401: ("does not let us in", _LET_IN),
    403: ("does not allow it", _LET_IN),
    404: ("has nothing at that address", "see the agent's url"),
    429: ("has too much to do", "wait, or ask less"),
}
