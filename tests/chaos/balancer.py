"""What leads devices to gateways in a cluster: each connection goes to one that says it has room."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import cycle
from typing import Self

from aiohttp import ClientError, ClientSession, ClientTimeout

from gateway.client.credentials import Introduction
from gateway.client.device_socket import WebSocketWire

PROBE_SECONDS = 0.2


class Balancer:
    """``async with Balancer(urls) as balancer``: asks each all the time, as kube-proxy's endpoints are kept."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.ready: set[str] = set()
        """Who may be sent somebody."""
        self._urls = urls
        self._turns = cycle(urls)
        self._probing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._probing = asyncio.create_task(self._probe(), name="balancer")
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._probing is not None
        self._probing.cancel()
        await asyncio.gather(self._probing, return_exceptions=True)

    def next(self) -> str:
        """The next in turn that is ready; the next of all while none is."""
        turns = [next(self._turns) for _ in self._urls]
        return next((url for url in turns if url in self.ready), turns[0])

    async def _probe(self) -> None:
        async with ClientSession(timeout=ClientTimeout(total=1.0)) as client:
            while True:
                await asyncio.gather(*(self._ask(client, url) for url in self._urls))
                await asyncio.sleep(PROBE_SECONDS)

    async def _ask(self, client: ClientSession, url: str) -> None:
        try:
            async with client.get(f"{url}readyz?room") as answer:
                ready = answer.status == 200
        except (ClientError, TimeoutError, OSError):
            ready = False
        (self.ready.add if ready else self.ready.discard)(url)


class BalancedWire(WebSocketWire):
    """A device's WebSocket: each time that it connects, to whichever gateway the balancer says."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        super().__init__(balancer.next(), Introduction())

    @property
    def _url(self) -> str:
        return self._balancer.next().replace("http", "ws", 1) + "device"

    @_url.setter
    def _url(self, _url: str) -> None:
        """What it was made with is one of them."""
