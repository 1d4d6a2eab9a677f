"""A model's files as anybody's hub has them: ValueError or a model, and a folder that can be listed in any case."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from transcription.models.inventory import Origin, _model
from transcription.models.model_file import read_model, write_model

_FOLDER = Path(tempfile.mkdtemp(prefix="earshot-fuzz-model-"))
_AGAIN = _FOLDER.with_suffix(".again")


def fuzz(data: bytes) -> None:
    (_FOLDER / "config.json").write_bytes(data)
    model = _model("some-model", Origin.FETCHED, _FOLDER, "base")
    assert 0 < model.shortest_context <= 3_000
    (_FOLDER / "model.bin").write_bytes(data)
    with suppress(ValueError):
        read = read_model(_FOLDER / "model.bin")
        write_model(read, _AGAIN)
        assert read_model(_AGAIN).aliases == read.aliases
