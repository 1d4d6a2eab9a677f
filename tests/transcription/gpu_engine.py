"""An engine on a GPU that no test machine has: the model's name says what is wrong with it there."""

from __future__ import annotations

import os
import signal

from transcription.errors import DeviceUnavailable, EngineDied, ModelUnavailable
from transcription.settings import TranscriptionSettings
from transcription.transcriber import (
    NO_HINTS,
    ON_CPU,
    Hints,
    OnProgress,
    Transcript,
    Where,
    untold,
)
from transcription.utterance.segmenter import Utterance

FULL = DeviceUnavailable("the GPU: CUDA failed with error out of memory", remedy="a smaller one", full=True)
GONE = DeviceUnavailable("there is no cuda:7", remedy="take another")


class GpuEngine:
    """Models ``full`` and ``gone`` fail as they load, ``crash`` takes its process along, ``lost`` works once."""

    engine = "faster-whisper"

    def __init__(self, settings: TranscriptionSettings) -> None:
        self.model = settings.model
        self._on_gpu = settings.device != "cpu"
        self._works = 0

    @property
    def where(self) -> Where:
        return Where("cuda:0, float16") if self._on_gpu else ON_CPU

    def load(self, on_progress: OnProgress = untold) -> None:
        if self.model == "broken":
            raise ModelUnavailable("no such weights", remedy="others")
        if self._on_gpu and self.model == "full":
            raise FULL
        if self._on_gpu and self.model == "gone":
            raise GONE
        if self._on_gpu and self.model == "crash":
            os.kill(os.getpid(), signal.SIGABRT)

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        self._works += 1
        if self._on_gpu and self.model == "lost" and self._works > 1:
            raise EngineDied("the GPU: CUDA failed with error an illegal memory access was encountered")
        return Transcript("heard", "en", 1.0, 0.0, (), self.engine, self.model, 0.0)

    def close(self) -> None: ...
