"""A worker's own small HTTP server: whether it lives, whether it is ready, and its figures for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Self

from aiohttp import web
from msgspec import Struct

from gateway.observing.metrics.exposition import exposition
from gateway.observing.metrics.family import Family, counter, gauge
from gateway.observing.requests.counting import HttpRequests
from gateway.observing.requests.following import follow
from gateway.recognizers.worker.worker import RecognizerWorker

FULL_SECONDS: Final = 1.0
"""Where jobs wait so long at the broker before one has time for them, there are too few workers."""


class WorkerHealth(Struct, frozen=True):
    """How a worker is. ``is_there``: whether the broker is."""

    worker: RecognizerWorker
    is_there: Callable[[], bool]

    @property
    def state(self) -> str:
        """``leaving``, ``loading`` (the engine), ``away`` (the broker), ``full``, or ``ready``."""
        record = self.worker.record
        if self.worker.leaving:
            return "leaving"
        if not self.worker.able:
            return "loading"
        if not self.is_there():
            return "away"
        return "full" if record.queue_age > FULL_SECONDS else "ready"

    def families(self) -> list[Family]:
        """What it has done and is at."""
        record, name = self.worker.record, self.worker.name
        is_ready = self.state in {"ready", "full"}
        families = [
            gauge(
                "queue_age_seconds",
                "How long the job taken last had waited; 0: none waits.",
                record.queue_age,
            ),
            gauge("utilization_ratio", "Of the last minute, what share was work.", record.utilization),
            gauge("busy", "Jobs it is at.", record.busy),
            gauge("capacity", "Jobs it does together.", name.at_once),
            gauge("ready", "Whether it takes jobs.", is_ready),
            gauge("job_seconds", "What a job took of late, in the middle.", record.seconds_per_job),
            counter("jobs_done", "Jobs that have their text.", record.done),
            counter("jobs_failed", "Jobs without one.", record.failed),
            counter("jobs_dropped", "Jobs that nobody waited for, or nobody can do.", record.dropped),
            counter("work_seconds", "Time that jobs took.", record.seconds),
        ]
        for family in families:
            family.name = f"recognizer_{family.name}"
        return families


class HealthServer:
    """``async with HealthServer(health, host, port)``: /livez, /readyz, /metrics. Raises OSError at its beginning."""

    def __init__(self, health: WorkerHealth, host: str, port: int) -> None:
        self._health = health
        self._place = (host, port)
        application = web.Application()
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        self._requests = HttpRequests()
        follow(application, self._requests)
        self._runner = web.AppRunner(application, access_log=None)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._place).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        """Where it is."""
        return int(self._runner.addresses[0][1])

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _readyz(self, request: web.Request) -> web.Response:
        """``?room``: only with room for more is it ready."""
        state = self._health.state
        fine = state == "ready" or (state == "full" and "room" not in request.query)
        return web.json_response({"status": state}, status=200 if fine else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        families = [*self._health.families(), *self._requests.families()]
        text, media_type = exposition(families, request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": media_type})
