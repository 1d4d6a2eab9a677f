"""Streaming voice activity, checked against faster-whisper's own wrapper for whole clips."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from tests.transcription.speech import TEXTS, recording, segment, utterances
from transcription.audio import AudioChunk, Samples, to_float32
from transcription.errors import ModelUnavailable
from transcription.settings import SegmenterSettings
from transcription.utterance import vad
from transcription.utterance.segmenter import WINDOW, EndReason, UtteranceSegmenter
from transcription.utterance.vad import SileroModel

QUIET = np.random.default_rng(1).integers(-3, 4, 16_000).astype(np.int16)  # a room at night


@pytest.fixture(scope="module")
def model() -> SileroModel:
    return SileroModel()


def windows(samples: Samples) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    usable = len(samples) // WINDOW * WINDOW
    return list(to_float32(samples[:usable]).reshape(-1, WINDOW))


@pytest.mark.slow
def test_a_stream_gets_the_numbers_of_the_whole_clip(model: SileroModel) -> None:
    from faster_whisper.vad import get_vad_model

    for name in TEXTS:
        listen, clip = model.stream(), windows(recording(name))
        # faster-whisper wipes the context behind the last window: a spare one takes that
        expected = get_vad_model()(np.concatenate([*clip, np.zeros(WINDOW, np.float32)])).ravel()[:-1]
        assert np.allclose([listen(w) for w in clip], expected, atol=1e-6), name


def test_streams_of_one_model_do_not_disturb_each_other(model: SileroModel) -> None:
    first, second = windows(recording("u00")), windows(recording("u05"))
    alone = [model.stream(), model.stream()]
    expected = [[alone[0](w) for w in first], [alone[1](w) for w in second]]
    a, b = model.stream(), model.stream()
    mixed = [(a(x), b(y)) for x, y in zip(first, second, strict=False)]
    assert [x for x, _ in mixed] == expected[0][: len(mixed)]
    assert [y for _, y in mixed] == expected[1][: len(mixed)]


def test_a_recording_between_silences_is_one_utterance_that_holds_its_speech(model: SileroModel) -> None:
    for name in ("u05", "u17", "u24"):
        speech = recording(name)
        audio = np.concatenate([QUIET, speech, QUIET])
        segmenter = UtteranceSegmenter(model.stream(), SegmenterSettings(), end_on_silence=True)
        stream = [AudioChunk(i, audio[i : i + 320]) for i in range(0, len(audio), 320)]
        [u] = utterances(segment(segmenter, stream))
        assert u.end_reason is EndReason.SILENCE
        assert u.has_speech
        assert u.start < len(QUIET) + 0.2 * 16_000
        assert len(QUIET) + 0.8 * len(speech) < u.speech_end <= len(QUIET) + len(speech) + WINDOW


def test_a_quiet_room_is_no_utterance(model: SileroModel) -> None:
    segmenter = UtteranceSegmenter(model.stream(), SegmenterSettings(), end_on_silence=True)
    assert segment(segmenter, [AudioChunk(0, np.tile(QUIET, 10))]) == []


def test_an_installation_without_the_model_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelUnavailable) as caught:
        vad.SileroModel()
    assert "faster-whisper" in caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"no model at all"])
def test_a_model_that_is_broken_is_unavailable_and_says_where_it_lies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "silero_vad_v6.onnx").write_bytes(content)
    spec = ModuleSpec("faster_whisper", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    with pytest.raises(ModelUnavailable, match=str(tmp_path)) as caught:
        vad.SileroModel()
    assert "faster-whisper" in caught.value.remedy
