"""The routes of OpenAI's audio interface, where it is switched on."""

from __future__ import annotations

from aiohttp import web

from gateway.web.openai.errors import PREFIX
from gateway.web.openai.models import Models
from gateway.web.parts import Parts


def add_openai(router: web.UrlDispatcher, parts: Parts) -> None:
    """Serve it. ``gateway/web/rights.py`` says what each asks for."""
    models = Models(parts)
    router.add_get(f"{PREFIX}/models", models.list)
    router.add_get(f"{PREFIX}/models/{{model:.+}}", models.show)
