"""Keeps an engine at hand: opens it, looks again for a better one, and starts it again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import structlog
from msgspec import structs

from transcription.errors import DeviceUnavailable, EngineDied, ModelUnavailable
from transcription.models.free_memory import has_room
from transcription.recognizing import Phase, RecognizerState
from transcription.scheduling.engine_use import EngineUse
from transcription.scheduling.engines import NotHereYet, OpenEngine
from transcription.settings import TranscriptionSettings
from transcription.transcriber import ON_CPU, Multilingual, OnProgress, Transcriber, Where

log = structlog.get_logger(__name__)

LOAD_DEATHS = 3
"""So many processes in a row that ended while they loaded the model, and it counts as missing."""
LOAD_DEATHS_ONCE_LOADED = 8
"""The same of a model that was loaded before: it is whole and fits, so something else ends them."""


LIVE_SETTINGS = (
    "idle_unload_seconds", "retries", "wait_seconds", "queue_utterances", "segmenter", "partials", "prompt",
    "hotwords", "word_timestamps", "devices",
)  # fmt: skip
"""Settings that are not the engine's own: with others of these it stays loaded."""


class OpenEngineFunction(Protocol):
    """What ``engines.open_engine`` is."""

    def __call__(
        self, settings: TranscriptionSettings, *, fallback: bool, patient: bool, on_progress: OnProgress
    ) -> OpenEngine:
        """Load an engine; blocks. Raises ModelUnavailable and, when ``patient``, EngineDied."""


class EngineKeeper:
    """The one engine of the recognizer, as long as ``keep`` runs.

    ``on_change`` is called on the event loop with every new state, and when ``engine`` may have come.
    ``retry_seconds``: the first and the longest pause before a missing model is looked for again, or
    an engine started again that died twice and did nothing in between. A process that ends while it
    loads is started again too; only after several such deaths in a row the model counts as missing.
    """

    def __init__(
        self,
        settings: TranscriptionSettings,
        on_change: Callable[[RecognizerState], None],
        *,
        open_engine: OpenEngineFunction,
        retry_seconds: tuple[float, float],
    ) -> None:
        self.state = RecognizerState(Phase.OFF if settings.engine == "off" else Phase.LOADING)
        self.engine: Transcriber | None = None
        """None while there is none. Who has it at work tells ``in_use``."""
        self.in_use = EngineUse()
        self._wanted = settings
        self._loaded: TranscriptionSettings | None = None  # of the engine at hand, unless it is the fallback
        self._where = ON_CPU  # it computes
        self._proven: TranscriptionSettings | None = None  # of the last one that was loaded as it was wanted
        self._given_up: TranscriptionSettings | None = (
            None  # not tried again: the one before would have to go
        )
        self._refused: TranscriptionSettings | None = None  # could not be had when it was last tried
        self._on_change = on_change
        self._open_engine = open_engine
        self._retry_seconds = retry_seconds
        self._news = asyncio.Event()
        """It died, is needed again, or another one is wanted."""
        self._died = False
        self._deaths = 0  # since the engine last did something
        self._load_deaths = 0  # in a row
        self._needed_at = 0.0
        # A thread that the interpreter waits for at its end: it would abort if one of a native engine
        # came back into it later.
        self._opener = ThreadPoolExecutor(1, "recognizer-open")
        self._opening: Future[OpenEngine] | None = None

    async def keep(self) -> None:
        """Open the engine, go on trying while it is not the one that is wanted, and again when it dies."""
        first, longest = self._retry_seconds
        pause = first
        while True:
            self._news.clear()
            self._died = False
            if await self._open():
                pause = first
                await self._rest()
            elif not self._news.is_set():
                await self._rest(pause)
                pause = min(2 * pause, longest)
            if self._died and self._deaths > 1:
                await asyncio.sleep(min(first * 2 ** (self._deaths - 2), longest))

    def change(self, settings: TranscriptionSettings) -> None:
        """From now on this engine is wanted; the one at hand goes on until the new one is loaded."""
        self._wanted = settings
        self._given_up = self._refused = None
        if self._where.full:  # what was on its GPU may have gone
            self._loaded = None
        self._load_deaths = 0
        self._news.set()

    @property
    def verdict(self) -> bool | None:
        """Whether the engine that is wanted is at hand; None: it is being loaded, or fetched."""
        wanted = _engine_settings(self._wanted)
        if self._loaded == wanted or self.state.phase is Phase.OFF:
            return True
        return False if self._refused == wanted else None

    def needed(self) -> None:
        """Somebody speaks: it must not fall asleep, or has to wake up."""
        self._needed_at = asyncio.get_running_loop().time()
        if self.state.phase is Phase.ASLEEP:
            reason = "somebody speaks; the model is being loaded"
            self._become(RecognizerState(Phase.WAKING, reason=reason, remedy=self.state.remedy))
            self._news.set()

    def worked(self) -> None:
        """The engine did something: when it dies, it is started again at once."""
        self._deaths = 0

    def lose(self, engine: Transcriber, reason: str) -> None:
        """Its process has ended. Idempotent."""
        if self.engine is not engine:
            return
        self.engine = self._loaded = None
        self._note_death(reason)

    def close(self) -> None:
        """Close the engine, also one that is still being loaded as soon as it is."""
        self._opener.shutdown(wait=False, cancel_futures=True)
        if self._opening is not None:
            self._opening.add_done_callback(_close_opened)
        engine, self.engine = self.engine, None
        if engine is not None:
            engine.close()

    # -- sleep

    async def _rest(self, most: float = math.inf) -> None:
        """Until there are news, or so many seconds.

        When nobody needs the engine for long, its memory is given back; only news wake it then.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + most
        while not self._news.is_set() and loop.time() < end:
            idle = self._wanted.idle_unload_seconds
            bedtime = self._needed_at + idle if idle and self.engine else math.inf
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(bedtime, end)):
                    await self._news.wait()
                    return
            async with self.in_use.alone():
                bedtime = self._needed_at + idle if idle and self.engine else math.inf
                if not self._news.is_set() and loop.time() >= bedtime:
                    self._fall_asleep(idle)
                    end = math.inf

    def _fall_asleep(self, idle: float) -> None:
        engine = self._let_go()
        reason = f"asleep: nothing was said for {idle:g} s; speech wakes it"
        if self.state.phase is Phase.DEGRADED:
            reason = f"{reason}; {self.state.reason}"
        self._become(_with(engine, self._where, Phase.ASLEEP, reason, self.state.remedy))

    # -- open

    async def _open(self) -> bool:
        """Try to; whether there is nothing to be done for now."""
        wanted = _engine_settings(self._wanted)
        if self.engine is not None and self._loaded == wanted:
            self._become(_with(self.engine, self._where, Phase.READY))
            return True
        if self._given_up == wanted and self.engine is not None:
            return True
        before = self._proven if self._proven != wanted else None
        if self._loaded is not None and not await asyncio.to_thread(has_room, wanted):
            await self._make_room()
        try:
            opened = await self._load_where_room_is(wanted, self.engine is None and before is None)
        except EngineDied as error:
            self._load_deaths += 1
            self._note_death(f"while it loaded, {error}")
            return False
        except ModelUnavailable as error:
            return await self._do_without(error, before)
        if opened.missing is None:
            self._load_deaths = 0
            self._proven = wanted
        await self._install(opened, wanted)
        return opened.missing is None

    async def _load(self, settings: TranscriptionSettings, *, fallback: bool) -> OpenEngine:
        """Raises ModelUnavailable and, while there is patience, EngineDied."""
        most = LOAD_DEATHS_ONCE_LOADED if settings == self._proven else LOAD_DEATHS
        self._opening = self._opener.submit(
            self._open_engine,
            settings,
            fallback=fallback,
            patient=self.engine is None and self._load_deaths + 1 < most,
            on_progress=self._progress_from(asyncio.get_running_loop()),
        )
        return await asyncio.wrap_future(self._opening)

    async def _load_where_room_is(self, settings: TranscriptionSettings, fallback: bool) -> OpenEngine:  # noqa: FBT001
        """Beside the one at hand; where a GPU has no room for both, the new one has it. Raises as ``_load`` does."""
        shared = self.engine is not None and bool(self._where.gpu)
        try:
            opened = await self._load(settings, fallback=fallback)
            if not (shared and opened.where.full):
                return opened
            opened.transcriber.close()
        except DeviceUnavailable as error:
            if not (shared and error.full):
                raise
        await self._make_room("the GPU")
        return await self._load(settings, fallback=fallback)

    async def _make_room(self, memory: str = "memory") -> None:
        """The one at hand goes first: both together do not fit."""
        async with self.in_use.alone():
            if self.engine is not None:
                engine = self._let_go()
                reason = f"{memory} has no room for another model beside {engine.model}, which went first"
                self._given_up = _engine_settings(self._wanted)
                self._become(RecognizerState(Phase.LOADING, reason=reason))

    async def _do_without(self, error: ModelUnavailable, before: TranscriptionSettings | None) -> bool:
        """The wanted one cannot be had; the one before goes on, or comes back, if there was one."""
        self._refused = _engine_settings(self._wanted)
        if self.engine is None and before is not None:
            try:
                opened = await self._load(before, fallback=True)
            except (ModelUnavailable, EngineDied) as second:
                log.warning("the model before cannot be had either", reason=str(second))
            else:
                await self._install(opened, before)
        if self.engine is None:
            self._become(RecognizerState(Phase.UNAVAILABLE, reason=str(error), remedy=error.remedy))
        else:
            at_hand = self.engine
            reason = str(error) if before is None else f"{error}; {at_hand.model} goes on meanwhile"
            self._become(_with(at_hand, self._where, Phase.DEGRADED, reason, error.remedy))
        return self.engine is not None and self._given_up is not None

    async def _install(self, opened: OpenEngine, settings: TranscriptionSettings) -> None:
        engine, missing = opened.transcriber, opened.missing
        async with self.in_use.alone():
            if self.engine is not None:
                self.engine.close()
            self.engine = engine
            self._loaded = settings if missing is None else None
            self._where = opened.where
        self._needed_at = asyncio.get_running_loop().time()
        if opened.ended is not None:
            ended = asyncio.wrap_future(opened.ended)
            ended.add_done_callback(lambda ended: self.lose(engine, ended.result()))
        if missing is None:
            self._become(_with(engine, self._where, Phase.READY))
        else:
            self._become(_with(engine, self._where, Phase.DEGRADED, str(missing), missing.remedy))
        if isinstance(missing, NotHereYet):
            self._news.set()  # fetch it at once

    def _let_go(self) -> Transcriber:
        """Close the engine at hand, which nobody else has."""
        engine = self.engine
        assert engine is not None
        self.engine = self._loaded = None
        engine.close()
        return engine

    # -- what is told

    def _note_death(self, reason: str) -> None:
        self._died = True
        self._deaths += 1
        log.warning("recognizer is started again", reason=reason, deaths_while_loading=self._load_deaths)
        self._become(RecognizerState(Phase.LOADING, reason=reason))
        self._news.set()

    def _progress_from(self, loop: asyncio.AbstractEventLoop) -> OnProgress:
        def tell(what: str, share: float) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before the loading has
                loop.call_soon_threadsafe(self._progressed, what, share)

        return tell

    def _progressed(self, what: str, share: float) -> None:
        if self.engine is None:
            self._become(RecognizerState(Phase.LOADING, reason=what, progress=share))
        elif self.state.phase in {Phase.READY, Phase.DEGRADED}:
            at_hand = self.engine.engine if self._loaded is None else self.engine.model
            reason = f"{what}; {at_hand} goes on meanwhile"
            self._become(_with(self.engine, self._where, self.state.phase, reason, progress=share))

    def _become(self, state: RecognizerState) -> None:
        if state == self.state:
            return
        has_come = state.engine and state.phase is not Phase.ASLEEP and not self.state.engine
        before = self.state
        changed = (state.engine, state.model, state.where) != (before.engine, before.model, before.where)
        if state.engine and (has_come or changed):
            on = state.where.gpu or "cpu"
            log.info("recognizer has its engine", engine=state.engine, model=state.model, on=on)
        self.state = state
        self._on_change(state)


def _with(
    engine: Transcriber,
    where: Where,
    phase: Phase,
    reason: str = "",
    remedy: str = "",
    *,
    progress: float | None = None,
) -> RecognizerState:
    """The state with this engine."""
    languages = engine.languages if isinstance(engine, Multilingual) else ()
    return RecognizerState(phase, engine.engine, engine.model, reason, remedy, progress, languages, where)


def _engine_settings(settings: TranscriptionSettings) -> TranscriptionSettings:
    """Equal for settings that mean the same engine, loaded the same way."""
    default = TranscriptionSettings()
    return structs.replace(settings, **{name: getattr(default, name) for name in LIVE_SETTINGS})


def _close_opened(opening: Future[OpenEngine]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().transcriber.close()
