"""The HTTP servers that commands ask: a connection to each is kept as long as the agent runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec

from gateway.agents.http_peer import HttpPeer, PeerAnswer
from gateway.orchestrators.answer import CannotAnswer

DEED_SECONDS = 10.0
"""A server has so long for its whole answer."""
MOST_TEXT = 100_000
"""Characters of an answer that is a text."""


class HttpServers:
    """By their addresses. ``token`` goes to those that a command sends it to."""

    def __init__(self, token: str, ca_file: str) -> None:
        self._token = token
        self._ca_file = ca_file
        self._peers: dict[tuple[str, bool], HttpPeer] = {}
        self._stack = AsyncExitStack()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """As long as they may be asked."""
        async with AsyncExitStack() as self._stack:
            try:
                yield
            finally:
                self._peers.clear()

    async def ask(
        self,
        origin: str,
        path: str,
        *,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None,
        token: bool,
    ) -> Any:
        """What it answers, as JSON or as a text. Raises CannotAnswer."""
        peer = await self._peer(origin, token=token)
        try:
            async with (
                asyncio.timeout(DEED_SECONDS),
                peer.ask(method, path, body, headers=headers) as answer,
            ):
                return await _content(answer)
        except TimeoutError:
            raise CannotAnswer(f"{peer.name} took longer than {DEED_SECONDS:g} s") from None

    async def _peer(self, origin: str, *, token: bool) -> HttpPeer:
        peer = self._peers.get((origin, token))
        if peer is None:
            ca_file = self._ca_file if origin.startswith("https:") else ""
            peer = HttpPeer(origin.partition("//")[2], origin, token=self._token * token, ca_file=ca_file)
            await self._stack.enter_async_context(peer.running())
            self._peers[origin, token] = peer
        return peer


async def _content(answer: PeerAnswer) -> Any:
    text = await answer.text()
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        is_page = "html" in answer.content_type
        return None if is_page else text.strip()[:MOST_TEXT]
