"""Who is next: owners take turns in rounds, and within a round and an owner the oldest goes first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import Generic, TypeVar

from transcription.errors import QueueFull

Item = TypeVar("Item")

_OLDEST = 0


class FairQueue(Generic[Item]):
    """A bounded queue in which no owner can starve the others.

    In each round every owner is served once, in the order in which their oldest came: where all are equally
    patient, the one whose deadline is next. One owner may fill at most half of the capacity, so that there
    is room for the others too. Nothing is ever dropped: what does not fit is refused.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._share = max(1, capacity // 2)
        self._length = 0
        self._ages = count(_OLDEST + 1)
        self._waiting: dict[str, deque[tuple[int, Item]]] = {}  # by owner; none is empty
        self._served: set[str] = set()  # owners that had their turn in this round

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Item]:
        """All that wait, each owner's oldest first."""
        return (item for waiting in self._waiting.values() for _, item in waiting)

    def put(self, owner: str, item: Item, *, always: bool = False) -> None:
        """Append. Raises QueueFull, unless it is to be taken ``always``: who says so bounds it otherwise."""
        own = len(self._waiting.get(owner, ()))
        if not always and self._length >= self.capacity:
            raise QueueFull(f"{self._length} utterances wait already")
        if not always and own >= self._share:
            raise QueueFull(f"{own} utterances of {owner} wait already")
        self._waiting.setdefault(owner, deque()).append((next(self._ages), item))
        self._length += 1

    def put_back(self, owner: str, item: Item) -> None:
        """Return what was taken, which is never refused. It is its owner's next, in the next round."""
        self._waiting.setdefault(owner, deque()).appendleft((_OLDEST, item))
        self._served.add(owner)
        self._length += 1

    def get(self) -> Item:
        """Take the next one. Raises KeyError when empty."""
        if not self._waiting:
            raise KeyError("nothing waits")
        return self._take(self._next())

    def get_if(self, fits: Callable[[Item], bool]) -> Item | None:
        """Take the next one if it ``fits``; None if it does not, or nothing waits."""
        if not self._waiting:
            return None
        owner = self._next()
        return self._take(owner) if fits(self._waiting[owner][0][1]) else None

    def _next(self) -> str:
        """The owner whose turn it is."""
        if self._waiting.keys() <= self._served:
            self._served.clear()
        return min(self._waiting.keys() - self._served, key=lambda owner: self._waiting[owner][0][0])

    def _take(self, owner: str) -> Item:
        self._served.add(owner)
        item = self._waiting[owner].popleft()[1]
        self._taken(owner)
        return item

    def discard(self, owner: str, item: Item) -> bool:
        """Take this one out of turn; whether it was there."""
        for entry in self._waiting.get(owner, ()):
            if entry[1] is item or entry[1] == item:
                self._waiting[owner].remove(entry)
                self._taken(owner)
                return True
        return False

    def _taken(self, owner: str) -> None:
        self._length -= 1
        if not self._waiting[owner]:
            del self._waiting[owner]
        if not self._waiting:
            self._served.clear()  # else every owner that ever was
