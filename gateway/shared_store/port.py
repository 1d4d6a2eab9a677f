"""The store as everything here sees it, whichever server it is. Plain values; no I/O.

::

    StoreError
      StoreUnavailable     it does not answer; it is tried again
      StoreRefused         it answers, and will not do: a person has to change something

What is merged is an *entry*: something of a kind, under a key, as bytes. Whoever changes one is given what stands there
and says what shall (:data:`Join`), as often as it takes; no two change one at once. Each change has a number that is
higher than all before it, so that nobody misses one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol, TypeAlias

from msgspec import Struct

MOST_ENTRIES = 500
"""Entries that are read at once."""
BODY_BYTES = 512 * 1024
"""No body is larger."""


class StoreError(Exception):
    """It cannot be done; the message says why, ``remedy`` what to do."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


class StoreUnavailable(StoreError):
    """It does not answer, or not in time."""


class StoreRefused(StoreError):
    """It answers, and will not do."""


class Entry(Struct, frozen=True):
    """One of a kind. ``version``: the number of its last change."""

    key: str
    body: bytes
    version: int


class Pulse(Struct, frozen=True):
    """How the store is. ``epoch``: another one, and it is not the store that it was. ``version``: of the last change.

    ``spent``: what the other gateways have used of the house's limits lately, by their names.
    """

    epoch: str
    version: int
    spent: dict[str, bytes]


Join: TypeAlias = Callable[[Mapping[str, bytes]], Mapping[str, bytes]]
"""From what stands under the keys to what is to stand there; what it does not name stays."""


class SharedStore(Protocol):
    """A connection to it. Everything raises StoreUnavailable and StoreRefused."""

    async def pulse(self, gateway: str, spent: bytes | None) -> Pulse:
        """Say what this gateway has spent (None: nothing new), and learn what there is to be learned."""

    async def entries(self, kind: str, after: int) -> list[Entry]:
        """The next that have changed since that version, in the order of their changes; at most MOST_ENTRIES."""

    async def entry(self, kind: str, key: str) -> bytes | None:
        """What stands under a key."""

    async def change(self, kind: str, keys: Collection[str], join: Join) -> None:
        """Put what ``join`` makes of what stands under the keys. It may be called again."""

    async def drop(self, kind: str, keys: Collection[str]) -> None:
        """Forget them; nobody is told."""

    async def close(self) -> None:
        """Whatever is under way fails."""
