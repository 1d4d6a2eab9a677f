"""A server that answers as Home Assistant's WebSocket does, or as a test wants it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from aiohttp import web

TOKEN = "a token"
HOUSE: dict[str, Any] = {
    "homeassistant/expose_entity/list": {
        "exposed_entities": {
            "light.desk": {"conversation": True, "cloud.alexa": False},
            "sensor.heat": {"conversation": True},
            "light.hidden": {"conversation": False},
            "light.gone": {"conversation": True},
            "vacuum.robot": {"conversation": True},
        }
    },
    "config/entity_registry/get_entries": {
        "light.desk": {"name": None, "original_name": "x", "area_id": "a1", "aliases": ["Tolomeo", None]},
        "sensor.heat": {"name": "Viessmann heat", "device_id": "d1", "area_id": None, "aliases": []},
        "light.gone": {"name": "Gone", "disabled_by": "user"},
        "vacuum.robot": None,
    },
    "get_states": [
        {"entity_id": "light.desk", "state": "on", "attributes": {"friendly_name": "Artemide"}},
        {"entity_id": "vacuum.robot", "attributes": {"friendly_name": "Roborock"}},
        {"entity_id": "light.hidden", "attributes": {"friendly_name": "Hidden"}},
    ],
    "config/device_registry/list": [{"id": "d1", "area_id": "a2"}, {"id": "d2", "area_id": None}],
    "config/area_registry/list": [
        {"area_id": "a1", "name": "Study", "aliases": ["office"], "floor_id": "f"},
        {"area_id": "a2", "name": "Cellar"},
    ],
    "config/floor_registry/list": [{"floor_id": "f", "name": "Loft", "aliases": []}],
}
NAMES = ("Study", "office", "Artemide", "Tolomeo", "Cellar", "Loft", "Roborock", "Viessmann heat")
"""What is told of it in the study, but for the order among equals."""

Wire: TypeAlias = web.WebSocketResponse
Behave: TypeAlias = Callable[[Wire, dict[str, Any]], Awaitable[bool]]
"""May do something else than answer a question; true: it has."""


class AssistServer:
    """Counts its visitors; ``behave`` and ``house`` may be changed."""

    def __init__(self) -> None:
        self.house = dict(HOUSE)
        self.behave: Behave = _as_usual
        self.visits = 0
        self.url = ""
        self.sends_to = ""
        """Where its visitors are sent; empty: nowhere."""

    async def handle(self, request: web.Request) -> Wire:
        self.visits += 1
        if self.sends_to:
            raise web.HTTPTemporaryRedirect(self.sends_to)
        wire = web.WebSocketResponse()
        await wire.prepare(request)
        if await self.behave(wire, {"type": ""}):
            return wire
        await wire.send_json({"type": "auth_required", "ha_version": "2025.4.4"})
        told = await wire.receive_json()
        if told != {"type": "auth", "access_token": TOKEN}:
            await wire.send_json({"type": "auth_invalid", "message": "Invalid access token or password"})
            return wire
        await wire.send_json({"type": "auth_ok"})
        async for message in wire:
            asked = message.json()
            if await self.behave(wire, asked):
                return wire
            answer = {
                "id": asked["id"],
                "type": "result",
                "success": True,
                "result": self.house[asked["type"]],
            }
            await wire.send_json(answer)
        return wire


async def _as_usual(_wire: Wire, _asked: dict[str, Any]) -> bool:
    return False


@asynccontextmanager
async def serving() -> AsyncIterator[AssistServer]:
    server, app = AssistServer(), web.Application()
    app.router.add_get("/api/websocket", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


async def silent(_wire: Wire, asked: dict[str, Any]) -> bool:
    if asked["type"] == "get_states":
        await asyncio.sleep(3600)
    return False
