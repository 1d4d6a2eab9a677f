"""What refusals, tokens and boots show in their pattern: somebody who tries, a token in two hands, a device that dies.

Told each fact as it happens, whether it is written down or not. No I/O; what is remembered is bounded.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import TypeVar

from gateway.alerting.alerts import Amiss

TRIES = 10
TRIES_SECONDS = 60.0
"""So many refusals of one address within that are no mistake."""
PLACES_SECONDS = 60.0
"""A token that comes from here, from there, and from here again within that is in two hands."""
BOOTS = 5
BOOTS_SECONDS = 600.0
"""A device that has begun anew so often within that does not last."""
HELD_SECONDS = 600.0
"""So long it is amiss after the last time."""
MOST = 256
"""Addresses, tokens and devices that are remembered."""


class Intruders:
    """``now``: monotonic seconds, everywhere."""

    def __init__(self) -> None:
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()
        self._places: OrderedDict[str, deque[tuple[str, float]]] = OrderedDict()
        self._boots: OrderedDict[str, deque[tuple[int, float]]] = OrderedDict()
        self._found: OrderedDict[tuple[str, str], float] = OrderedDict()

    def refused(self, address: str, now: float) -> None:
        """Somebody there was not let in."""
        tries = _of(self._tries, address, TRIES)
        tries.append(now)
        if len(tries) == TRIES and now - tries[0] <= TRIES_SECONDS:
            self._note("door", address, now)

    def used(self, token: str, address: str, now: float) -> None:
        """A token, by its name, has let somebody in from there."""
        places = _of(self._places, token, 3)
        if places and places[-1][0] == address:
            places[-1] = (address, now)
            return
        places.append((address, now))
        if len(places) == 3 and places[0][0] == address and now - places[0][1] <= PLACES_SECONDS:
            self._note("token", token, now)

    def booted(self, device_id: str, boot: int, now: float) -> None:
        """A device has said hello."""
        boots = _of(self._boots, device_id, BOOTS)
        if boots and boots[-1][0] == boot:
            return
        boots.append((boot, now))
        if len(boots) == BOOTS and now - boots[0][1] <= BOOTS_SECONDS:
            self._note("boots", device_id, now)

    def amiss(self, now: float) -> Iterator[Amiss]:
        """What was found lately: one alert of each kind, however many there are."""
        for key in [key for key, at in self._found.items() if now - at > HELD_SECONDS]:
            del self._found[key]
        if who := self._who("door"):
            yield Amiss(
                name="door", urgent=True, at_once=True, shown="somebody tries to come in, again and again",
                text=f"{who} tries to come in, again and again",
                remedy="see audit.log; keep that address out, or revoke what it has (earshot token list)",
            )  # fmt: skip
        if who := self._who("token"):
            yield Amiss(
                name="token in two hands", urgent=True, at_once=True, shown="a token is used from two places at once",
                text=f"the token {who} is used from two places at once",
                remedy="if it is not yours twice: earshot token rotate NAME",
            )  # fmt: skip
        if who := self._who("boots"):
            yield Amiss(
                name="devices restart", at_once=True, shown="a device begins anew, again and again",
                text=f"{who} begins anew, again and again",
                remedy="its power supply first, then its log (earshot devices log); or two boards have one id",
            )  # fmt: skip

    def _note(self, kind: str, who: str, now: float) -> None:
        self._found[kind, who] = now
        if len(self._found) > MOST:
            self._found.popitem(last=False)

    def _who(self, kind: str) -> str:
        names = [who for one, who in self._found if one == kind]
        return f"{names[0]} (and {len(names) - 1} more)" if len(names) > 1 else "".join(names)


_Fact = TypeVar("_Fact")


def _of(table: OrderedDict[str, deque[_Fact]], key: str, most: int) -> deque[_Fact]:
    found = table.get(key)
    if found is None:
        found = table[key] = deque(maxlen=most)
        if len(table) > MOST:
            table.popitem(last=False)
    table.move_to_end(key)
    return found
