"""A whole gateway in this process, to which only texts come: no page, no carriers, no recognizer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import structlog

from gateway.access.principals import Principal, Role
from gateway.app import Gateway
from gateway.config.configuration import GatewayConfig
from gateway.contract.events import HubEvent
from gateway.hub.fanout import Batch

QUIET = 40
"""Of logging's levels: errors only."""


@asynccontextmanager
async def gateway_here(folder: Path, **sections: dict[str, Any]) -> AsyncIterator[Gateway]:
    """The gateway, running; ``sections`` are config.yaml's."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(QUIET))
    config = msgspec.convert(
        {
            "devices": {"serial": {"ports": []}, "mqtt": {"url": ""}},
            "transcription": {"engine": "off"},
            "web": {"enabled": False},
            "journal": {"path": str(folder / "journal.db")},
            "shutdown": {"drain_seconds": 0.1},
            **sections,
        },
        GatewayConfig,
    )
    async with Gateway(config) as gateway:
        yield gateway


def person(name: str) -> Principal:
    """Somebody with a conversation of their own."""
    return Principal(name=name, role=Role.LISTENER, users=frozenset({name}))


@asynccontextmanager
async def watching(gateway: Gateway, see: Callable[[HubEvent], None]) -> AsyncIterator[None]:
    """``see`` is shown every event, in the moment in which a listener's wire would have it."""

    def take(batch: Batch) -> bool:
        for item in batch.items:
            see(item.event)  # type: ignore[arg-type]  # snapshots do not come this way
        return True

    with gateway.hub.attach(direct=take) as queue:
        await anext(queue)  # the snapshot: from now on nothing waits
        reading = asyncio.create_task(anext(queue))
        yield
        reading.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await reading
