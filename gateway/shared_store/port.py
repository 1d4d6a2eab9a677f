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

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Protocol, TypeAlias

from msgspec import Struct

from gateway.journal.effects import USER, UTTERANCE
from gateway.journal.history import Selection
from gateway.journal.of_house import PageKey

MOST_ENTRIES = 500
"""Entries that are read at once."""
BODY_BYTES = 512 * 1024
"""No body is larger."""


ERASED = "erased"
"""The kind of the entries that are erasures; their bodies are ``at`` in digits."""
FOR_EVER = 1 << 62
DIGITS = 20


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


class StoreFacts(Struct, frozen=True):
    """How it is. ``clock``: its time, in Unix seconds. ``is_new``: nobody has used it yet.

    ``weaknesses``: the ways in which it, as it is set up, may refuse or lose what it is told.
    """

    clock: float
    is_new: bool
    weaknesses: tuple[str, ...] = ()


class SharedRow(Struct, frozen=True, kw_only=True):
    """An utterance as it lies there. ``spoken``: Unix microseconds; ``goes_at``: Unix seconds, after which it goes.

    ``record``: all of it, as gateways read it. ``replied``: whether its answer is in it: of two gateways' the one with
    an answer stays.
    """

    utterance_id: str
    correlation_id: str
    session_id: str
    conversation_id: str
    user_id: str
    device_id: str
    spoken: int
    words: str
    replied: bool
    goes_at: float
    record: bytes


class Shipment(Struct, frozen=True, kw_only=True):
    """What a gateway's history has that the store has not, and the other way round, up to the change ``position``.

    ``journal`` and ``generation``: whose, and how often all of it was told (gateway/journal/tables/sharing.py).
    """

    gateway: str
    journal: str
    generation: int
    position: int
    rows: tuple[SharedRow, ...] = ()
    gone: tuple[str, ...] = ()


class Erasure(Struct, frozen=True):
    """What is to be forgotten in the whole house: an utterance, or what a user said until ``at`` (Unix us)."""

    kind: str
    subject: str
    at: int

    @property
    def key(self) -> str:
        """Under which it is an entry."""
        return f"{self.kind}:{self.subject}"

    @property
    def body(self) -> bytes:
        """What the entry holds."""
        return b"%d" % self.at

    def joined(self, there: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """A ``Join``: what was to be forgotten until later stays so."""
        standing = there.get(self.key, b"")
        later = standing.isdigit() and len(standing) < DIGITS and int(standing) > self.at
        return {self.key: standing if later else self.body}


class FoundRow(Struct, frozen=True):
    """A row that was looked for, and whose it is."""

    gateway: str
    utterance_id: str
    spoken: int
    record: bytes

    @property
    def key(self) -> PageKey:
        """Where a page ends with it."""
        return PageKey(self.spoken, tie_of(self.utterance_id))


class FoundPage(Struct, frozen=True):
    """Newest first. ``more``: where to go on; None: there is nothing more. A page may be short, and there is more."""

    rows: tuple[FoundRow, ...]
    more: PageKey | None


def tie_of(utterance_id: str) -> int:
    """Which of two of the same microsecond comes first: the same everywhere, and for ever."""
    return int.from_bytes(hashlib.sha256(utterance_id.encode()).digest()[:8]) >> 1


def keys_of(row: SharedRow) -> tuple[str, str]:
    """Of the erasures that keep a row out."""
    return f"{UTTERANCE}:{row.utterance_id}", f"{USER}:{row.user_id}"


def erased_until(key: str, body: bytes) -> int:
    """Up to which microsecond an erasure reaches; an utterance's to the end of time."""
    if key.startswith(f"{UTTERANCE}:"):
        return FOR_EVER
    return min(int(body), FOR_EVER) if body.isdigit() and len(body) < DIGITS else -1


Join: TypeAlias = Callable[[Mapping[str, bytes]], Mapping[str, bytes]]
"""From what stands under the keys to what is to stand there; what it does not name stays."""


class SharedStore(Protocol):
    """A connection to it. Everything raises StoreUnavailable and StoreRefused."""

    async def facts(self) -> StoreFacts:
        """Look, and change nothing. Raises StoreRefused for one that this version cannot use."""

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

    async def shipped(self, gateway: str, journal: str) -> int:
        """The position of the last shipment out of this journal; 0: there was none."""

    async def ship(self, shipment: Shipment) -> None:
        """All of it or nothing. What was erased stays out, and what another gateway has stays."""

    async def sweep(self, gateway: str, journal: str, generation: int) -> None:
        """Erase what this journal had told before that generation."""

    async def prune(self) -> None:
        """Erase some of what goes by its age."""

    async def page(self, wanted: Selection, before: PageKey | None, limit: int) -> FoundPage:
        """The newest that are wanted, beyond a key."""

    async def utterance(self, utterance_id: str) -> FoundRow | None:
        """One of them."""

    async def erase(self, erasure: Erasure) -> int:
        """For good, and for all that comes; how many rows there were."""

    async def close(self) -> None:
        """Whatever is under way fails."""
