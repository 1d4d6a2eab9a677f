"""The process of `earshot recognizer`: a broker, an engine and a worker between them, until a signal comes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import structlog
from msgspec import Struct, structs

from gateway.broker.base import BrokerStatus
from gateway.broker.opening import MEMORY, open_broker
from gateway.contract.messages import new_id
from gateway.process.signals import told_by_signals
from gateway.recognizers.claim_checks import ClaimChecks
from gateway.recognizers.worker.fetching import AudioFetcher
from gateway.recognizers.worker.worker import RecognizerWorker, WorkerName, at_once
from gateway.settings.broker import BrokerSettings
from gateway.systemd.notifier import Notifier
from transcription.recognizing import RecognizerState
from transcription.scheduling import engines
from transcription.scheduling.keeper import OpenEngineFunction
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import TranscriptionSettings

log = structlog.get_logger(__name__)


class CannotWork(Exception):
    """The settings allow no worker; what to do about it is in the message."""


class WorkerSettings(Struct, frozen=True, kw_only=True):
    """All that a worker is told. ``health``: where its own HTTP server is to be; "": nowhere."""

    broker: BrokerSettings
    transcription: TranscriptionSettings
    name: str = ""
    health: str = ""
    ca_file: str = ""
    drain_seconds: float = 8.0


def check(settings: WorkerSettings) -> None:
    """Raises CannotWork."""
    if settings.broker.url == MEMORY:
        raise CannotWork(
            "memory:// lives inside the gateway, and no recognizer elsewhere hears of it\n"
            "remedy: name the gateways' broker (--broker, or broker.url)"
        )
    if settings.transcription.engine == "off":
        raise CannotWork(
            "transcription.engine is off, and a recognizer is nothing else\nremedy: set it to auto (or say --model)"
        )


class WorkerProcess:
    """``asyncio.run(WorkerProcess(settings).run())``: until SIGTERM or SIGINT; a second one ends it at once."""

    def __init__(
        self, settings: WorkerSettings, *, open_engine: OpenEngineFunction = engines.open_engine
    ) -> None:
        """Raises CannotWork. Reads files: not for a running loop."""
        check(settings)
        transcription = settings.transcription
        self._settings = settings
        token = settings.name or new_worker_name()
        self._name = WorkerName(
            token, transcription.model, at_once(transcription), version("earshot-gateway")
        )
        self._fetch = _fetcher(settings)
        self._notifier = Notifier()
        self._is_there = False
        self._worker: RecognizerWorker | None = None
        self._recognizer = Recognizer(transcription, self._recognizer_is, open_engine=open_engine)
        # Who the broker takes us for is nobody else, on this machine or another; and transcripts are not ours to keep.
        broker = structs.replace(settings.broker, client_id=token[:48], keep_for_groups=())
        self._broker = open_broker(broker.url, broker, self._broker_is)

    async def run(self) -> int:
        """What the process ends with. Raises CannotWork, BrokerError."""
        claims = ClaimChecks(self._broker, fetch=self._fetch)
        async with self._recognizer:
            worker = self._worker = RecognizerWorker(self._name, self._broker, self._recognizer, claims)
            async with self._health(worker):
                log.info(
                    "recognizer", name=self._name.token, model=self._name.model, together=self._name.at_once
                )
                try:
                    return await self._until_told(worker)
                finally:
                    await self._broker.close(0.0)

    async def _until_told(self, worker: RecognizerWorker) -> int:
        signals: asyncio.Queue[None] = asyncio.Queue()
        work = asyncio.create_task(worker.run(), name="worker")
        end = asyncio.create_task(self._end_when_told(worker, work, signals), name="end")
        watchdog = asyncio.create_task(self._notifier.watchdog(lambda: True), name="watchdog")
        try:
            with told_by_signals(signals):
                self._notifier.ready(
                    f"{self._name.model} at {self._settings.broker.url.partition('://')[0]}://"
                )
                await asyncio.wait({work})
        finally:
            for task in (end, watchdog, work):
                task.cancel()
            await asyncio.gather(end, watchdog, work, return_exceptions=True)
        if not work.cancelled():
            work.result()
        return 0

    async def _end_when_told(
        self, worker: RecognizerWorker, work: asyncio.Task[None], signals: asyncio.Queue[None]
    ) -> None:
        await signals.get()
        seconds = self._settings.drain_seconds
        log.info("leaving: what was begun is finished", seconds=seconds, jobs=worker.record.busy)
        self._notifier.stopping("leaving")
        worker.leave()
        again = asyncio.create_task(signals.get(), name="told again")
        try:
            await asyncio.wait({work, again}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():  # what is not done goes back, for somebody else
                await self._recognizer.close(drain_seconds=0.0)
                await asyncio.wait({work}, timeout=1.0)
        finally:
            again.cancel()
        work.cancel()

    @asynccontextmanager
    async def _health(self, worker: RecognizerWorker) -> AsyncIterator[None]:
        if not self._settings.health:
            yield
            return
        from gateway.recognizers.worker.health import HealthServer, WorkerHealth  # noqa: PLC0415 - where it is wanted

        host, port = place(self._settings.health)
        try:
            async with HealthServer(WorkerHealth(worker, lambda: self._is_there), host, port) as server:
                log.info("health", address=f"http://{host}:{server.port}/readyz")
                yield
        except OSError as error:
            raise CannotWork(f"{self._settings.health}: {error.strerror or error}") from error

    def _broker_is(self, status: BrokerStatus) -> None:
        self._is_there = status.connected
        if self._worker is not None:
            self._worker.broker_changed()
        if status.reason:
            what = "the broker does not allow all" if status.connected else "the broker is not there"
            log.warning(what, reason=status.reason, remedy=status.remedy)
        elif status.connected:
            log.info("the broker is there", server=status.server)

    def _recognizer_is(self, state: RecognizerState) -> None:
        facts = {"engine": state.engine, "model": state.model}
        if state.reason:
            log.warning(
                "recognizer", state=state.phase.value, **facts, reason=state.reason, remedy=state.remedy
            )
        else:
            log.info("recognizer", state=state.phase.value, **facts)
        if self._worker is not None:
            self._worker.recognizer_changed()


def new_worker_name() -> str:
    """This machine's name, as far as it may stand in a routing key, and something that no other worker has."""
    host = "".join(
        one if one.isascii() and (one.isalnum() or one == "-") else "-" for one in socket.gethostname()
    )
    return f"{host[:20]}-{new_id('w')[2:14].replace('_', '-')}"


def place(text: str) -> tuple[str, int]:
    """``HOST:PORT``, ``[::1]:PORT`` or ``:PORT``. Raises CannotWork."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise CannotWork(f"{text!r} is not HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def _fetcher(settings: WorkerSettings) -> AudioFetcher:
    try:
        return AudioFetcher(settings.ca_file)
    except OSError as error:
        raise CannotWork(f"{settings.ca_file}: {error.strerror or error}") from error
