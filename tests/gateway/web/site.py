"""A whole gateway behind a web server: its engine does as the test says, its devices come over the web."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.client.credentials import Introduction
from gateway.client.device_socket import WebSocketWire
from gateway.config.configuration import GatewayConfig
from gateway.config.reloading import Plan, plan
from gateway.journal import Journal
from gateway.pipeline.forgetting import Forgetting
from gateway.web.parts import RunningParts as Running
from tests.gateway.web.house import web_server
from tests.gateway.works import Works, loud, open_works
from tests.system.house import Board


@dataclass
class Site:
    """``parts``: the gateway's, with what a listener and a subscriber got. ``url``: the page's."""

    parts: Works
    url: str

    def board(self, name: str = "web-page", token: str = "", **options: Any) -> Board:
        """A simulated device on a WebSocket, as fast as it can."""
        wire = WebSocketWire(self.url, Introduction(token))
        return Board(name, wire, **{"speed": float("inf"), **options})

    async def well(self) -> None:
        """The gateway still does what it is there for."""
        async with self.board("web-well") as board:
            saying = asyncio.create_task(board.say(loud(0.5)))
            heard = await self.parts.result(device_id="web-well")
            await self.parts.reply(heard, "well")
            assert (await saying).reply == "well"


@asynccontextmanager
async def open_site(
    *, journal: Path | None = None, folder: Path | None = None, **parts: dict[str, Any]
) -> AsyncIterator[Site]:
    """``journal``: its file, else none. ``folder``: of its tokens. ``parts``: the configuration, as in config.yaml."""
    web = {"port": 0, **parts.pop("web", {})}
    async with open_works(journal=journal, web=web, **parts) as works:
        running = Running(
            config=works.config,
            broker=works.broker,
            recognizer=works.recognizer,
            journal=works.journal,
            bridge=works.bridge,
            pipeline=works.pipeline,
            register=works.register,
            reconfigure=lambda wanted: _reconfigure(works.config, wanted),
            forgetting=Forgetting(works.journal, works.pipeline.erasing, works.hub, everywhere=False)
            if isinstance(works.journal, Journal)
            else None,
        )
        async with web_server(works.hub, works.health, running=lambda: running, folder=folder) as server:
            yield Site(works, server.url)


def _reconfigure(config: GatewayConfig, wanted: GatewayConfig) -> Plan:
    return plan(config, wanted)
