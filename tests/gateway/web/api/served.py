"""The works of a gateway behind a real web server, and a client that talks to its API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import ClientResponse, ClientSession

from gateway.config.configuration import GatewayConfig
from gateway.config.reloading import Plan, plan
from gateway.journal import Journal
from gateway.pipeline.forgetting import Forgetting
from gateway.settings.openai import OpenAISettings
from gateway.web.parts import RunningParts as Parts
from tests.gateway.web.house import OFF, web_server
from tests.gateway.works import Engine, Works, loud, open_works, quiet
from tests.transcription.recordings import wav


@dataclass
class Served:
    works: Works
    url: str
    client: ClientSession

    async def get(self, path: str, status: int = 200, **options: Any) -> Any:
        return await self.call("GET", path, status, **options)

    async def call(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """The answer as JSON (None: nothing), once its status is right."""
        async with self.client.request(method, f"{self.url}api/v1{path}", **options) as response:
            text = await response.text()
            assert response.status == status, text
            assert response.headers["X-Correlation-ID"]
            if status >= 400:
                assert response.content_type == "application/problem+json"
            return msgspec.json.decode(text) if text else None

    def raw(self, method: str, path: str, **options: Any) -> Any:
        return self.client.request(method, f"{self.url}{path}", **options)


@asynccontextmanager
async def open_served(
    folder: Path, engine: Engine | None = None, openai: OpenAISettings = OFF, **parts: Any
) -> AsyncIterator[Served]:
    """``parts`` are those of ``open_works``; there is a journal unless ``journal`` is None."""
    async with AsyncExitStack() as stack:
        journal = parts.pop("journal", folder / "journal.db")
        works = await stack.enter_async_context(open_works(engine, journal=journal, **parts))
        server = await stack.enter_async_context(
            web_server(
                works.hub,
                works.health,
                port=0,
                running=lambda: served_parts(works),
                folder=folder,
                openai=openai,
            )
        )
        client = await stack.enter_async_context(ClientSession())
        yield Served(works, server.url, client)


def served_parts(works: Works) -> Parts:
    def reconfigure(wanted: GatewayConfig) -> Plan:
        planned = plan(works.config, wanted)
        works.config = planned.config
        works.register.reconfigure(planned.config.devices)
        works.readmit()
        works.recognizer.change(planned.config.transcription)
        works.pipeline.reload(planned.config)
        return planned

    return Parts(
        config=works.config,
        broker=works.broker,
        recognizer=works.recognizer,
        journal=works.journal,
        bridge=works.bridge,
        pipeline=works.pipeline,
        register=works.register,
        reconfigure=reconfigure,
        forgetting=Forgetting(works.journal, works.pipeline.erasing, works.hub, everywhere=False)
        if isinstance(works.journal, Journal)
        else None,
    )


def speech(*seconds: float) -> bytes:
    """A WAV file with stretches of speech in it, and pauses between."""
    return wav(b"".join(loud(one) + quiet(1) for one in seconds))


async def problem(response: ClientResponse) -> dict[str, Any]:
    """What a problem says, once it is one."""
    assert response.content_type == "application/problem+json"
    told: dict[str, Any] = msgspec.json.decode(await response.read())
    assert told["status"] == response.status
    assert told["title"]
    return told
