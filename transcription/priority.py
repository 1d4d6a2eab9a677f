"""Who goes first where many wait: urgent before normal before background, and nobody starves. No I/O.

One rule for every queue of the house: the most urgent class that waits has the turn, but for a lower one that was
passed over so often that its tenth would be gone otherwise.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Collection
from typing import Generic, TypeVar

Item = TypeVar("Item")

TURNS = 10
"""Of so many turns in a row at least one is each class's that waits all the while."""


class Priority(enum.StrEnum):
    """How urgent what somebody says is; the most urgent first."""

    URGENT = "urgent"
    NORMAL = "normal"
    BACKGROUND = "background"

    @property
    def urgency(self) -> int:
        """0 of the least urgent."""
        return len(_CLASSES) - 1 - _CLASSES.index(self)


_CLASSES = tuple(Priority)
_PASSED_OVER = TURNS - len(_CLASSES) + 1
"""Where all lower classes are due in the same turn, the last of them still has its tenth."""


def priority_of(name: str) -> Priority:
    """What a message says, which may be from a later version: what nobody knows is normal."""
    try:
        return Priority(name)
    except ValueError:
        return Priority.NORMAL


class Precedence:
    """Which class has the next turn."""

    def __init__(self) -> None:
        self._passed_over = dict.fromkeys(Priority, 0)

    def next(self, waiting: Collection[Priority]) -> Priority:
        """Of those that wait, of which there is at least one."""
        due = [one for one in waiting if self._passed_over[one] >= _PASSED_OVER]
        return max(due, key=self._dueness) if due else max(waiting, key=lambda one: one.urgency)

    def take(self, waiting: Collection[Priority]) -> Priority:
        """As ``next``, and it has had its turn."""
        taken = self.next(waiting)
        for one in Priority:
            self._passed_over[one] = self._passed_over[one] + 1 if one in waiting and one is not taken else 0
        return taken

    def _dueness(self, one: Priority) -> tuple[int, int]:
        return self._passed_over[one], one.urgency


class UrgentFirst(Generic[Item]):
    """A queue: by precedence, and within a class in the order in which they came."""

    def __init__(self) -> None:
        self._precedence = Precedence()
        self._waiting: dict[Priority, deque[Item]] = {}  # none is empty

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put(self, item: Item, priority: Priority) -> None:
        """Append to its class."""
        self._waiting.setdefault(priority, deque()).append(item)

    def get(self) -> Item:
        """Take the next one. Raises ValueError when empty."""
        priority = self._precedence.take(self._waiting)
        waiting = self._waiting[priority]
        item = waiting.popleft()
        if not waiting:
            del self._waiting[priority]
        return item
