"""Tokens and signed-in pages of the whole house: what lies on the disk here and what is in the store, joined.

Whichever of two ends of a token is the earlier holds, so neither order nor time makes any difference, and an end is
never undone: not by a gateway that was away, nor by a store that was restored from a backup. The file beside the
journal stays what the door looks at; it goes on while the store is away, for ``house.store_away_days``.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from gateway.access.common_door import CommonDoor
from gateway.access.private_files import Stamp, read_private, write_private
from gateway.access.tokens import MAX_SCOPE, Token, TokenFile, joined
from gateway.contract.messages import is_device_token, is_token
from gateway.process.clock import DAY
from gateway.shared_store.port import MOST_ENTRIES, Entry, SharedStore, StoreError

log = structlog.get_logger(__name__)

TOKENS = "tokens"
PAGES = "pages"
FILE = "store.json"
KEPT_EVERY = 600.0
"""How often it is written down that the store is there."""
LOOKED_FOR = 8
"""Pages that are looked for at the same time; others have to sign in."""
LOOK_SECONDS = 0.5
UNJOINED: Stamp = (0, 0, 0)
"""No file's: what is known has yet to be written down."""
AWAY = "the shared store has been away for too long"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FIELDS = frozenset(Token.__struct_fields__)


class _Contact(Struct, frozen=True):
    """When the store was last heard of, in Unix seconds."""

    heard_at: float


class SharedTokens:
    """``step`` is called with every pulse. Times are Unix seconds."""

    def __init__(
        self, folder: Path, common_door: CommonDoor, away_days: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Reads a file."""
        self._file = TokenFile(folder, clock)
        self._path = folder / FILE
        self._common_door = common_door
        self._away = away_days * DAY
        self._clock = clock
        self.garbage: set[str] = set()
        """What there is in the store that is no token."""
        self._heard_at, self._kept_at = self._read_contact(), -math.inf
        self.forget()

    def forget(self) -> None:
        """It is another store: all is told again."""
        self._known: dict[str, Token] = {}
        self._version = 0
        self._stamp: Stamp = UNJOINED
        self._pages: dict[str, tuple[str, float]] = {}
        self._pages_version = 0
        self._pages_told: dict[str, tuple[str, float]] = {}

    async def step(self, store: SharedStore, version: int) -> None:
        """Tell the store what it does not know, and the file what is news. Raises StoreError and TokenError."""
        await self._learn(store, version)
        stamp = self._file.stamp()
        if stamp != self._stamp:
            mine = (await asyncio.to_thread(self._file.read)).tokens
            await self._tell(store, mine)
            changed = await asyncio.to_thread(self._file.join, self._known.values()) if self._known else False
            self._stamp = self._file.stamp() if changed else stamp
            if changed and self._common_door.door is not None:
                await self._common_door.door.look_again()
        await self._step_pages(store, version)
        self._version = version
        await self._keep_contact()

    def doubt(self, token: Token) -> str:
        """Why a token is not believed: it ended, though that cannot be written down; or its end may have been missed.

        One made here since the store was last there is believed.
        """
        if (known := self._known.get(token.token_id)) is not None and (
            problem := known.problem(self._clock())
        ):
            return problem
        if self._clock() < self._heard_at + self._away or token.made_at > self._heard_at:
            return ""
        return AWAY

    # -- tokens

    async def _learn(self, store: SharedStore, version: int) -> None:
        if version == self._version:
            return
        async for entry in changes(store, TOKENS, self._version):
            token = read_token(entry)
            if token is None:
                self.garbage.add(entry.key[:80])
            elif self._known.get(token.token_id) != token:
                self._known[token.token_id] = token
                self._stamp = UNJOINED

    async def _tell(self, store: SharedStore, mine: Mapping[str, Token]) -> None:
        over = await asyncio.to_thread(self._file.over, [*mine.values(), *self._known.values()])
        unknown = {
            token_id: token
            for token_id, token in mine.items()
            if token_id not in over
            and ((known := self._known.get(token_id)) is None or joined(known, token) != known)
        }
        for some in _some_of(unknown):
            await tell_tokens(store, [unknown[token_id] for token_id in some])
            for token_id in some:
                known = self._known.get(token_id)
                self._known[token_id] = joined(known, unknown[token_id]) if known else unknown[token_id]
        if gone := over & self._known.keys():
            await store.drop(TOKENS, gone)
            for token_id in gone:
                del self._known[token_id]

    # -- pages

    async def _step_pages(self, store: SharedStore, version: int) -> None:
        door = self._common_door.door
        if door is None:
            return
        door.sessions.are_shared = True
        if version != self._pages_version:
            told: dict[str, tuple[str, float]] = {}
            async for entry in changes(store, PAGES, self._pages_version):
                if (page := read_page(entry)) is not None:
                    told[entry.key] = page
            self._pages |= told
            if await asyncio.to_thread(door.sessions.join, told):
                await door.look_again()
            self._pages_version = version
        mine = door.sessions.all()
        if mine == self._pages_told:
            return
        unknown = {key: page for key, page in mine.items() if self._pages.get(key, ("", 1e18))[1] > page[1]}
        for some in _some_of(unknown):
            pages = {key: unknown[key] for key in some}
            await store.change(PAGES, some, partial(_joined_pages, mine=pages))
            self._pages |= pages
        self._pages_told = mine
        over = [key for key, (_, until) in self._pages.items() if abs(until) < self._clock()]
        if over:
            await store.drop(PAGES, over)
            for key in over:
                del self._pages[key]

    # -- when it was there

    async def _keep_contact(self) -> None:
        self._heard_at = self._clock()
        if not self._kept_at <= self._heard_at < self._kept_at + KEPT_EVERY:
            self._kept_at = self._heard_at
            await asyncio.to_thread(self._write_contact)

    def _read_contact(self) -> float:
        """Before it was ever there, nothing came from it: from now on."""
        try:
            return msgspec.json.decode(read_private(self._path), type=_Contact).heard_at
        except FileNotFoundError:
            return self._clock()
        except (OSError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
            log.warning("it is not known when the shared store was last there", reason=str(error))
            return self._clock()

    def _write_contact(self) -> None:
        try:
            data = msgspec.json.encode(_Contact(self._heard_at))
            write_private(self._path, data, cramped=data)
        except OSError as error:
            log.warning("it cannot be kept when the shared store was there", reason=str(error))


async def tell_tokens(store: SharedStore, tokens: Iterable[Token]) -> None:
    """Have the store know of these what is known here. Raises StoreError."""
    mine = {token.token_id: token for token in tokens}

    def join(there: Mapping[str, bytes]) -> Mapping[str, bytes]:
        wanted = {}
        for token_id, token in mine.items():
            standing = there.get(token_id)
            known = read_token(Entry(token_id, standing, 0)) if standing is not None else None
            whole = token if known is None else joined(known, token)
            if whole != known:
                wanted[token_id] = msgspec.json.encode(whole)
        return wanted

    if mine:
        await store.change(TOKENS, mine.keys(), join)


async def changes(store: SharedStore, kind: str, after: int) -> AsyncIterator[Entry]:
    """All that has changed since, some at a time."""
    while some := await store.entries(kind, after):
        for entry in some:
            yield entry
        if len(some) < MOST_ENTRIES:
            return
        after = some[-1].version


def read_token(entry: Entry) -> Token | None:
    """None: it is no token, or not one that this version could have made."""
    try:
        fields = msgspec.json.decode(entry.body, type=dict[str, msgspec.Raw])
        known = {name: msgspec.json.decode(value) for name, value in fields.items() if name in _FIELDS}
        token = msgspec.convert(known, Token)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
        return None
    names = [token.name, *token.users]
    sound = (
        token.token_id == entry.key
        and _DIGEST.fullmatch(token.digest) is not None
        and all(map(is_token, names))
        and all(map(is_device_token, token.devices))
        and len(token.users) <= MAX_SCOPE
        and len(token.devices) <= MAX_SCOPE
    )
    return token if sound else None


def read_page(entry: Entry) -> tuple[str, float] | None:
    """None: it is none."""
    try:
        token_id, until = msgspec.json.decode(entry.body, type=tuple[str, float])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return (token_id, until) if _DIGEST.fullmatch(entry.key) and len(token_id) <= 80 else None


def _joined_pages(there: Mapping[str, bytes], mine: Mapping[str, tuple[str, float]]) -> dict[str, bytes]:
    """A page that signed out somewhere is signed out."""
    wanted = {}
    for key, page in mine.items():
        known = read_page(Entry(key, there[key], 0)) if key in there else None
        if known is None or page[1] < known[1]:
            wanted[key] = msgspec.json.encode(page)
    return wanted


def _some_of(keys: Iterable[str]) -> Iterable[list[str]]:
    whole = list(keys)
    for begin in range(0, len(whole), MOST_ENTRIES):
        yield whole[begin : begin + MOST_ENTRIES]


class PageLookup:
    """Finds a page at once that signed in elsewhere a moment ago: whoever asks next is asked of this gateway."""

    def __init__(self, common_door: CommonDoor, store: SharedStore) -> None:
        self._common_door = common_door
        self._store = store
        self._under_way = 0

    async def look_for(self, digest: str) -> None:
        """Within LOOK_SECONDS, and for a few at a time."""
        door = self._common_door.door
        if door is None or self._under_way >= LOOKED_FOR:
            return
        self._under_way += 1
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                body = await self._store.entry(PAGES, digest)
            page = read_page(Entry(digest, body, 0)) if body is not None else None
            if page is not None:
                await asyncio.to_thread(door.sessions.join, {digest: page})
        except (TimeoutError, StoreError):
            return
        finally:
            self._under_way -= 1
