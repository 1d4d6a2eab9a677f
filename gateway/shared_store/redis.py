"""Redis as the shared store: hashes, and a sorted set by which changes are found; each change is one script.

What it holds is as safe as Redis is set up to be (``appendonly``). One that has lost it is another store to
everybody, and is filled again from what the gateways have.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from msgspec import Struct

from gateway.broker.address import Address
from gateway.broker.backends.redis import client_of, in_our_words
from gateway.broker.base import BrokerRefused, BrokerUnavailable
from gateway.journal.effects import UTTERANCE
from gateway.journal.history import Selection
from gateway.journal.of_house import PageKey
from gateway.journal.tables.search_words import terms
from gateway.settings.broker import BrokerSettings
from gateway.shared_store.place import StorePlace
from gateway.shared_store.port import (
    ERASED,
    MOST_ENTRIES,
    Entry,
    Erasure,
    FoundPage,
    FoundRow,
    Join,
    Pulse,
    SharedRow,
    Shipment,
    StoreFacts,
    StoreRefused,
    StoreUnavailable,
    keys_of,
    tie_of,
)

VERSION = 1
ANSWER_SECONDS = 5.0
AT_ONCE = 200
"""Rows of the history that are read, or go, at once."""
MOST_LOOKED_AT = 20_000
"""Rows that one question looks at."""
NOT_APPENDED = "appendonly is off: when it dies it loses what is newer than its last snapshot"
AGAIN = 50
"""So often a change is tried that others come before."""

_BEGIN = """
redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1])
redis.call('HSETNX', KEYS[1], 'last', '0')
redis.call('HSETNX', KEYS[1], 'version', ARGV[2])
return redis.call('HGET', KEYS[1], 'version')
"""
_PULSE = """
local now = tonumber(redis.call('TIME')[1])
if ARGV[2] == '1' then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
  redis.call('ZADD', KEYS[3], now, ARGV[1])
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - 60)) do
  redis.call('HDEL', KEYS[2], gone)
  redis.call('ZREM', KEYS[3], gone)
end
return {redis.call('HGET', KEYS[1], 'epoch'), redis.call('HGET', KEYS[1], 'last'), redis.call('HGETALL', KEYS[2])}
"""
_CHANGE = """
for i = 1, #ARGV, 3 do
  local found = redis.call('ZSCORE', KEYS[3], ARGV[i])
  if (found or '') ~= ARGV[i + 1] then return 0 end
end
for i = 1, #ARGV, 3 do
  local version = redis.call('HINCRBY', KEYS[1], 'last', 1)
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2])
  redis.call('ZADD', KEYS[3], version, ARGV[i])
end
return 1
"""


_SHIP = """
local rows, order, goes, erased, shipped = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local gateway, last = ARGV[1], 4 + 6 * tonumber(ARGV[4])
for i = last + 1, #ARGV do
  local old = redis.call('HGET', rows, ARGV[i])
  if old and string.match(old, '^([^\\n]*)\\n') == gateway then
    redis.call('HDEL', rows, ARGV[i])
    redis.call('ZREM', order, ARGV[i])
    redis.call('ZREM', goes, ARGV[i])
  end
end
for i = 5, last, 6 do
  local name, spoken = ARGV[i], tonumber(ARGV[i + 2])
  local until_ = tonumber(redis.call('HGET', erased, ARGV[i + 1]) or '-1') or -1
  local gone = redis.call('HEXISTS', erased, 'utterance:' .. name) == 1 or spoken <= until_
  local old = redis.call('HGET', rows, name)
  if old and not gone then
    local whose, replied = string.match(old, '^([^\\n]*)\\n(%d)\\n')
    if whose ~= gateway and replied == '1' and ARGV[i + 4] == '0' then gone = true end
  end
  if not gone then
    redis.call('HSET', rows, name, gateway .. '\\n' .. ARGV[i + 4] .. '\\n' .. ARGV[i + 5])
    redis.call('ZADD', order, ARGV[i + 2], name)
    redis.call('ZADD', goes, ARGV[i + 3], name)
  end
end
redis.call('HSET', shipped, gateway .. ' ' .. ARGV[2], ARGV[3])
return 1
"""
_DELETE = """
local gone = 0
for i = 1, #ARGV do
  gone = gone + redis.call('HDEL', KEYS[1], ARGV[i])
  redis.call('ZREM', KEYS[2], ARGV[i])
  redis.call('ZREM', KEYS[3], ARGV[i])
end
return gone
"""


class PackedRow(Struct, frozen=True, array_like=True):
    """A row as its field holds it, behind two lines: whose it is, and whether its answer is in it."""

    gateway: str
    journal: str
    generation: int
    row: SharedRow

    @property
    def found(self) -> FoundRow:
        """As whoever asks gets it."""
        return FoundRow(self.gateway, self.row.utterance_id, self.row.spoken, self.row.record)


def packed(row: SharedRow, shipment: Shipment) -> bytes:
    """Without its lines, which the script writes."""
    return msgspec.msgpack.encode(PackedRow(shipment.gateway, shipment.journal, shipment.generation, row))


def unpacked(body: bytes) -> PackedRow | None:
    """None: nobody of us wrote it."""
    try:
        return msgspec.msgpack.decode(body.split(b"\n", 2)[2], type=PackedRow)
    except (IndexError, msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _is_wanted(row: SharedRow, wanted: Selection, words: list[str]) -> bool:
    exact = ("session_id", "conversation_id", "device_id", "user_id")
    return (
        all(not getattr(wanted, name) or getattr(wanted, name) == getattr(row, name) for name in exact)
        and (not wanted.users or row.user_id in wanted.users)
        and (not wanted.devices or row.device_id in wanted.devices)
        and all(word in row.words for word in words)
    )


async def connect(place: StorePlace, *, only_look: bool = False) -> RedisStore:
    """Log in, and look whether it is of this version. Raises StoreUnavailable, StoreRefused."""
    address = Address(
        scheme=place.scheme,
        host=place.host,
        port=place.port,
        path=place.database,
        username=place.username,
        password=place.password,
        tls=place.tls,
        client_id="earshot-store",
        settings=BrokerSettings(connect_seconds=place.connect_seconds),
    )
    client = await asyncio.to_thread(client_of, address, ANSWER_SECONDS)
    store = RedisStore(place, address, client)
    try:
        await (store.facts() if only_look else store.begin())
    except BaseException:
        await store.close()
        raise
    return store


class RedisStore:
    """``SharedStore``."""

    def __init__(self, place: StorePlace, address: Address, client: Any) -> None:
        self._place = place
        self._address = address
        self._client = client
        self._about = self._key("about")
        self._is_closed = False

    async def begin(self) -> None:
        """Look what is there."""
        async with self._asking():
            found = await self._client.eval(_BEGIN, 1, self._about, secrets.token_hex(16), str(VERSION))
        self._check(found)

    async def facts(self) -> StoreFacts:
        """Some of it only where the user may ask."""
        async with self._asking():
            version = await self._client.hget(self._about, "version")
            seconds, micros = await self._client.time()
        if version is not None:
            self._check(version)
        try:
            async with self._asking():
                persistence = await self._client.info("persistence")
                memory = await self._client.info("memory")
        except StoreRefused:
            persistence, memory = {}, {}
        policy = memory.get("maxmemory_policy", "noeviction")
        weaknesses = (
            "" if persistence.get("aof_enabled", 1) else NOT_APPENDED,
            f"maxmemory-policy is {policy}: it drops what it holds" if policy != "noeviction" else "",
        )
        return StoreFacts(seconds + micros / 1e6, version is None, tuple(filter(None, weaknesses)))

    def _check(self, found: bytes) -> None:
        if not found.isdigit() or int(found) > VERSION:
            raise StoreRefused(
                f"{self._place} has keys of version {found.decode(errors='replace'):.20}, and this Earshot knows "
                f"{VERSION}",
                "update this gateway, too",
            )

    async def pulse(self, gateway: str, spent: bytes | None) -> Pulse:
        """One script."""
        keys = (self._about, self._key("spent"), self._key("spenders"))
        async with self._asking():
            epoch, last, flat = await self._client.eval(
                _PULSE, len(keys), *keys, gateway, "0" if spent is None else "1", spent or b""
            )
        if epoch is None:
            raise StoreUnavailable(f"{self._place} was emptied")
        others = {
            name.decode(errors="replace"): body for name, body in zip(flat[::2], flat[1::2], strict=True)
        }
        others.pop(gateway, None)
        return Pulse(epoch.decode(errors="replace"), int(last), others)

    async def entries(self, kind: str, after: int) -> list[Entry]:
        """By their versions; a body may be newer, and comes again then."""
        async with self._asking():
            found = await self._client.zrangebyscore(
                self._key("versions", kind), f"({after}", "+inf", start=0, num=MOST_ENTRIES, withscores=True
            )
            if not found:
                return []
            bodies = await self._client.hmget(self._key("entries", kind), [key for key, _ in found])
        return [
            Entry(key.decode(errors="replace"), body, int(version))
            for (key, version), body in zip(found, bodies, strict=True)
            if body is not None
        ]

    async def entry(self, kind: str, key: str) -> bytes | None:
        """By its key."""
        async with self._asking():
            body: bytes | None = await self._client.hget(self._key("entries", kind), key)
        return body

    async def change(self, kind: str, keys: Collection[str], join: Join) -> None:
        """Again, where somebody else has changed one of them in between."""
        for _ in range(AGAIN):
            if await self._try(kind, list(keys), join):
                return
        raise StoreUnavailable(f"{self._place}: others change the same all the time")

    async def drop(self, kind: str, keys: Collection[str]) -> None:
        """Their fields."""
        if not keys:
            return
        async with self._asking():
            await self._client.hdel(self._key("entries", kind), *keys)
            await self._client.zrem(self._key("versions", kind), *keys)

    # -- the history

    async def shipped(self, gateway: str, journal: str) -> int:
        """By its field."""
        async with self._asking():
            found = await self._client.hget(self._key("shipped"), f"{gateway} {journal}")
        return int(found) if (found or b"").isdigit() else 0

    async def ship(self, shipment: Shipment) -> None:
        """One script."""
        head = (shipment.gateway, shipment.journal, str(shipment.position), str(len(shipment.rows)))
        rows: list[Any] = []
        for row in shipment.rows:
            erased_by_user = keys_of(row)[1]
            rows += (
                row.utterance_id,
                erased_by_user,
                str(row.spoken),
                repr(row.goes_at),
                str(int(row.replied)),
            )
            rows.append(packed(row, shipment))
        await self._script(
            _SHIP, *self._places(), self._key("shipped"), arguments=(*head, *rows, *shipment.gone)
        )

    async def sweep(self, gateway: str, journal: str, generation: int) -> None:
        """Looks at all of them."""
        async with self._asking():
            async for utterance_id, body in self._client.hscan_iter(self._key("history"), count=AT_ONCE):
                one = unpacked(body)
                if one is None or (
                    (one.gateway, one.journal) == (gateway, journal) and one.generation < generation
                ):
                    await self._delete([utterance_id])

    async def prune(self) -> None:
        """By the server's clock."""
        async with self._asking():
            now, _ = await self._client.time()
            over = await self._client.zrangebyscore(
                self._key("history", "goes"), "-inf", now, start=0, num=AT_ONCE
            )
            await self._delete(over)

    async def page(self, wanted: Selection, before: PageKey | None, limit: int) -> FoundPage:
        """Looks at one after the other; after MOST_LOOKED_AT it is for whoever asks to go on."""
        found: list[FoundRow] = []
        looked_at, wanted_words = 0, terms(wanted.text)
        while looked_at < MOST_LOOKED_AT:
            some = await self._some_before(before)
            for one in some:
                before = PageKey(one.row.spoken, tie_of(one.row.utterance_id))
                if _is_wanted(one.row, wanted, wanted_words):
                    if len(found) == limit:
                        return FoundPage(tuple(found), found[-1].key)
                    found.append(one.found)
            if not some:
                return FoundPage(tuple(found), None)
            looked_at += len(some)
        return FoundPage(tuple(found), before)

    async def utterance(self, utterance_id: str) -> FoundRow | None:
        """By its id."""
        async with self._asking():
            body = await self._client.hget(self._key("history"), utterance_id)
        one = unpacked(body) if body is not None else None
        return None if one is None else one.found

    async def erase(self, erasure: Erasure) -> int:
        """From now on none comes any more; then what there is."""
        await self.change(ERASED, [erasure.key], erasure.joined)
        if erasure.kind == UTTERANCE:
            async with self._asking():
                return await self._delete([erasure.subject.encode()])
        erased = 0
        async with self._asking():
            async for utterance_id, body in self._client.hscan_iter(self._key("history"), count=AT_ONCE):
                one = unpacked(body)
                if one is not None and one.row.user_id == erasure.subject and one.row.spoken <= erasure.at:
                    erased += await self._delete([utterance_id])
        return erased

    async def _some_before(self, before: PageKey | None) -> list[PackedRow]:
        """Newest first, and none twice."""
        most = "+inf" if before is None else before.spoken
        async with self._asking():
            names = await self._client.zrevrangebyscore(
                self._key("history", "order"), most, "-inf", start=0, num=AT_ONCE
            )
            bodies = await self._client.hmget(self._key("history"), names) if names else []
        read = [one for one in (unpacked(body) for body in bodies if body is not None) if one is not None]
        read.sort(key=lambda one: (one.row.spoken, tie_of(one.row.utterance_id)), reverse=True)
        if before is None:
            return read
        last = (before.spoken, before.tie)
        return [one for one in read if (one.row.spoken, tie_of(one.row.utterance_id)) < last]

    async def _delete(self, utterances: list[bytes]) -> int:
        if not utterances:
            return 0
        gone: int = await self._client.eval(_DELETE, 3, *self._places()[:3], *utterances)
        return gone

    def _places(self) -> tuple[str, ...]:
        """Where the history is, and what is erased."""
        rows = self._key("history")
        return rows, f"{rows}:order", f"{rows}:goes", self._key("entries", ERASED)

    async def _script(self, script: str, *keys: str, arguments: tuple[Any, ...]) -> None:
        async with self._asking():
            await self._client.eval(script, len(keys), *keys, *arguments)

    async def close(self) -> None:
        """Its connections; whoever is under way closes theirs."""
        self._is_closed = True
        await asyncio.gather(self._client.aclose(), return_exceptions=True)

    # -- inside

    def _key(self, *parts: str) -> str:
        return ":".join(("earshot-store", self._place.name, *parts))

    async def _try(self, kind: str, keys: list[str], join: Join) -> bool:
        """Whether nobody came in between."""
        if not keys:
            return True
        async with self._asking():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.hmget(self._key("entries", kind), keys)
            pipeline.execute_command("ZMSCORE", self._key("versions", kind), *keys)
            bodies, scores = await pipeline.execute()
        standing = {key: body for key, body in zip(keys, bodies, strict=True) if body is not None}
        versions = dict(zip(keys, scores, strict=True))
        wanted = join(standing)
        if not wanted:
            return True
        change: list[Any] = []
        for key, body in wanted.items():
            version = versions.get(key)
            change += (key, "" if version is None else str(int(version)), body)
        places = (self._about, self._key("entries", kind), self._key("versions", kind))
        async with self._asking():
            return bool(await self._client.eval(_CHANGE, len(places), *places, *change))

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """What the client says, in our words. It would connect again for whoever asks after it was closed."""
        if self._is_closed:
            raise StoreUnavailable(f"{self._place}: the connection was closed")
        try:
            with in_our_words(self._address):
                yield
        except BrokerRefused as error:
            raise StoreRefused(
                str(error), "correct house.store or house.store_password_file, or its user's rights"
            ) from error
        except BrokerUnavailable as error:
            is_full = "out of memory" in str(error)
            remedy = "raise its maxmemory" if is_full else "start it, or correct house.store"
            raise StoreUnavailable(str(error), remedy) from error
        finally:
            if self._is_closed:
                await self.close()
