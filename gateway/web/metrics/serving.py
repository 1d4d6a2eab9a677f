"""GET /metrics: everything that is counted, for whoever has a token that may measure."""

from __future__ import annotations

from aiohttp import web

from gateway.observing.metrics.exposition import exposition
from gateway.web.metrics.of_gateway import families
from gateway.web.metrics.queue_depths import QueueDepths
from gateway.web.parts import Parts


class Metrics:
    """Answers at once: what a server is asked for, it is asked for beside."""

    def __init__(self, parts: Parts, version: str) -> None:
        self._parts, self._version = parts, version
        self._depths = QueueDepths()

    async def serve(self, request: web.Request) -> web.Response:
        """As text, in the form that is asked for."""
        found = families(self._parts, self._version)
        running = self._parts.find_running()
        if running is not None:
            found.append(self._depths.family(running))
        text, media_type = exposition(found, request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": media_type})
