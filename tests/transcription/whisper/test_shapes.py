"""Speech of ever new lengths: what is compiled for their shapes is not kept, in whichever process the engine runs."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import pytest

from transcription.whisper.decoding import ONEDNN_CACHE

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("shapes")]

LENGTHS = """
import numpy as np
from benchmarks.instruments.memory import resident_mb
from tests.transcription.speech import utterance
from transcription.settings import TranscriptionSettings
from transcription.whisper.engine import WhisperTranscriber

noise = np.random.default_rng(0).normal(0, 3_000, 80_000).astype(np.int16)
engine = WhisperTranscriber(TranscriptionSettings(threads=1))
engine.load()

def hear(lengths):
    for length in lengths:
        engine.transcribe(utterance(noise[:length]))
    return resident_mb()

before = hear(range(16_000, 36_000, 640))
print(hear(range(36_000, 68_000, 640)) - before)
"""


@functools.cache
def growth_mb(**environment: str) -> float:
    """Of a process that loads the engine itself and hears fifty lengths that it has not heard before."""
    inherited = {name: value for name, value in os.environ.items() if name != ONEDNN_CACHE[0]}
    done = subprocess.run(
        [sys.executable, "-c", LENGTHS],
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
        env=inherited | environment,
    )
    return float(done.stdout)


def test_new_lengths_cost_no_memory_with_the_engine_in_any_process() -> None:
    assert growth_mb() < 15


def test_what_the_environment_says_counts_more() -> None:
    assert growth_mb(**{ONEDNN_CACHE[0]: "1024"}) > 1.5 * growth_mb()
