"""Limits that hold for the whole house: what each gateway lets through is told the others with the next pulse. No I/O.

A gateway decides by itself, at once; what others have let through counts for it a pulse or two later. Somebody who asks
several gateways at the same moment has the burst of each, and then waits until the house has made up for all of it.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from typing import TypeAlias

import msgspec
from msgspec import Struct

from gateway.access.limits import Buckets

MOST_KEYS = 1_000
"""Addresses and tokens of which others are told, of each limit: those that have had most lately."""
MOST_GATEWAYS = 256
IDLE_BEATS = 120
"""One that takes nothing for so many pulses is not told of any more."""

Totals: TypeAlias = dict[str, dict[str, float]]


class Spent(Struct, frozen=True, array_like=True):
    """What one gateway has let through since its run began, by limit and by key: told again, it counts once."""

    run: str
    totals: Totals


class SharedLimits:
    """Not for two stores at once."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(8)
        self._totals: Totals = {}
        self._idle: dict[tuple[str, str], int] = {}
        self._seen: dict[str, Spent] = {}
        self._begun = self._has_listened = False
        self.garbage = 0
        """What others are said to have let through, and cannot be read."""

    def forget(self) -> None:
        """There was no store for a while: what was let through then is nobody else's matter."""
        self._begun = self._has_listened = False
        self._seen.clear()

    def tell(self, limits: Mapping[str, Buckets]) -> bytes | None:
        """What the others are to know; None: nothing new."""
        news = False
        for name, buckets in limits.items():
            taken = buckets.taken()
            if not self._begun:
                continue
            totals = self._totals.setdefault(name, {})
            for key, amount in sorted(taken.items(), key=lambda one: -one[1])[:MOST_KEYS]:
                totals[key] = totals.pop(key, 0.0) + amount
                self._idle.pop((name, key), None)
                self._idle[name, key] = 0
                news = True
        self._begun = True
        self._make_room()
        return msgspec.msgpack.encode(Spent(self._run, self._totals)) if news else None

    def learn(self, others: Mapping[str, bytes], limits: Mapping[str, Buckets], now: float) -> None:
        """What others have let through counts here, too. Of one that was not seen before, from now on."""
        seen, first = {}, not self._has_listened
        for gateway, body in others.items():
            spent = _read(body)
            if spent is None:
                self.garbage += 1
                continue
            seen[gateway] = spent
            before = self._seen.get(gateway)
            if before is None and first:
                continue
            totals = before.totals if before is not None and before.run == spent.run else {}
            for name, amounts in spent.totals.items():
                if (buckets := limits.get(name)) is not None:
                    _count(buckets, amounts, totals.get(name, {}), now)
        self._seen, self._has_listened = dict(list((self._seen | seen).items())[-MOST_GATEWAYS:]), True

    def _make_room(self) -> None:
        for (name, key), beats in list(self._idle.items()):
            if beats >= IDLE_BEATS or len(self._totals[name]) > MOST_KEYS:
                del self._idle[name, key]
                del self._totals[name][key]
            else:
                self._idle[name, key] = beats + 1


def _count(buckets: Buckets, amounts: Mapping[str, float], before: Mapping[str, float], now: float) -> None:
    for key, total in amounts.items():
        known = before.get(key, 0.0)
        amount = total - known if total >= known else total
        if amount > 0:
            buckets.taken_elsewhere(key, now, amount)


def _read(body: bytes) -> Spent | None:
    try:
        spent = msgspec.msgpack.decode(body, type=Spent)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    sound = all(
        len(amounts) <= MOST_KEYS and all(math.isfinite(amount) for amount in amounts.values())
        for amounts in spent.totals.values()
    )
    return spent if sound else None
