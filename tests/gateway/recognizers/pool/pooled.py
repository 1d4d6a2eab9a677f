"""A gateway's recognizer over a pool, with or without an engine of its own, for tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from gateway.broker.base import BrokerStatus, MessageBroker
from gateway.contract.recognition import AudioCodec
from gateway.process.mishaps import Mishaps
from gateway.recognizers.pool.pool import CONNECTED, Pool
from gateway.recognizers.pool.recognizer import OnPool, PooledRecognizer
from gateway.settings.broker import BrokerSettings
from tests.gateway.recognizers.pool.workers import MODEL
from transcription.errors import EngineFailed
from transcription.recognizing import Phase, RecognizerState
from transcription.scheduling.engines import OpenEngine
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import TranscriptionSettings
from transcription.transcriber import NO_HINTS, Hints, OnProgress, Transcript, untold
from transcription.utterance.segmenter import Utterance

SETTINGS = TranscriptionSettings(model=MODEL)
BROKER = BrokerSettings(client_id="gate", lease_seconds=1)


class OwnEngine:
    """The gateway's own: held until it is let go, and failing where the test says so."""

    engine, model = "own", "its own"

    def __init__(self, *, held: bool = False, fails: bool = False) -> None:
        self.go = threading.Event()
        self.working = threading.Event()
        self.fails = fails
        self.done = 0
        if not held:
            self.go.set()

    def load(self, on_progress: OnProgress = untold) -> None: ...

    def close(self) -> None:
        self.go.set()

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        self.working.set()
        assert self.go.wait(20)
        self.done += 1
        if self.fails:
            raise EngineFailed("the own engine is unlucky")
        return Transcript("by myself", "en", 1.0, 0.0, (), self.engine, self.model, 0.0)


@asynccontextmanager
async def pooled(
    broker: MessageBroker,
    engine: OwnEngine | None = None,
    *,
    settings: TranscriptionSettings = SETTINGS,
    model: str = "",
    on_state: Callable[[RecognizerState], None] = lambda _: None,
    on_pool: OnPool = lambda _there, _reason, _remedy: None,
    status: Callable[[], BrokerStatus] = lambda: CONNECTED,
) -> AsyncIterator[PooledRecognizer]:
    """Without an ``engine`` it is the pool or nobody."""
    pool = Pool(broker, BROKER, settings, AudioCodec.FLAC, status=status)
    if engine is None:
        own = partial(Recognizer, TranscriptionSettings(engine="off"))
    else:
        own = partial(Recognizer, settings, open_engine=lambda _settings, **_options: OpenEngine(engine))
    recognizer = PooledRecognizer(
        own, pool, settings, model=model, mishaps=Mishaps(), on_state=on_state, on_pool=on_pool
    )
    async with recognizer:
        while recognizer.own.state.phase is Phase.LOADING:  # noqa: ASYNC110 - a look at each turn of the loop
            await asyncio.sleep(0)
        yield recognizer


async def until(happened: Callable[[], bool], seconds: float = 10.0) -> None:
    """Look until it has happened."""
    async with asyncio.timeout(seconds):
        while not happened():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.005)
