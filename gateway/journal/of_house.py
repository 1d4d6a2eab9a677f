"""The history of the whole house, where gateways share one, as whoever looks something up sees it. No I/O."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from gateway.journal.history import Selection
from gateway.journal.records import HistoryRow


class HouseAway(Exception):
    """It cannot be looked up just now; the message says why."""


class PageKey(Struct, frozen=True):
    """Where a page ends: at this row, which comes before (``tie``) all others of the same Unix microsecond."""

    spoken: int
    tie: int


class HouseRow(Struct, frozen=True):
    """An utterance, and the gateway that heard it; ``row.has_audio`` says whether it can be heard at this one."""

    gateway: str
    row: HistoryRow


class HousePage(Struct, frozen=True):
    """Newest first. ``more``: where to go on; None: there is nothing more. A page may be short, and there is more.

    ``whole``: whether all that this gateway has heard is in it.
    """

    rows: tuple[HouseRow, ...]
    more: PageKey | None
    whole: bool


class HouseHistory(Protocol):
    """Everything raises HouseAway, and JournalError."""

    async def page(self, wanted: Selection, before: PageKey | None, limit: int) -> HousePage:
        """The newest that are wanted, beyond a key; ``wanted.before`` means nothing here."""

    async def utterance(self, utterance_id: str) -> HouseRow | None:
        """One of them."""

    async def caught_up(self) -> bool:
        """Wait a moment for the house to know what is known here; whether it does."""
