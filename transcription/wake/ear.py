"""What listens for wake words in one stream: the only file that knows pymicro-wakeword."""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from transcription.audio import Samples
from transcription.errors import ModelUnavailable
from transcription.wake.words import INSTALL, WakeWord

STEP: Final = 160
"""Samples that are looked at together: 10 ms."""
LIKELY = 0.5
"""A step's probability from which a wake word is near its end."""
OVER = 0.1
"""A mean below which it is over: from then on it may be said again."""
PROBE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Spotted:
    """A wake word was said. ``likely_at`` and ``certain_at`` count samples since the ear's first.

    ``certainty`` in [0, 1].
    """

    word: WakeWord
    likely_at: int
    certain_at: int
    certainty: float


class Ear:
    """Listens for some wake words in one stream; takes 1 to 3 ms of a second of audio for each."""

    def __init__(self, words: Sequence[WakeWord]) -> None:
        """Raises ModelUnavailable."""
        prepare()
        from pymicro_wakeword import MicroWakeWordFeatures  # noqa: PLC0415 - where wake words are wanted

        self._features: Any = MicroWakeWordFeatures()
        self._detectors = [_Detector(word) for word in words]
        self._left: Samples = np.zeros(0, np.int16)
        self.heard = 0
        """Samples that were listened to."""

    def feed(self, samples: Samples) -> Spotted | None:
        """The next audio. What was said in it, the first where there is more."""
        pending = np.concatenate((self._left, samples)) if len(self._left) else samples
        whole = len(pending) // STEP * STEP
        self._left = pending[whole:]
        found: Spotted | None = None
        for start in range(0, whole, STEP):
            self.heard += STEP
            for features in self._features.process_streaming(pending[start : start + STEP].tobytes()):
                for detector in self._detectors:
                    found = found or detector.feed(features, self.heard)
        return found


class _Detector:
    """One wake word."""

    def __init__(self, word: WakeWord) -> None:
        self._word = word
        self._model = _open(word)
        self._stride: int = self._model.stride
        self._missing = self._stride
        self._probabilities: deque[float] = deque(maxlen=word.steps)
        self._likely_at: int | None = None
        self._is_over = True

    def feed(self, features: Any, heard: int) -> Spotted | None:
        probability: float = self._model.process_streaming_prob(features)
        self._missing -= 1
        if self._missing:
            return None
        self._missing = self._stride
        self._probabilities.append(probability)
        if probability > LIKELY and self._likely_at is None:
            self._likely_at = heard
        mean = sum(self._probabilities) / self._word.steps  # with too few, the rest counts as none
        if mean < OVER and probability <= LIKELY:
            self._likely_at, self._is_over = None, True
        if mean <= self._word.certainty or not self._is_over:
            return None
        self._is_over = False
        likely_at = heard if self._likely_at is None else self._likely_at
        return Spotted(self._word, likely_at, heard, mean)


@functools.cache
def _library() -> Path:
    """TensorFlow Lite; where it lies is looked up once, on the disk."""
    try:
        from pymicro_wakeword import microwakeword  # noqa: PLC0415 - where wake words are wanted
    except (ImportError, OSError) as error:
        raise ModelUnavailable(f"pymicro-wakeword cannot be loaded: {error}", remedy=INSTALL) from error
    folder = Path(microwakeword.__file__).parent / "lib"
    libraries = sorted(folder.glob("*tensorflowlite_c.*"))
    if not libraries:
        raise ModelUnavailable(f"there is no TensorFlow Lite in {folder}", remedy=INSTALL)
    return libraries[0]


def _open(word: WakeWord) -> Any:
    """Its model, from memory: a file may have become another, and what is no model would end this process."""
    library = _library()
    from pymicro_wakeword import MicroWakeWord  # noqa: PLC0415

    class FromMemory(MicroWakeWord):
        def _load_model(self) -> None:
            lib: Any = self.lib
            create = lib.TfLiteModelCreate
            create.argtypes, create.restype = [ctypes.c_char_p, ctypes.c_size_t], ctypes.c_void_p
            lib.TfLiteModelCreateFromFile = lambda _path: _not_null(create(word.content, len(word.content)))
            super()._load_model()

    try:
        return FromMemory(
            word.name,
            wake_word=word.phrase,
            tflite_model=word.name,
            probability_cutoff=word.certainty,
            sliding_window_size=1,  # the mean is our own: we want to see each step
            trained_languages=[],
            libtensorflowlite_c_path=library,
        )
    except (OSError, RuntimeError, ValueError, AttributeError) as error:
        raise ModelUnavailable(f"{word.network} cannot be opened: {error}", remedy=INSTALL) from error


def _not_null(model: int | None) -> int:
    if model is None:
        raise ValueError("it is no model")
    return model


def prepare() -> None:
    """Do what takes time before the first ear: load the package, find its parts. Raises ModelUnavailable."""
    _library()


def probe(word: WakeWord) -> None:
    """Listen with it once, in a process of its own: a network that is broken ends the process it is in.

    Takes half a second. Raises ModelUnavailable.
    """
    fields = (word.name, word.phrase, str(word.certainty), str(word.steps))
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", __name__, *fields],
            input=word.content, capture_output=True, check=False, timeout=PROBE_SECONDS,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelUnavailable(f"{word.network} could not be tried: {error}", remedy=_OTHER_MODEL) from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        said = (lines or [f"it ended the process ({done.returncode})"])[-1]
        raise ModelUnavailable(f"{word.network} does not work as a wake word: {said}", remedy=_OTHER_MODEL)


_OTHER_MODEL = "take a model that the trainer of microWakeWord made (streaming, quantized, 40 features)"


def _try(fields: Sequence[str]) -> int:
    name, phrase, certainty, steps = fields
    word = WakeWord(name, phrase, Path(name), sys.stdin.buffer.read(), float(certainty), int(steps))
    try:
        ear = Ear([word])
        ear.feed(np.random.default_rng(0).normal(0, 1000, 100 * STEP).astype(np.int16))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is said
        sys.stderr.write(f"{error or type(error).__name__}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_try(sys.argv[1:]))
