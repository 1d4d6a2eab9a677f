"""The model that is suggested is one that the machine can carry."""

from __future__ import annotations

import pytest

from transcription.models.models import HUB_MODELS
from transcription.models.suggestion import _size, suggested_model


@pytest.mark.parametrize(
    ("memory_mb", "cores", "is_pc", "size"),
    [
        (300, 4, False, "tiny"),
        (4000, 1, True, "tiny"),
        (2000, 4, False, "base"),
        (4000, 2, True, "base"),
        (1000, 8, True, "base"),
        (8000, 8, True, "small"),
    ],
)
def test_it_fits_the_box(memory_mb: int, cores: int, size: str, *, is_pc: bool) -> None:
    assert _size(memory_mb=memory_mb, cores=cores, is_pc=is_pc) == size


@pytest.mark.parametrize(("language", "english_only"), [("en", True), ("de", False), ("auto", False)])
def test_it_speaks_the_language_and_can_be_fetched(language: str, *, english_only: bool) -> None:
    model = suggested_model(language)
    assert model.endswith(".en") == english_only
    assert model in HUB_MODELS
