"""CTranslate2's model files: written and read again, and whatever else is called one."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transcription.models.model_file import TYPES, VERSION, ModelFile, read_model, write_model

NAMES = st.text(max_size=20)
ONE_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
"""Each example writes the file anew."""


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:  # type: ignore[type-arg]
    dtype = draw(st.sampled_from(TYPES))
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    size = int(np.prod(shape, dtype=int)) * dtype.itemsize
    return np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype).reshape(shape)


MODELS = st.builds(
    ModelFile,
    specification=NAMES,
    revision=st.integers(0, 2**32 - 1),
    variables=st.dictionaries(NAMES, arrays(), max_size=4),
    aliases=st.dictionaries(NAMES, NAMES, max_size=3),
)
MODEL = ModelFile("WhisperSpec", 3, {"decoder/weight": np.arange(6, dtype="<f4").reshape(2, 3)}, {"a": "b"})


@given(MODELS)
@ONE_FILE
def test_any_model_is_read_as_it_was_written(tmp_path: Path, model: ModelFile) -> None:
    write_model(model, tmp_path / "model.bin")
    read = read_model(tmp_path / "model.bin")
    assert (read.specification, read.revision, read.aliases) == (
        model.specification,
        model.revision,
        model.aliases,
    )
    assert list(read.variables) == list(model.variables), "in their order"
    for name, value in model.variables.items():
        assert read.variables[name].dtype == value.dtype
        assert read.variables[name].shape == value.shape
        assert read.variables[name].tobytes() == value.tobytes()


def written(tmp_path: Path) -> bytes:
    write_model(MODEL, tmp_path / "model.bin")
    return (tmp_path / "model.bin").read_bytes()


def test_a_file_cut_anywhere_is_damaged(tmp_path: Path) -> None:
    """As a download leaves it that was broken off."""
    whole = written(tmp_path)
    for end in range(len(whole)):
        (tmp_path / "model.bin").write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"damaged|ends before"):
            read_model(tmp_path / "model.bin")


@given(st.integers(0, 2**31), st.integers(0, 255))
@ONE_FILE
def test_a_byte_that_is_another_is_another_model_or_damage(tmp_path: Path, at: int, byte: int) -> None:
    whole = bytearray(written(tmp_path))
    whole[at % len(whole)] = byte
    (tmp_path / "model.bin").write_bytes(whole)
    try:
        assert isinstance(read_model(tmp_path / "model.bin"), ModelFile)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either is right


@given(st.binary(max_size=60))
@ONE_FILE
def test_rubbish_behind_a_good_version_is_damage(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / "model.bin").write_bytes(struct.pack("<I", VERSION) + rubbish)
    try:
        assert read_model(tmp_path / "model.bin").variables == {}
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either is right


@pytest.mark.parametrize("version", [0, 5, 7, 2**32 - 1])
def test_another_version_is_named(tmp_path: Path, version: int) -> None:
    (tmp_path / "model.bin").write_bytes(struct.pack("<I", version) + written(tmp_path)[4:])
    with pytest.raises(ValueError, match=f"version {version}; this reads version {VERSION}"):
        read_model(tmp_path / "model.bin")
