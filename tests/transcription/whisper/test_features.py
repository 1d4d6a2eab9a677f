"""Our features are faster-whisper's, whole or in pieces."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transcription.speech import TEXTS, recording
from transcription.audio import to_float32
from transcription.whisper.features import HOP, WINDOW, Floats, LogMel, normalized

RNG = np.random.default_rng(0)
FILTERS = RNG.uniform(0, 1, (80, 201)).astype(np.float32)
CLIPS: dict[str, Floats] = {
    "speech": to_float32(recording("u05")),
    "digital silence": np.zeros(16_000, np.float32),
    "faint noise": RNG.normal(0, 1e-5, 16_000).astype(np.float32),
    "full scale": RNG.uniform(-1, 1, 16_000).astype(np.float32),
    "one click": np.eye(1, 16_000, 8000, dtype=np.float32)[0],
    "a tone and then nothing": np.pad(np.sin(np.arange(8000, dtype=np.float32)), (0, 8000)),
    "no whole number of frames": to_float32(recording("u06"))[:12_345],
    "the shortest": RNG.uniform(-1, 1, WINDOW // 2 + 1).astype(np.float32),
}


def reference(mels: int) -> object:
    from faster_whisper.feature_extractor import FeatureExtractor

    return FeatureExtractor(feature_size=mels)


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS)
def test_they_are_faster_whispers(clip: Floats, mels: int) -> None:
    extractor = reference(mels)
    ours = LogMel(extractor.mel_filters)(clip)  # type: ignore[attr-defined]
    theirs = extractor(clip, padding=0)  # type: ignore[operator]
    assert ours.shape == theirs.shape == (mels, len(clip) // HOP)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TEXTS))
def test_they_are_faster_whispers_on_every_recording(name: str) -> None:
    clip = to_float32(recording(name))
    extractor = reference(80)
    ours = LogMel(extractor.mel_filters)(clip)  # type: ignore[attr-defined]
    np.testing.assert_allclose(ours, extractor(clip, padding=0), atol=1e-4, rtol=0)  # type: ignore[operator]


@pytest.mark.parametrize("mels", [80, 128])
def test_no_other_thread_is_woken_for_them(mels: int) -> None:
    """OpenBLAS's wait busily for more once they were, on the cores that the model is to have now."""
    script = (
        "import sys, time\nimport numpy as np\nfrom pathlib import Path\n"
        "from transcription.whisper.features import LogMel\n"
        "features = LogMel(np.ones((int(sys.argv[1]), 201), np.float32))\n"
        "clip = np.random.default_rng(0).normal(0, 0.1, 16_000 * 12).astype(np.float32)\n"
        "features(clip)\n"
        "before, mine = time.process_time(), time.thread_time()\n"
        "for _ in range(10):\n    features(clip)\n"
        "print(time.process_time() - before, time.thread_time() - mine)"
    )
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", script, str(mels)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    everybody, alone = map(float, done.stdout.split())
    assert everybody < 1.6 * alone


@settings(deadline=None)
@given(st.lists(st.integers(1, 90), max_size=5))
def test_energies_can_be_worked_out_piece_by_piece(cuts: list[int]) -> None:
    log_mel = LogMel(FILTERS)
    clip = CLIPS["speech"]
    edges = [0, *sorted(set(cuts)), 1 + (len(clip) - WINDOW) // HOP]
    pieces = [
        log_mel.energies(clip[first * HOP : (last - 1) * HOP + WINDOW]) for first, last in pairwise(edges)
    ]
    whole = log_mel.energies(clip)
    assert whole.shape == (80, edges[-1])
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=1e-5)


def test_what_is_quieter_than_eight_decades_below_the_loudest_is_all_the_same() -> None:
    energies = np.array([[0.0, -7.9, -8.1, -10.0]], np.float32)
    np.testing.assert_allclose(normalized(energies), [[1.0, -0.975, -1.0, -1.0]], atol=1e-6)


def test_a_clip_is_left_as_it_was() -> None:
    clip = CLIPS["speech"].copy()
    LogMel(reference(80).mel_filters)(clip)  # type: ignore[attr-defined]
    assert np.array_equal(clip, CLIPS["speech"])
