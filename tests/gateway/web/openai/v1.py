"""OpenAI's audio interface of a gateway without walls, and OpenAI's own client, unmodified, that talks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import ClientResponse
from openai import AsyncOpenAI

from gateway.settings.openai import OpenAISettings
from tests.gateway.web.api.served import Served, open_served
from tests.gateway.works import Engine, Works

FILLER = "none-is-needed"
"""The client cannot be without a key."""


@dataclass
class V1:
    """``client`` asks once, so that a test sees each refusal."""

    served: Served
    client: AsyncOpenAI

    @property
    def works(self) -> Works:
        return self.served.works

    def with_key(self, key: str, **headers: str) -> AsyncOpenAI:
        return self.client.with_options(api_key=key, default_headers=headers)

    def raw(self, method: str, path: str, **options: Any) -> Any:
        return self.served.raw(method, f"v1{path}", **options)


@asynccontextmanager
async def open_v1(
    folder: Path, engine: Engine | None = None, models: tuple[str, ...] = (), **parts: Any
) -> AsyncIterator[V1]:
    openai = OpenAISettings(enabled=True, models=models)
    async with (
        open_served(folder, engine, openai, **parts) as served,
        AsyncOpenAI(base_url=f"{served.url}v1", api_key=FILLER, max_retries=0) as client,
    ):
        yield V1(served, client)


async def error(response: ClientResponse) -> dict[str, Any]:
    """What an error says, once it is one."""
    assert response.status >= 400
    assert response.headers["X-Request-Id"]
    told = msgspec.json.decode(await response.read())
    assert list(told) == ["error"]
    assert told["error"].keys() == {"message", "type", "param", "code"}
    found: dict[str, Any] = told["error"]
    return found
