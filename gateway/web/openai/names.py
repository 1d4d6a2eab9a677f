"""Which names of models mean ours: its own, OpenAI's for a Whisper, and those that somebody has written down."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from pathlib import PurePath

from gateway.web.openai.errors import WrongRequest

OPENAI = (
    "whisper-1",
    "gpt-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-live-transcribe",
    "gpt-realtime-whisper",
)
"""What is asked for by programs that were made for OpenAI. Each gets the model that is here."""
DIARIZING = "gpt-4o-transcribe-diarize"
ANY = "*"
"""Among the names that are written down: whatever a program asks for."""
MAX_NAME = 200


def own_name(model: str) -> str:
    """What the model is called: a folder's name says nothing of where it is."""
    return PurePath(model).name or model


def known_names(model: str, further: Iterable[str]) -> tuple[str, ...]:
    """All that mean it, its own first."""
    return tuple(dict.fromkeys((own_name(model), *OPENAI, *(name for name in further if name != ANY))))


def check_name(name: str, model: str, further: Iterable[str]) -> None:
    """Whether the name means our ``model``. Raises WrongRequest: what somebody gets shall be what they asked for."""
    if name == DIARIZING:
        raise WrongRequest(
            f"the model `{DIARIZING}` tells speakers apart, which nobody here can", "model", "model_not_found",
            HTTPStatus.NOT_FOUND,
        )  # fmt: skip
    if ANY in further or name in known_names(model, further):
        return
    raise WrongRequest(
        f"the model `{name[:MAX_NAME]}` does not exist here; GET /v1/models says which names do, and further ones "
        "can be written down in adapters.openai.models",
        "model", "model_not_found", HTTPStatus.NOT_FOUND,
    )  # fmt: skip
