"""Which engine the settings mean, and what to do when it cannot be had."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future
from dataclasses import dataclass, replace

from msgspec import structs

from transcription.errors import DeviceUnavailable, EngineDied, ModelUnavailable
from transcription.models.models import is_to_be_fetched
from transcription.process.process import MakeEngine, ProcessTranscriber
from transcription.settings import TranscriptionSettings
from transcription.sphinx import SphinxTranscriber
from transcription.transcriber import ON_CPU, OnProgress, PlacedEngine, Transcriber, Where, untold
from transcription.whisper import computing
from transcription.whisper.engine import WhisperTranscriber


class NotHereYet(ModelUnavailable):
    """The model is still to be fetched, which may take minutes: whoever opens the engine once more waits for that."""


@dataclass(frozen=True, slots=True)
class OpenEngine:
    """A loaded engine. When it is only the fallback, ``missing`` says what the wanted one lacks.

    ``ended``, of an engine in a process of its own, has a result, why, when that has ended. ``where`` it computes.
    """

    transcriber: Transcriber
    missing: ModelUnavailable | None = None
    ended: Future[str] | None = None
    where: Where = ON_CPU


def open_engine(
    settings: TranscriptionSettings,
    *,
    fallback: bool = True,
    patient: bool = False,
    on_progress: OnProgress = untold,
) -> OpenEngine:
    """Load the engine that the settings mean; blocks, for long when a model is fetched, and tells how far it is.

    ``auto`` is faster-whisper when its model is here, else pocketsphinx. That is opened at once where the
    model is still to be fetched (``missing`` is NotHereYet then), so that nobody waits for a download.
    ``fallback`` false leaves it out, for a caller who has it already: the model is fetched now.
    With ``device: auto`` a GPU that fails while the model is loaded is none, and another process has it on the CPU.
    Raises ModelUnavailable. A process that ends while it loads counts as a missing model, unless
    ``patient``: then it raises EngineDied. ``settings.engine`` must not be ``off``.
    """
    if fallback and settings.engine == "auto" and _is_to_be_fetched(settings):
        with contextlib.suppress(ModelUnavailable, EngineDied):
            missing: ModelUnavailable = NotHereYet(f"{settings.model} is still to be fetched", remedy="")
            return _open(SphinxTranscriber, settings, missing=missing)
    make: MakeEngine = SphinxTranscriber if settings.engine == "pocketsphinx" else WhisperTranscriber
    try:
        return _open(make, settings, on_progress)
    except EngineDied as error:
        if patient:
            raise
        missing, by_gpu = _dies_of(error), settings.engine != "pocketsphinx"
    except ModelUnavailable as error:
        missing, by_gpu = error, isinstance(error, DeviceUnavailable)
    if by_gpu and settings.device == "auto":
        try:
            return _on_the_cpu(make, settings, missing, on_progress)
        except EngineDied as error:
            missing = _dies_of(error)
        except ModelUnavailable as error:
            missing = error
    if not fallback or settings.engine != "auto":
        raise missing
    return _open_instead(settings, missing)


def _open(
    make: MakeEngine,
    settings: TranscriptionSettings,
    on_progress: OnProgress = untold,
    missing: ModelUnavailable | None = None,
) -> OpenEngine:
    if settings.isolation == "inline":
        engine = make(settings)
        engine.load(on_progress)
        where = engine.where if isinstance(engine, PlacedEngine) else ON_CPU
        return OpenEngine(engine, missing, where=where)
    proxy = ProcessTranscriber(make, settings)
    proxy.load(on_progress)
    return OpenEngine(proxy, missing, proxy.ended, proxy.where)


def _on_the_cpu(
    make: MakeEngine, settings: TranscriptionSettings, gone: ModelUnavailable, on_progress: OnProgress
) -> OpenEngine:
    """The GPU failed. Raises ModelUnavailable and EngineDied: it was not the GPU."""
    opened = _open(make, structs.replace(settings, device="cpu"), on_progress)
    return replace(opened, where=computing.instead(settings, gone))


def _is_to_be_fetched(settings: TranscriptionSettings) -> bool:
    return is_to_be_fetched(settings.model, models_dir=settings.models_dir, offline=settings.offline)


def _open_instead(settings: TranscriptionSettings, wanted: ModelUnavailable) -> OpenEngine:
    try:
        return _open(SphinxTranscriber, settings, missing=wanted)
    except EngineDied as error:
        raise _neither(wanted, _dies_of(error)) from wanted
    except ModelUnavailable as error:
        raise _neither(wanted, error) from wanted


def _neither(wanted: ModelUnavailable, instead: ModelUnavailable) -> ModelUnavailable:
    return ModelUnavailable(f"{wanted}; {instead}", remedy=f"{wanted.remedy}; or {instead.remedy}")


def _dies_of(death: EngineDied) -> ModelUnavailable:
    missing = ModelUnavailable(
        f"loading the model: {death}",
        remedy="set transcription.model to a smaller one if memory is short; the log has what it said",
    )
    missing.__cause__ = death
    return missing
