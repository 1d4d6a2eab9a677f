"""The routes of OpenAI's audio interface, where it is switched on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from gateway.adapters.doors import AdapterDoor
from gateway.web.openai.errors import PREFIX
from gateway.web.openai.models import Models
from gateway.web.openai.realtime import RealtimeSockets
from gateway.web.openai.transcriptions import AudioTexts
from gateway.web.parts import Parts

MOST: Final = 32
"""Sessions and requests that are being heard at once; an owner never has more than are left for others."""


def add_openai(application: web.Application, parts: Parts) -> None:
    """Serve it. ``gateway/web/rights.py`` says what each asks for."""
    door = AdapterDoor("openai", parts.health, allow={}, connections=MOST)
    door.opened(f"at {PREFIX}")
    models, audio, sessions = Models(parts), AudioTexts(parts, door), RealtimeSockets(parts, door)
    router = application.router
    router.add_post(f"{PREFIX}/audio/transcriptions", audio.transcribe)
    router.add_post(f"{PREFIX}/audio/translations", audio.translate)
    router.add_get(f"{PREFIX}/models", models.list)
    router.add_get(f"{PREFIX}/models/{{model:.+}}", models.show)
    router.add_get(f"{PREFIX}/realtime", sessions.serve)
    application.on_shutdown.append(sessions.close)
    application.on_cleanup.append(_closing(door))


def _closing(door: AdapterDoor) -> Callable[[web.Application], Awaitable[None]]:
    async def close(_application: web.Application) -> None:
        door.close()

    return close
