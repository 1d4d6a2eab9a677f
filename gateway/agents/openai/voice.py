"""What a model says, on its way to whoever listens: in plain words, in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.agents.openai.pieces import SpokenPieces
from gateway.agents.openai.plain_words import PlainWords


class Voice:
    """Of one answer, which may have several parts: with tools, a model speaks more than once."""

    def __init__(self, say: Callable[[str], Awaitable[None]], *, plain: bool) -> None:
        self._say = say
        self._plain = plain
        self._pieces = SpokenPieces()
        self._words = PlainWords() if plain else None
        self._part_begun = False
        self.said = False
        """Whether anything was."""

    async def take(self, text: str) -> None:
        """As the model gives it."""
        if text:
            await self._give(self._words.take(text) if self._words else text)

    async def end_part(self) -> str:
        """What is left of this part, not said yet; the next one begins anew."""
        text = self._words.end() if self._words else ""
        piece = self._begun(text)
        rest = self._pieces.take(piece, self._now()) + self._pieces.end()
        self.said = self.said or bool(rest.strip())
        self._part_begun = False
        self._words = PlainWords() if self._plain else None
        return rest

    async def _give(self, text: str) -> None:
        if piece := self._pieces.take(self._begun(text), self._now()):
            self.said = True
            await self._say(piece)

    def _begun(self, text: str) -> str:
        """A part after another one begins with a space."""
        if not text or self._part_begun:
            return text
        self._part_begun = True
        return f" {text}" if self.said else text

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
