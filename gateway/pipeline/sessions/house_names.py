"""The names of the house, as whoever hears speech takes them: the port of those who know some."""

from __future__ import annotations

from typing import Protocol


class HouseNames(Protocol):
    """Whoever knows them. Nobody waits for it."""

    def told(self, room: str) -> tuple[str, ...]:
        """Somebody begins to speak there ("": nobody knows where): the names that are known, the likeliest first.

        As long as nothing changes it is the same value again.
        """


class NoNames:
    """Nobody told any."""

    def told(self, _room: str) -> tuple[str, ...]:
        """None."""
        return ()


NO_NAMES = NoNames()
