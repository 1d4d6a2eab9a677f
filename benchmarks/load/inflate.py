"""The bundled model in a stock size, made once and kept in the user's cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

from benchmarks.instruments.cache import cached
from transcription.models import inflate, model_file
from transcription.models.models import BUNDLED, shortest_context
from transcription.settings import BUNDLED_MODEL

TOLERATED = shortest_context(BUNDLED_MODEL, BUNDLED)
"""The shortest context, in frames, in which the bundled model is as good as in the full one, in any size."""


def inflated_model(size: str) -> Path:
    """The folder of the bundled model in that size; made the first time (a second or two)."""
    sources = (Path(inflate.__file__), Path(model_file.__file__), *sorted(BUNDLED.iterdir()))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    return cached(
        f"whisper-commands-{size}-{digest[:12]}", lambda folder: inflate.inflate(BUNDLED, size, folder)
    )
