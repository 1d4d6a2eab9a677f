"""Redis as the shared store: hashes, and a sorted set by which changes are found; each change is one script.

What it holds is as safe as Redis is set up to be (``appendonly``). One that has lost it is another store to
everybody, and is filled again from what the gateways have.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from gateway.broker.address import Address
from gateway.broker.backends.redis import client_of, in_our_words
from gateway.broker.base import BrokerRefused, BrokerUnavailable, BufferFull
from gateway.settings.broker import BrokerSettings
from gateway.shared_store.place import StorePlace
from gateway.shared_store.port import MOST_ENTRIES, Entry, Join, Pulse, StoreRefused, StoreUnavailable

VERSION = 1
ANSWER_SECONDS = 5.0
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


async def connect(place: StorePlace) -> RedisStore:
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
        await store.begin()
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

    async def begin(self) -> None:
        """Look what is there."""
        with self._translated():
            found = await self._client.eval(_BEGIN, 1, self._about, secrets.token_hex(16), str(VERSION))
        if not found.isdigit() or int(found) > VERSION:
            raise StoreRefused(
                f"{self._place} has keys of version {found.decode(errors='replace'):.20}, and this Earshot knows "
                f"{VERSION}",
                "update this gateway, too",
            )

    async def pulse(self, gateway: str, spent: bytes | None) -> Pulse:
        """One script."""
        keys = (self._about, self._key("spent"), self._key("spenders"))
        with self._translated():
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
        with self._translated():
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
        with self._translated():
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
        with self._translated():
            await self._client.hdel(self._key("entries", kind), *keys)
            await self._client.zrem(self._key("versions", kind), *keys)

    async def close(self) -> None:
        """Its connections."""
        await asyncio.gather(self._client.aclose(), return_exceptions=True)

    # -- inside

    def _key(self, *parts: str) -> str:
        return ":".join(("earshot-store", self._place.name, *parts))

    async def _try(self, kind: str, keys: list[str], join: Join) -> bool:
        """Whether nobody came in between."""
        if not keys:
            return True
        with self._translated():
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
        with self._translated():
            return bool(await self._client.eval(_CHANGE, len(places), *places, *change))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with in_our_words(self._address):
                yield
        except BrokerRefused as error:
            raise StoreRefused(
                str(error), "correct house.store or house.store_password_file, or its user's rights"
            ) from error
        except (BrokerUnavailable, BufferFull) as error:
            raise StoreUnavailable(str(error), "start it, or correct house.store") from error
