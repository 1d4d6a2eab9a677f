"""What importing this package costs: nothing heavy before a model is made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = """
import importlib, pkgutil, sys
import transcription
for module in pkgutil.walk_packages(transcription.__path__, "transcription."):
    importlib.import_module(module.name)
heavy = {"faster_whisper", "onnxruntime", "ctranslate2", "pocketsphinx", "av", "huggingface_hub", "tokenizers"}
print(sorted(heavy & sys.modules.keys()))
"""

VAD_ONLY = """
import sys
from transcription.utterance.vad import SileroModel
SileroModel()
print(sorted({"faster_whisper", "ctranslate2", "av", "tokenizers"} & sys.modules.keys()))
"""


def printed(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_importing_everything_loads_no_engine() -> None:
    assert printed(PROBE) == "[]"


def test_voice_activity_loads_no_speech_engine() -> None:
    assert printed(VAD_ONLY) == "[]"


@pytest.mark.slow
def test_no_engine_leaves_anything_at_home_or_has_something_to_tell_its_makers(tmp_path: Path) -> None:
    code = (
        "from transcription.settings import TranscriptionSettings\n"
        "from transcription.utterance.vad import SileroModel\n"
        "from transcription.whisper.engine import WhisperTranscriber\n"
        "SileroModel(), WhisperTranscriber(TranscriptionSettings())"
    )
    told = ("XDG_", "ORT_", "HF_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(told)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment | {"HOME": str(tmp_path)})
    assert list(tmp_path.rglob("*")) == []
