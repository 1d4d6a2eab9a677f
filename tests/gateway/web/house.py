"""A gateway without devices: what a test publishes is all that happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web import BaseRequest, WebSocketResponse
from msgspec import structs

from gateway.access.audit import Audit
from gateway.contract.events import HubEvent
from gateway.hub.hub import Hub
from gateway.observing.health import Health
from gateway.settings.openai import OpenAISettings
from gateway.web import WebServer
from gateway.web.parts import Parts as Served
from gateway.web.parts import RunningParts
from tests.record import passes

PATIENCE = 40.0
OFF = OpenAISettings()


@dataclass
class House:
    hub: Hub
    health: Health
    server: WebServer

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].strip("/"))

    def publish(self, *events: HubEvent) -> None:
        for event in events:
            self.hub.publish(event)


def web_server(
    hub: Hub,
    health: Health | None = None,
    *,
    port: int | None = None,
    running: Callable[[], RunningParts | None] = lambda: None,
    folder: Path | None = None,
    openai: OpenAISettings = OFF,
) -> WebServer:
    """A server for ``hub``, with its settings. ``running``: the rest of the gateway, where a test has one.

    ``folder``: where its tokens and its audit log lie.
    """
    settings = hub.settings if port is None else structs.replace(hub.settings, port=port)
    health = health or Health(hub.publish)
    return WebServer(Served(settings, hub, health, running, folder, Audit(folder, of_gateway=True), openai))


@asynccontextmanager
async def repeated(house: House, event: HubEvent) -> AsyncIterator[None]:
    """An event that comes ten times a second."""

    async def publish() -> None:
        while True:
            house.publish(event)
            await asyncio.sleep(0.1)

    publishing = asyncio.create_task(publish())
    try:
        yield
    finally:
        publishing.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nobody announces."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def bearer(token: str) -> dict[str, str]:
    """The header that a token stands in."""
    return {"Authorization": f"Bearer {token}"}


async def got(client: ClientSession, house: House, path: str, **headers: str) -> int:
    """The status of an answer."""
    async with client.get(house.url + path, headers=headers) as answer:
        return answer.status


def opening_slowly(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """WebSockets are open only when their connections are cut; the event tells when one of them is at it."""
    opening = asyncio.Event()
    prepare = WebSocketResponse.prepare

    async def slowly(response: WebSocketResponse, request: BaseRequest) -> AbstractStreamWriter:
        opening.set()
        await passes(lambda: request.transport is None or request.transport.is_closing())
        return await prepare(response, request)

    monkeypatch.setattr(WebSocketResponse, "prepare", slowly)
    return opening
