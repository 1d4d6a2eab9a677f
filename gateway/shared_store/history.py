"""The history of the house: what this gateway remembers told the store, and all of it looked up there.

The journal writes down what has changed with the change itself, and forgets that when the store has it: nothing is lost
or doubled, whichever of the two was away. What others want forgotten is forgotten here before anything more is told.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import structlog
from msgspec import msgpack
from msgspec.msgpack import Decoder
from msgspec.structs import replace

from gateway.contract.messages import is_token
from gateway.journal.effects import USER, UTTERANCE, Effect, ForgotAsAsked, Swept, TellAgain, ToldOthers
from gateway.journal.errors import JournalError
from gateway.journal.history import History, Selection
from gateway.journal.of_house import HouseAway, HousePage, HouseRow, PageKey
from gateway.journal.records import HistoryRow
from gateway.journal.tables.sharing import ROW, Change, Untold
from gateway.process.clock import DAY, SET_SINCE
from gateway.shared_store.port import (
    ERASED,
    Erasure,
    FoundPage,
    FoundRow,
    SharedRow,
    SharedStore,
    Shipment,
    StoreError,
    erased_until,
)
from gateway.shared_store.tokens import changes

log = structlog.get_logger(__name__)

AT_ONCE = 200
"""Changes that are told at once."""
LOOK_SECONDS = 5.0
"""How often it is looked for changes that nobody told of: what goes by its age."""
TOGETHER_SECONDS = 0.05
"""What changes within so little is told together."""
JUST_NOW = 60.0
"""Whoever looked so lately knows that what it sees now was wanted since, whatever a clock says."""
PRUNE_SECONDS = 60.0
SEEN_SECONDS = 0.5
"""So long a question waits for what was just said here to be found there."""
ASKED_SECONDS = 8.0
"""A question that the store does not answer by then is answered by this gateway alone."""
MICRO = 1_000_000
_row = Decoder(HistoryRow).decode


class SharedJournal(Protocol):
    """The journal, as far as it is told of. ``on_commit`` is called when something was committed."""

    history: History
    on_commit: Callable[[asyncio.Future[bool]], None]

    def commit(self, *effects: Effect) -> asyncio.Future[bool]:
        """Durable when it is awaited."""


class Forget(Protocol):
    """Has this gateway forget what others want forgotten."""

    def __call__(self, kind: str, subject: str, until: float, *, just_now: bool) -> Awaitable[None]:
        """``until``: in Unix seconds; ``just_now``: whether it was asked for within the last minute."""


class Shipping:
    """``run`` goes on as long as the store is there; whoever comes after it goes on where it ended."""

    def __init__(self, gateway: str, journal: SharedJournal, days: float, forget: Forget) -> None:
        """``days``: after so many the store erases what it was told, though this gateway never came back."""
        self._gateway = gateway
        self._journal = journal
        self._days = days
        self._forget = forget
        self._news = asyncio.Event()
        self._seen: set[asyncio.Future[bool]] = set()
        self._epoch = ""
        self._store_changed = True
        self._mine: dict[str, bytes] = {}
        self.garbage = 0
        """Erasures in the store that are none."""
        journal.on_commit = lambda _done: self._news.set()

    async def run(self, store: SharedStore, epoch: str) -> None:
        """Raises StoreError and JournalError."""
        self._epoch, self._store_changed = epoch, True
        await self._look_back(store)
        looked_at = -math.inf
        pruned_at = time.monotonic()
        while True:
            self._news.clear()
            waiting, self._seen = self._seen, set()
            now = time.monotonic()
            if self._store_changed:
                self._store_changed = False
                await self._forget_as_asked(store, just_now=now < looked_at + JUST_NOW)
            looked_at = now
            while await self._ship(store):
                pass
            for seen in waiting:
                if not seen.done():
                    seen.set_result(True)
            if now > pruned_at + PRUNE_SECONDS:
                pruned_at = now
                await store.prune()
            await asyncio.sleep(TOGETHER_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._news.wait()

    def look(self) -> None:
        """The store has changed."""
        self._store_changed = True
        self._news.set()

    async def caught_up(self) -> bool:
        """Whether the store has what was committed before, at the latest SEEN_SECONDS later."""
        seen: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._seen.add(seen)
        self._news.set()
        await asyncio.wait([seen], timeout=SEEN_SECONDS)
        self._seen.discard(seen)
        return seen.done()

    async def _look_back(self, store: SharedStore) -> None:
        """A store that has less than it was told has lost it: all of it is told again."""
        untold = await self._untold(1)
        if await store.shipped(self._gateway, untold.journal) < untold.told:
            log.warning("the shared store has not all that it was told: all of the history is told again")
            await self._journal.commit(TellAgain())

    async def _untold(self, limit: int) -> Untold:
        untold = await self._journal.history.untold(limit)
        if untold is None:
            raise JournalError("it is not written down what is to be told the shared store")
        return untold

    async def _ship(self, store: SharedStore) -> bool:
        """Whether there may be more."""
        untold = await self._untold(AT_ONCE)
        if not untold.changes:
            if untold.sweep:
                await store.sweep(self._gateway, untold.journal, untold.generation)
                await self._journal.commit(Swept())
            return False
        for change in untold.changes:
            if change.kind != ROW:
                erasure = Erasure(change.kind, change.subject, int(change.at * MICRO))
                self._mine[erasure.key] = erasure.body
                await store.erase(erasure)
        rows = [one for one in untold.changes if one.kind == ROW]
        await store.ship(
            Shipment(
                gateway=self._gateway,
                journal=untold.journal,
                generation=untold.generation,
                position=untold.changes[-1].number,
                rows=tuple(self._shared(one, one.row) for one in rows if one.row is not None),
                gone=tuple(one.subject for one in rows if one.row is None),
            )
        )
        await self._journal.commit(ToldOthers(untold.changes[-1].number))
        return True

    async def _forget_as_asked(self, store: SharedStore, *, just_now: bool) -> None:
        untold = await self._untold(1)
        before = after = untold.erased if untold.epoch == self._epoch else 0
        async for entry in changes(store, ERASED, after):
            kind, _, subject = entry.key.partition(":")
            until = erased_until(entry.key, entry.body)
            if kind not in (UTTERANCE, USER) or not is_token(subject) or until < 0:
                self.garbage += 1
            elif self._mine.pop(entry.key, None) != entry.body:
                await self._forget(kind, subject, until / MICRO, just_now=just_now)
            after = entry.version
        if before != after or untold.epoch != self._epoch:
            await self._journal.commit(ForgotAsAsked(self._epoch, after))

    def _shared(self, change: Change, row: HistoryRow) -> SharedRow:
        now = time.time()
        since = min(row.spoken_at, now) if row.spoken_at > SET_SINCE else now
        return SharedRow(
            utterance_id=row.utterance_id,
            correlation_id=row.correlation_id,
            session_id=row.session_id,
            conversation_id=row.conversation_id,
            user_id=row.user_id,
            device_id=row.device_id,
            spoken=int(row.spoken_at * MICRO),
            words=change.words,
            replied=row.reply is not None and not row.reply.fallback,
            goes_at=since + self._days * DAY,
            record=msgpack.encode(replace(row, number=0, has_audio=False)),
        )


class StoredHistory:
    """``HouseHistory``, out of the shared store."""

    def __init__(
        self, find_store: Callable[[], SharedStore | None], shipping: Shipping, journal: SharedJournal
    ) -> None:
        """``find_store`` gives None while the store is away."""
        self._find_store = find_store
        self._shipping = shipping
        self._own = journal.history

    async def page(self, wanted: Selection, before: PageKey | None, limit: int) -> HousePage:
        """What was just said here is waited for."""
        store = self._store()
        whole = await self._shipping.caught_up()
        async with _in_time():
            found = await store.page(wanted, before, limit)
        if not whole:
            found = await self._not_erased(found)
        read = [HouseRow(one.gateway, row) for one in found.rows if (row := _read(one)) is not None]
        heard = await self._own.with_audio([one.row.utterance_id for one in read])
        rows = tuple(
            HouseRow(one.gateway, replace(one.row, has_audio=one.row.utterance_id in heard)) for one in read
        )
        return HousePage(rows, found.more, whole)

    async def utterance(self, utterance_id: str) -> HouseRow | None:
        """One that was heard elsewhere; those of this gateway are nearer."""
        store = self._store()
        async with _in_time():
            found = await store.utterance(utterance_id)
        row = None if found is None else _read(found)
        return None if row is None or found is None else HouseRow(found.gateway, row)

    async def caught_up(self) -> bool:
        """Whether the store knows what is known here."""
        return self._find_store() is not None and await self._shipping.caught_up()

    async def _not_erased(self, found: FoundPage) -> FoundPage:
        """Without what is to be erased and the store has yet to be told."""
        erased = await self._own.erasures()
        until = {f"{kind}:{subject}": math.inf if kind == UTTERANCE else at for kind, subject, at in erased}

        def stays(one: FoundRow) -> bool:
            row = _read(one)
            names = (f"{UTTERANCE}:{one.utterance_id}", f"{USER}:{row.user_id if row else ''}")
            return all(until.get(name, -1.0) * MICRO < one.spoken for name in names)

        return FoundPage(tuple(one for one in found.rows if stays(one)), found.more)

    def _store(self) -> SharedStore:
        if (store := self._find_store()) is None:
            raise HouseAway("the shared store is away")
        return store


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    """A question that fails or takes too long raises HouseAway."""
    try:
        async with asyncio.timeout(ASKED_SECONDS):
            yield
    except TimeoutError as error:
        raise HouseAway("the shared store does not answer in time") from error
    except StoreError as error:
        raise HouseAway(str(error)) from error


def _read(found: FoundRow) -> HistoryRow | None:
    """None: it is none of ours."""
    try:
        row = _row(found.record)
    except (ValueError, RecursionError):
        return None
    return row if row.utterance_id == found.utterance_id else None
