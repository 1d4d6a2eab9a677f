"""Whether the speech model computes where ``transcription.device`` says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.commands.doctor.finding import Finding, fail, ok, warn
from transcription.errors import ModelUnavailable
from transcription.settings import TranscriptionSettings
from transcription.whisper.computing import place
from transcription.whisper.gpu import has_device

WHAT = "computes on"


def computing(settings: TranscriptionSettings, root: Path = Path("/")) -> Iterator[Finding]:
    """Before any model is loaded: whether it fits into a GPU's memory, `earshot models bench` finds out."""
    if settings.engine in {"off", "pocketsphinx"}:
        return
    if settings.device == "cpu":
        if has_device(root):
            remedy = "transcription.device: auto uses it (docs/models.md)"
            yield ok(WHAT, "the CPU, as transcription.device says; there is a GPU of NVIDIA's, too", remedy)
        return
    try:
        chosen = place(settings)
    except ModelUnavailable as error:
        yield fail(WHAT, str(error), error.remedy)
        return
    if chosen.is_gpu:
        yield ok(WHAT, chosen.where.gpu, "earshot models bench measures it, and whether the model fits")
    else:
        yield warn(
            WHAT, chosen.where.notice, "or set transcription.device: cpu, where that is as it should be"
        )
