"""The inflated model is the bundled one at another size: the same text, to the last digit of its probability."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper import WhisperModel

from firmware_bridge.speech_files import read_wav, recordings
from transcription.models.inflate import SIZES, STOCK_VOCABULARY, Size, _widened, inflate
from transcription.models.model_file import ModelFile, read_model, write_model
from transcription.models.models import BUNDLED

pytestmark = pytest.mark.slow

SPOKEN = [recording for recording in recordings() if recording.demo][:3]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("tiny")
    inflate(BUNDLED, "tiny", folder)
    yield folder
    (folder / "model.bin").unlink()  # pytest keeps the last folders


def heard(model: WhisperModel, path: Path) -> Any:
    samples = np.frombuffer(read_wav(path), np.int16).astype(np.float32) / 32768
    (segment,) = model.transcribe(samples, language="en", beam_size=1, temperature=0)[0]
    return segment


def load(folder: Path) -> WhisperModel:
    """In float32, where nothing is rounded: in int8 a doubtful word may come out otherwise."""
    return WhisperModel(str(folder), device="cpu", compute_type="float32", cpu_threads=1)


def test_a_model_file_is_written_as_it_was_read(tmp_path: Path) -> None:
    write_model(read_model(BUNDLED / "model.bin"), tmp_path / "copy.bin")
    assert (tmp_path / "copy.bin").read_bytes() == (BUNDLED / "model.bin").read_bytes()


def test_a_model_file_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"\5\0\0\0")
    with pytest.raises(ValueError, match="version 5"):
        read_model(tmp_path / "model.bin")


def test_it_says_the_same_and_is_as_sure_of_it(tiny: Path) -> None:
    small, big = load(BUNDLED), load(tiny)
    for recording in SPOKEN:
        expected, got = heard(small, recording.path), heard(big, recording.path)
        assert got.text.strip() == expected.text.strip() == recording.text
        assert got.avg_logprob == pytest.approx(expected.avg_logprob, abs=1e-4)
        assert got.no_speech_prob == pytest.approx(expected.no_speech_prob, rel=1e-3)


def test_it_has_the_stock_dimensions(tiny: Path) -> None:
    model = load(tiny)
    assert np.array(model.encode(np.zeros((80, 200), np.float32))).shape == (1, 100, SIZES["tiny"].width)
    assert len(json.loads((tiny / "vocabulary.json").read_text())) == STOCK_VOCABULARY
    assert model.hf_tokenizer.token_to_id("<|endoftext|>") == 50_256
    assert model.hf_tokenizer.token_to_id("<|30.00|>") == STOCK_VOCABULARY - 1


@pytest.mark.parametrize("size", SIZES)
def test_every_layer_is_there_with_one_copy_for_each_head(size: str, tmp_path: Path) -> None:
    inflate(BUNDLED, size, tmp_path)
    model = read_model(tmp_path / "model.bin")
    width, layers = SIZES[size].width, SIZES[size].layers
    assert model.variables["encoder/num_heads"] == model.variables["decoder/num_heads"] == width // 64
    assert shape(model, "decoder/embeddings/weight") == (STOCK_VOCABULARY, width)
    for stack in ("encoder", "decoder"):
        last = f"{stack}/layer_{layers - 1}"
        assert shape(model, f"{last}/self_attention/linear_0/weight") == (3 * width, width)
        assert shape(model, f"{last}/ffn/linear_0/weight") == (4 * width, width)
        assert f"{stack}/layer_{layers}/ffn/linear_0/weight" not in model.variables
    (tmp_path / "model.bin").unlink()


def test_a_size_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(ValueError, match="128 wide cannot be made 200 wide"):
        _widened(read_model(BUNDLED / "model.bin"), Size(200, 4), [])


def shape(model: ModelFile, name: str) -> tuple[int, ...]:
    return model.variables[name].shape
