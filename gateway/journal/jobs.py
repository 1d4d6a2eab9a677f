"""What the journal's thread is given to do, and what it tells about itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from gateway.journal.effects import Effect
from gateway.journal.tables.ledger import Ledger

Ticket: TypeAlias = asyncio.Future[Any]
"""Who waits for the result. The journal's thread only hands it back."""


@dataclass(slots=True)
class Commit:
    """Effects to be committed; the result is whether they were new, or a JournalError."""

    effects: tuple[Effect, ...]
    ticket: Ticket


@dataclass(slots=True)
class Query:
    """A question to be answered after all that was committed before it, or a JournalError."""

    ask: Callable[[Ledger], Any]
    ticket: Ticket


Job: TypeAlias = Commit | Query
Result: TypeAlias = tuple[Ticket, Any]


@dataclass(frozen=True, slots=True)
class JournalState:
    """Whether what is committed is safe. ``reason`` says why not, or what happened to the file before."""

    durable: bool
    reason: str = ""
    remedy: str = ""


@dataclass(slots=True)
class WriterCounters:
    """What happened since the start. ``given_up``: effects that never reached the disk."""

    commits: int = 0
    effects: int = 0
    transactions: int = 0
    failures: int = 0
    given_up: int = 0
