"""When what a model says travels on: the first word at once, then words in groups, and sentences. No I/O, no clock."""

from __future__ import annotations

import re

FEW_SECONDS = 0.15
"""So long words wait for further ones, as long as any come."""
MANY_CHARACTERS = 48
"""They wait no longer."""
_SENTENCE = re.compile(r"[.!?;:。！？…][\"'”»)]*\s*\Z")  # noqa: RUF001 - they end sentences, too
_WORDS = re.compile(r".*[\s。！？、，]", re.DOTALL)  # noqa: RUF001 - they end words, too


class SpokenPieces:
    """Each has whole words, but for the first, which is what came first."""

    def __init__(self) -> None:
        self._held = ""
        self._last: float | None = None

    def take(self, text: str, now: float) -> str:
        """What is to travel now; as a rule nothing."""
        self._held += text
        if not self._held.strip():
            return ""
        if self._last is None or _SENTENCE.search(self._held):
            return self._let_go(len(self._held), now)
        if len(self._held) >= MANY_CHARACTERS or now - self._last >= FEW_SECONDS:
            words = _WORDS.match(self._held)
            return self._let_go(words.end() if words else 0, now)
        return ""

    def end(self) -> str:
        """The rest."""
        rest, self._held = self._held, ""
        return rest

    def _let_go(self, count: int, now: float) -> str:
        if not count:
            return ""
        piece, self._held = self._held[:count], self._held[count:]
        self._last = now
        return piece
