"""The routes of OpenAI's audio interface, where it is switched on."""

from __future__ import annotations

from aiohttp import web

from gateway.web.openai.errors import PREFIX
from gateway.web.openai.models import Models
from gateway.web.openai.realtime import RealtimeSockets
from gateway.web.openai.transcriptions import AudioTexts
from gateway.web.parts import Parts


def add_openai(application: web.Application, parts: Parts) -> None:
    """Serve it. ``gateway/web/rights.py`` says what each asks for."""
    models, audio, sessions = Models(parts), AudioTexts(parts), RealtimeSockets(parts)
    router = application.router
    router.add_post(f"{PREFIX}/audio/transcriptions", audio.transcribe)
    router.add_post(f"{PREFIX}/audio/translations", audio.translate)
    router.add_get(f"{PREFIX}/models", models.list)
    router.add_get(f"{PREFIX}/models/{{model:.+}}", models.show)
    router.add_get(f"{PREFIX}/realtime", sessions.serve)
    application.on_shutdown.append(sessions.close)
