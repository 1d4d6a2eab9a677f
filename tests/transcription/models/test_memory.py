"""The recognizer's process takes no more memory for every new length of speech."""

from __future__ import annotations

import pytest

from benchmarks.instruments.memory import resident_mb
from tests.transcription.speech import recording, utterance
from transcription.process.process import ProcessTranscriber
from transcription.settings import TranscriptionSettings
from transcription.whisper.engine import WhisperTranscriber


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_lengths_heard() -> None:
    engine = ProcessTranscriber(WhisperTranscriber, TranscriptionSettings(threads=1))
    engine.load()
    try:
        speech = recording("u00")
        sizes = []
        for round_ in range(2):
            for length in range(60):
                engine.transcribe(utterance(speech[: 16_000 + 480 * length + 160 * round_]))
            sizes.append(resident_mb(engine.pid))
    finally:
        engine.close()
    before, after = sizes
    assert after - before < 8
