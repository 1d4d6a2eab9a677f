"""GET /v1/models: the names under which our model may be asked for."""

from __future__ import annotations

from typing import Literal

import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.web.api.operation import JSON
from gateway.web.openai.names import check_name, known_names, own_name
from gateway.web.parts import Parts

OWNER = "earshot"


class AudioModel(Struct, frozen=True, kw_only=True):
    """One name. ``root``: what it means; when a model was made nobody here knows."""

    id: str
    root: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = OWNER


class AudioModels(Struct, frozen=True, kw_only=True):
    """All of them, the model's own name first."""

    data: tuple[AudioModel, ...]
    object: Literal["list"] = "list"


class Models:
    """What is told of the model."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self, _request: web.Request) -> web.Response:
        """Every name."""
        model = self._model()
        names = known_names(model, self._parts.openai.models)
        return _json(AudioModels(data=tuple(AudioModel(id=name, root=own_name(model)) for name in names)))

    async def show(self, request: web.Request) -> web.Response:
        """One name. Raises WrongRequest."""
        model, name = self._model(), request.match_info["model"]
        check_name(name, model, self._parts.openai.models)
        return _json(AudioModel(id=name, root=own_name(model)))

    def _model(self) -> str:
        return self._parts.running().model


def _json(told: Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(told), content_type=JSON)
