"""The speech models: which are here, which one is at work, and which the hub has."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from gateway.access.principals import Right
from gateway.web.api.operation import Call, Operation
from transcription.models.inventory import Model, inventory


class RunningModel(Struct, frozen=True, kw_only=True):
    """How the recognizer is. ``progress``: of a model that takes long to come, in [0, 1]."""

    phase: str
    engine: str
    model: str
    reason: str
    remedy: str
    progress: float | None


class ModelList(Struct, frozen=True):
    """What `earshot models list` shows, and what is at work."""

    models: tuple[Model, ...]
    running: RunningModel


async def list_models(call: Call[None, None, None]) -> ModelList:
    """All that could be meant; looked for on the disk, beside the event loop."""
    parts = call.parts.running()
    settings, state = parts.config.transcription, parts.recognizer.state
    found = await asyncio.to_thread(inventory, settings.model, settings.models_dir)
    running = RunningModel(
        phase=state.phase.value,
        engine=state.engine,
        model=state.model,
        reason=state.reason,
        remedy=state.remedy,
        progress=state.progress,
    )
    return ModelList(tuple(found), running)


OPERATIONS = (
    Operation(
        name="listModels", method="GET", path="/models", right=Right.GOVERN, run=list_models,
        summary="The speech models: here, at work, and on the hub", answer=ModelList,
    ),
)  # fmt: skip
