"""Speech to text for whoever speaks Wyoming: what it is, and its part of a connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from gateway.adapters.wyoming.events import (
    ErrorReport,
    SoundChunk,
    SoundStart,
    SoundStop,
    TranscribeRequest,
    WyomingEvent,
)
from gateway.adapters.wyoming.info import EARSHOT, NAME, ArtifactModel, AsrProgram, Attribution, Info
from gateway.adapters.wyoming.utterance import HeardUtterance
from gateway.adapters.wyoming.way_back import WayBack
from gateway.pipeline.dictation.dictations import DictationClosed, DictationRefused, Dictations
from transcription.errors import ModelUnavailable
from transcription.models.languages import ENGLISH, languages_of
from transcription.models.models import find_model, is_to_be_fetched, repository_of
from transcription.recognizing import RecognizerState, Recognizing
from transcription.settings import BUNDLED_MODEL, TranscriptionSettings

_SOUND: Final = (TranscribeRequest, SoundStart, SoundChunk, SoundStop)
_EVERY_PAUSE: Final = 3_600_000
"""For ``partial_ms``: the text so far is told where it is worked out anyway, and nowhere else."""


class SpeechToText:
    """The service. Its ears are those that devices have, too."""

    def __init__(
        self,
        dictations: Dictations,
        recognizer: Recognizing,
        *,
        version: str,
        partial_ms: int = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``partial_ms``: as in the settings. ``version``: the gateway's."""
        self.dictations = dictations
        self.partial_ms = partial_ms or _EVERY_PAUSE
        self.now = now
        self.recognizer = recognizer
        self._version = version

    async def info(self) -> Info:
        """What can be understood, by which model."""
        settings = self.dictations.settings
        models = _known_models(settings, self.recognizer.state)
        if models is None:
            models = await asyncio.to_thread(_coming_models, settings)
        program = AsrProgram(
            name=NAME,
            attribution=EARSHOT,
            installed=bool(models),
            description="Speech to text, by the speech gateway Earshot",
            version=self._version,
            models=models,
            supports_transcript_streaming=True,
            requires_external_vad=False,
            prefers_auto_gain_enabled=False,
            prefers_noise_reduction_enabled=False,
        )
        return Info(asr=(program,))

    def begin(self, line: WayBack) -> SpeechOnConnection:
        """The ears of one connection."""
        return SpeechOnConnection(self, line)


class SpeechOnConnection:
    """One utterance after the other, as the program wants each to be heard."""

    def __init__(self, service: SpeechToText, line: WayBack) -> None:
        self._service = service
        self._line = line
        self._wanted = TranscribeRequest()
        self._is_asked = self._is_refused = False
        self._heard: HeardUtterance | None = None
        self._complete: HeardUtterance | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the program waits for a text."""
        return any(one is not None and one.is_owed for one in (self._heard, self._complete))

    def takes(self, event: WyomingEvent) -> bool:
        """All that belongs to speech."""
        return isinstance(event, _SOUND)

    async def take(self, event: WyomingEvent) -> None:
        """The next of it."""
        match event:
            case TranscribeRequest():
                self._wanted, self._is_asked = event, True
            case SoundStart():
                await self._begin()
            case SoundChunk(form, audio):
                heard = self._heard or await self._begin()
                if heard is not None:
                    await heard.hear(form, audio)
            case SoundStop():
                await self._end()

    def close(self) -> None:
        """Nobody wants any text."""
        for one in (self._heard, self._complete):
            if one is not None:
                one.drop()

    async def _begin(self) -> HeardUtterance | None:
        """A new one. One whose end was not said is let go of, one whose text is to come is waited for."""
        if self._heard is not None:
            self._heard.drop()
            self._heard = None
        if self._complete is not None:
            await self._complete.answered()
        if self._is_refused:
            return None
        service = self._service
        service.recognizer.wake()
        try:
            self._heard = HeardUtterance(
                service.dictations, self._line, self._wanted, partial_ms=service.partial_ms, now=service.now
            )
        except DictationRefused as error:
            self._is_refused = True
            code = "stopping" if isinstance(error, DictationClosed) else "busy"
            self._line.put(ErrorReport(str(error), code))
        return self._heard

    async def _end(self) -> None:
        """What was asked for is answered, also where no sound came."""
        heard = self._heard
        if heard is None and self._is_asked:
            heard = await self._begin()
        self._is_asked = self._is_refused = False
        if heard is not None:
            self._heard, self._complete = None, heard
            await heard.stop()


def _known_models(
    settings: TranscriptionSettings, state: RecognizerState
) -> tuple[ArtifactModel, ...] | None:
    """What is at work, or nothing where nothing can be; None: that is told by the disk."""
    match settings.engine:
        case "off":
            return ()
        case "pocketsphinx":
            return (_SPHINX_MODEL,)
    if state.model == settings.model and state.languages:
        return (_model(settings.model, _maker(settings.model), state.languages),)
    return None


def _coming_models(settings: TranscriptionSettings) -> tuple[ArtifactModel, ...]:
    """What will be at work, by what is on the disk or may come there; none where nothing can be.

    Home Assistant asks once and keeps it, so that what only stands in for a model that is still to come is not shown.
    """
    name, folder = settings.model, settings.models_dir
    if _is_here(name, folder) or is_to_be_fetched(name, models_dir=folder, offline=settings.offline):
        return (_model(name, _maker(name), languages_of(name, folder)),)
    return (_SPHINX_MODEL,) if settings.engine == "auto" else ()


def _is_here(name: str, models_dir: str) -> bool:
    try:
        return find_model(name, models_dir) is not None
    except ModelUnavailable:
        return False


def _model(name: str, maker: Attribution, languages: tuple[str, ...]) -> ArtifactModel:
    return ArtifactModel(
        name=name, attribution=maker, installed=True, description=None, version=None, languages=languages
    )


def _maker(name: str) -> Attribution:
    if name == BUNDLED_MODEL:
        return EARSHOT
    repository = repository_of(name)
    if not repository:
        return Attribution("a folder of this machine", "")
    return Attribution(repository.partition("/")[0], f"https://huggingface.co/{repository}")


_SPHINX_MODEL: Final = _model(
    "pocketsphinx", Attribution("CMU Sphinx", "https://cmusphinx.github.io/"), ENGLISH
)
