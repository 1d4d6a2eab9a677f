"""Spans as OTLP has them in JSON (opentelemetry-proto 1.x), and the way to a collector: bounded, and never waited for.

By JSON no library is needed, which would cost 26 MB where the whole gateway idles at 70 (ADR 63).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from firmware_bridge.named_files import first_line
from firmware_bridge.servers import in_words, tls_context
from gateway.settings.observing.tracing import TracingSettings
from gateway.tracing.spans import Attribute, Span

log = structlog.get_logger(__name__)

MOST_SPANS: Final = 4_096
"""That wait; the oldest go first."""
BATCH_SPANS: Final = 512
BATCH_SECONDS: Final = 1.0
"""What comes within it goes together."""
TIMEOUT_SECONDS: Final = 10.0
AWAY_SECONDS: Final = (1.0, 30.0)
"""A collector that is away or full is tried again after this at first, and at most."""
AGAIN: Final = frozenset({408, 429, 502, 503, 504})
"""Answers after which OTLP has the same batch sent again."""
PATH: Final = "/v1/traces"


class SpanExporter:
    """``offer`` spans at any time; ``run`` sends them."""

    def __init__(self, settings: TracingSettings) -> None:
        self.sent = 0
        self.dropped = 0
        """Spans, since the start."""
        self._settings = settings
        self._url = settings.endpoint.rstrip("/")
        if not self._url.endswith(PATH):
            self._url += PATH
        self._version = ""
        self._waiting: deque[Span] = deque()
        self._some = asyncio.Event()
        self._is_away = False

    def offer(self, spans: Sequence[Span]) -> None:
        """They are sent when it is their turn, or dropped and counted where too many wait."""
        self._waiting.extend(spans)
        while len(self._waiting) > MOST_SPANS:
            self._waiting.popleft()
            self.dropped += 1
        self._some.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        async with await self._session() as session:
            pause = AWAY_SECONDS[0]
            while True:
                await self._some.wait()
                await asyncio.sleep(BATCH_SECONDS)
                batch = [self._waiting.popleft() for _ in range(min(BATCH_SPANS, len(self._waiting)))]
                if not self._waiting:
                    self._some.clear()
                if await self._send(session, batch):
                    pause = AWAY_SECONDS[0]
                    continue
                self._waiting.extendleft(reversed(batch))
                self.offer(())
                await asyncio.sleep(pause)
                pause = min(2 * pause, AWAY_SECONDS[1])

    async def _session(self) -> ClientSession:
        settings = self._settings
        headers = {**settings.headers, "Content-Type": "application/json"}
        tls: Any = True
        self._version = await asyncio.to_thread(_version)
        try:
            if settings.authorization_file:
                headers["Authorization"] = await asyncio.to_thread(
                    first_line, Path(settings.authorization_file)
                )
            if settings.ca_file:
                tls = await asyncio.to_thread(tls_context, settings.ca_file, "", "")
        except (OSError, ValueError) as error:
            log.warning("a file of tracing's cannot be read: spans leave without it", reason=in_words(error))
        return ClientSession(
            headers=headers,
            timeout=ClientTimeout(total=TIMEOUT_SECONDS),
            connector=TCPConnector(ssl=tls),
            cookie_jar=DummyCookieJar(),
        )

    async def _send(self, session: ClientSession, batch: Sequence[Span]) -> bool:
        """Whether this batch is done with; else it is to be sent again."""
        body = msgspec.json.encode(otlp(batch, self._settings.service_name, self._version))
        try:
            async with session.post(self._url, data=body, allow_redirects=False) as answer:
                status = answer.status
                told = await answer.content.read(300)
        except (ClientError, OSError, TimeoutError) as error:
            return self._failed(in_words(error) or "no answer in time")
        if status in AGAIN:
            return self._failed(f"it answers with {status}")
        if 200 <= status < 300:
            if self._is_away:
                log.info("spans reach their collector again", endpoint=self._settings.endpoint)
            self._is_away = False
            self.sent += len(batch)
            return True
        self._tell(f"it answers with {status}: {told.decode('utf-8', 'replace')}")
        self.dropped += len(batch)
        return True

    def _failed(self, reason: str) -> bool:
        self._tell(reason)
        return False

    def _tell(self, reason: str) -> None:
        """Once, until it is well again."""
        if not self._is_away:
            remedy = "look at tracing.endpoint and its headers; spans wait, and the oldest are dropped"
            log.warning("spans do not reach their collector", endpoint=self._settings.endpoint, reason=reason, remedy=remedy)  # fmt: skip # noqa: E501
        self._is_away = True


def otlp(spans: Sequence[Span], service: str, release: str) -> dict[str, Any]:
    """An ExportTraceServiceRequest."""
    resource = {"attributes": _attributes({"service.name": service, "service.version": release})}
    scope = {"name": "earshot", "version": release}
    told = [_span(one) for one in spans]
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": told}]}]}


def _span(span: Span) -> dict[str, Any]:
    attributes = {**span.attributes, **({"error.type": span.error} if span.error else {})}
    links = [dict(zip(("traceId", "spanId"), link.split("-")[1:3], strict=True)) for link in span.links]
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(int(span.start * 1e9)),
        "endTimeUnixNano": str(int(span.end * 1e9)),
        "attributes": _attributes(attributes),
        "status": {"code": 2} if span.error else {},
        **({"links": links} if links else {}),
    }


def _attributes(known: dict[str, Attribute]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in known.items()]


def _value(value: Attribute) -> dict[str, Attribute]:
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def _version() -> str:
    try:
        return version("earshot-gateway")
    except PackageNotFoundError:
        return "unknown"
