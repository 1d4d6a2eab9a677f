"""A fair queue for each class of urgency: what waits of one class leaves the others their room."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Generic, TypeVar

from transcription.priority import Precedence, Priority
from transcription.scheduling.fair_queue import FairQueue

Item = TypeVar("Item")


class ClassQueues(Generic[Item]):
    """Within a class owners take turns; which class is next, its owner decides, or ``get``, by precedence."""

    def __init__(self, capacity: int) -> None:
        """``capacity``: of each class. So nobody is refused because of others, be they above or below."""
        self.of: dict[Priority, FairQueue[Item]] = {one: FairQueue(capacity) for one in Priority}
        self._precedence = Precedence()

    def __len__(self) -> int:
        return sum(map(len, self.of.values()))

    def __iter__(self) -> Iterator[Item]:
        return chain.from_iterable(self.of.values())

    @property
    def classes(self) -> set[Priority]:
        """Of which something waits."""
        return {one for one, queue in self.of.items() if queue}

    def get(self) -> Item:
        """Take the next one. Raises ValueError when empty."""
        return self.of[self._precedence.take(self.classes)].get()
