"""How often somebody may: token buckets in a bounded table. No I/O and no clock."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict

from msgspec import Struct

from firmware_bridge.pacing import Allowance
from gateway.access.loopback import plain_address

MAX_KEYS = 4_096
"""Somebody who was away longest is forgotten first, and begins with a full bucket."""


LONGEST_DEBT = 10.0
"""What others took at once keeps nobody out for longer, in seconds."""


class Rate(Struct, frozen=True):
    """So many a second, and so many at once. ``per_second`` 0: no limit."""

    per_second: float
    burst: float


class Buckets:
    """One bucket for each key; a key is an address, or a token's id."""

    def __init__(self, rate: Rate, max_keys: int = MAX_KEYS) -> None:
        self._rate = rate
        self._max_keys = max_keys
        self._buckets: OrderedDict[str, Allowance] = OrderedDict()
        self.refused = 0
        self._told: dict[str, float] | None = None

    def __len__(self) -> int:
        return len(self._buckets)

    def taken(self) -> dict[str, float]:
        """What was taken of each key since this was asked before, for whoever tells others; at first nothing."""
        told, self._told = self._told, {}
        return told or {}

    def taken_elsewhere(self, key: str, now: float, amount: float) -> None:
        """The same that others tell: it counts here, too. At most what is made up for in LONGEST_DEBT."""
        if self._rate.per_second > 0:
            self._spend(key, now, min(amount, self._rate.burst + self._rate.per_second * LONGEST_DEBT))

    def take(self, key: str, now: float, amount: float = 1.0) -> float:
        """Take ``amount``; 0 when it was there, else how many seconds until it will be, and nothing is taken."""
        missing = amount - self._bucket(key, now).left(now)
        if missing <= 0 or self._rate.per_second <= 0:
            self.owe(key, now, amount)
            return 0.0
        self.refused += 1
        return missing / self._rate.per_second

    def owe(self, key: str, now: float, amount: float) -> float:
        """Take what was used already; how many seconds to wait until that is made up for."""
        if self._rate.per_second <= 0:
            return 0.0
        if self._told is not None and (key in self._told or len(self._told) < self._max_keys):
            self._told[key] = self._told.get(key, 0.0) + amount
        return max(0.0, -self._spend(key, now, amount).left(now) / self._rate.per_second)

    def _spend(self, key: str, now: float, amount: float) -> Allowance:
        bucket = self._buckets[key] = self._bucket(key, now)
        bucket.spend(amount)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)
        return bucket

    def _bucket(self, key: str, now: float) -> Allowance:
        return self._buckets.get(key) or Allowance(self._rate.burst, self._rate.per_second, now)


class Crowd:
    """How many there are at once of one address; ``most`` 0: as many as like."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._there: Counter[str] = Counter()

    def reached(self, address: str) -> str:
        """The limit that leaves no room for one more; empty: there is room."""
        if not self._most or self._there[address] < self._most:
            return ""
        return f"{self._most} connections from one address (web.limits.connections_per_address)"

    def come(self, address: str) -> None:
        """One more."""
        self._there[address] += 1

    def leave(self, address: str) -> None:
        """One less."""
        self._there[address] -= 1
        if self._there[address] <= 0:
            del self._there[address]


def address_key(address: str) -> str:
    """Who counts as one: an IPv4 address, or the /64 that a house has of IPv6."""
    try:
        ip = plain_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address) and not ip.is_loopback:
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
