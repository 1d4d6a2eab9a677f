"""What each speech model costs on this machine: how long the text takes, how much memory, how many devices.

A model runs as it does in the gateway, in a process of its own, and hears the recordings that come
with Earshot. A stock size that is not on this disk can be estimated: the bundled model, inflated to
its dimensions, costs what it costs (and understands no more than the bundled model does).
"""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct, structs

from firmware_bridge.speech_files import SpeechFile, read_wav, recordings
from transcription.audio import from_pcm16
from transcription.errors import EngineDied, EngineFailed, ModelUnavailable
from transcription.models import inventory
from transcription.models.inflate import SIZES, inflate
from transcription.models.inventory import Origin
from transcription.models.models import BUNDLED, STOCK_FLOOR, find_model, hub_cache
from transcription.process.process import ProcessTranscriber
from transcription.settings import TranscriptionSettings
from transcription.utterance.segmenter import EndReason, Utterance
from transcription.whisper.engine import WhisperTranscriber

SPEAKING = 0.1
"""Share of the time that a device is assumed to be spoken to."""
BUSY = 0.7
"""Share of the time that the recognizer may be at work: beyond, utterances begin to wait for each other."""

OnStep = Callable[[str], None]
"""Told before each step what comes."""


class Candidate(Struct, frozen=True):
    """A model to be measured; with ``size``, by inflating the bundled one."""

    name: str
    size: str = ""


class Cost(Struct, frozen=True):
    """What a model costs. Times are of one utterance alone on the machine, from its end to its text.

    ``real_time_factor``: seconds of work for a second of speech. ``memory_bytes``: the most that its
    process had, a GPU's not counted. ``devices``: how many it serves, each spoken to for ``SPEAKING`` of the time.
    ``gpu``: the GPU and the number format, where it was computed on one; ``notice``: why it was not.
    ``failure`` is why it could not be measured, and ``remedy`` what to do about it.
    """

    name: str
    estimate: bool
    context_seconds: float = 0.0
    load_seconds: float = 0.0
    text_ms_median: float = 0.0
    text_ms_worst: float = 0.0
    real_time_factor: float = 0.0
    memory_bytes: int = 0
    devices: int = 0
    gpu: str = ""
    notice: str = ""
    failure: str = ""
    remedy: str = ""

    @property
    def keeps_up(self) -> bool:
        """Whether it can be used for one device at all."""
        return not self.failure and self.devices > 0


def candidates(names: tuple[str, ...], models_dir: str) -> list[Candidate]:
    """The models of these names, or, without any, what is on this disk and the stock sizes that are not.

    Raises ModelUnavailable for one that is neither here nor a stock size.
    """
    if names:
        return [_candidate(name, models_dir) for name in names]
    here = [
        model.name
        for model in inventory.inventory("bundled", models_dir)
        if model.origin not in {Origin.HUB, Origin.PARTIAL}
    ]
    sizes = {_size(name) for name in here}
    return [*map(Candidate, here), *(Candidate(size, size) for size in SIZES if size not in sizes)]


def measure(
    candidate: Candidate, settings: TranscriptionSettings, count: int, on_step: OnStep = lambda _: None
) -> Cost:
    """Load the model as the settings have it and let it hear ``count`` recordings; blocks. Never raises."""
    said = _spread(recordings(), count)
    try:
        with _folder(candidate, settings.models_dir, on_step) as folder:
            return _measure(candidate, _as_wished(candidate, settings, folder), said, on_step)
    except ModelUnavailable as error:
        return Cost(candidate.name, bool(candidate.size), failure=str(error), remedy=error.remedy)
    except EngineFailed as error:
        remedy = "take a smaller model" if isinstance(error, EngineDied) else ""
        return Cost(candidate.name, bool(candidate.size), failure=str(error), remedy=remedy)
    except OSError as error:  # no room for the inflated model
        return Cost(candidate.name, bool(candidate.size), failure=str(error), remedy="make room on the disk")


def _measure(
    candidate: Candidate, settings: TranscriptionSettings, said: list[SpeechFile], on_step: OnStep
) -> Cost:
    engine = ProcessTranscriber(WhisperTranscriber, settings)
    try:
        on_step("loading")
        begun = time.perf_counter()
        engine.load()
        load_seconds = time.perf_counter() - begun
        waits, frames = [], 0
        for number, recording in enumerate(said):
            on_step(f"recording {number + 1} of {len(said)}")
            utterance = _utterance(recording)
            begun = time.perf_counter()
            frames = max(frames, engine.transcribe(utterance).context_frames)
            waits.append(time.perf_counter() - begun)
        memory, where = _most_memory(engine.pid), engine.where
    finally:
        engine.close()
    factor = sum(waits) / sum(recording.seconds for recording in said)
    return Cost(
        name=candidate.name,
        estimate=bool(candidate.size),
        context_seconds=frames / 100,
        load_seconds=load_seconds,
        text_ms_median=1000 * statistics.median(waits),
        text_ms_worst=1000 * max(waits),
        real_time_factor=factor,
        memory_bytes=memory,
        devices=int(BUSY / (factor * SPEAKING)),
        gpu=where.gpu,
        notice=where.notice,
    )


def _candidate(name: str, models_dir: str) -> Candidate:
    if find_model(name, models_dir) is not None:
        return Candidate(name)
    if _size(name) in SIZES:
        return Candidate(name, _size(name))
    raise ModelUnavailable(
        f"{name} is not on this disk, and only {', '.join(SIZES)} can be estimated",
        remedy=f"earshot models fetch {name}",
    )


def _size(name: str) -> str:
    return name.removesuffix(".en")


def _as_wished(candidate: Candidate, settings: TranscriptionSettings, folder: str) -> TranscriptionSettings:
    """The gateway's settings, with this model; the recordings are English."""
    context = STOCK_FLOOR if candidate.size and settings.context == "auto" else settings.context
    return structs.replace(settings, model=folder, context=context, language="en", offline=True)


@contextmanager
def _folder(candidate: Candidate, models_dir: str, on_step: OnStep) -> Iterator[str]:
    """What ``transcription.model`` must be; an inflated model is there as long as it is needed."""
    if not candidate.size:
        yield candidate.name
        return
    on_step("inflating the bundled model")
    cache = hub_cache(models_dir)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".earshot-estimate-", dir=cache) as place:
        folder = Path(place) / candidate.size
        folder.mkdir()
        inflate(BUNDLED, candidate.size, folder)
        yield str(folder)


def _spread(said: tuple[SpeechFile, ...], count: int) -> list[SpeechFile]:
    """So many of them, from the shortest to the longest."""
    ordered = sorted(said, key=lambda recording: recording.seconds)
    step = max(1, len(ordered) - 1) / max(1, count - 1)
    return [ordered[round(number * step)] for number in range(min(count, len(ordered)))]


def _utterance(recording: SpeechFile) -> Utterance:
    samples = from_pcm16(read_wav(recording.path))
    return Utterance(
        samples=samples,
        start=0,
        end=len(samples),
        speech_end=len(samples),
        has_speech=True,
        end_reason=EndReason.STOP,
        peak_probability=1.0,
    )


def _most_memory(pid: int) -> int:
    """The most resident memory that a process ever had, in bytes; 0 when the kernel does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return 1024 * int(found[1]) if found is not None else 0
