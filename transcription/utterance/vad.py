"""Streaming voice activity: how likely it is that 32 ms of audio hold speech.

The model is the Silero VAD that faster-whisper ships. faster-whisper's own wrapper takes whole
clips only; here the recurrent state is kept between calls, one state per stream.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np

from transcription.errors import ModelUnavailable
from transcription.utterance.segmenter import WINDOW, Window

CONTEXT = 64
"""Samples of the window before that the model sees again."""

_MODEL_FILE = Path("assets", "silero_vad_v6.onnx")
_INSTALL = "pip install --force-reinstall 'faster-whisper>=1.2.1'"


class SileroModel:
    """The heavy part, shared by all streams: one onnxruntime session on one thread."""

    def __init__(self) -> None:
        """Load the model (about 0.3 s, most of it importing onnxruntime). Raises ModelUnavailable."""
        path = _model_path()
        try:
            self._session = _open(path)
        except Exception as error:  # onnxruntime's own have no common base
            raise ModelUnavailable(
                f"the voice activity model {path} cannot be opened: {error}", remedy=_INSTALL
            ) from error

    def stream(self) -> SileroVad:
        """A listener for a new stream."""
        return SileroVad(self._session)


class SileroVad:
    """The light part, one VoiceActivity for each stream: the recurrent state and the last 64 samples."""

    __slots__ = ("_cell", "_hidden", "_input", "_session")

    def __init__(self, session: Any) -> None:
        self._session = session
        self._input = np.zeros((1, CONTEXT + WINDOW), np.float32)
        self._hidden = np.zeros((1, 1, 128), np.float32)
        self._cell = np.zeros((1, 1, 128), np.float32)

    def __call__(self, window: Window) -> float:
        """The probability, in [0, 1], that this window holds speech."""
        self._input[0, :CONTEXT] = self._input[0, -CONTEXT:]
        self._input[0, CONTEXT:] = window
        feed = {"input": self._input, "h": self._hidden, "c": self._cell}
        probability, self._hidden, self._cell = self._session.run(None, feed)
        return float(probability[0])


def _open(path: Path) -> Any:
    # Later releases tell their makers of each session over the network, and keep a number of the machine in the home.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415 - 30 MB that a gateway without audio does not need

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])


def _model_path() -> Path:
    """Where the model lies. Looked up without importing faster-whisper, which would load its engine."""
    importlib.invalidate_caches()  # it may have been installed since
    package = importlib.util.find_spec("faster_whisper")
    if package is not None and package.origin is not None:
        path = Path(package.origin).parent / _MODEL_FILE
        if path.is_file():
            return path
    raise ModelUnavailable(
        "the voice activity model that faster-whisper ships is not installed",
        remedy=_INSTALL,
    )
