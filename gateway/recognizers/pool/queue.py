"""What waits here to be sent to the pool: in its owner's turn, and by its urgency. No I/O."""

from __future__ import annotations

from collections.abc import Callable

from gateway.recognizers.pool.order import Order
from transcription.errors import QueueFull
from transcription.priority import Precedence, Priority
from transcription.scheduling.class_queues import ClassQueues


class PoolQueue:
    """Finished utterances and guesses first, then looks, then what is behind all; as the gateway's own queue."""

    def __init__(self, capacity: int) -> None:
        self._finished: ClassQueues[Order] = ClassQueues(capacity)
        self._behind: ClassQueues[Order] = ClassQueues(capacity)
        self._precedence = Precedence()
        self._stranded: list[Order] = []
        """For which nobody was there when it was their turn: the others go on."""

    def __len__(self) -> int:
        """How many finished utterances wait."""
        return len(self._finished) + sum(not one.behind for one in self._stranded)

    def load(self, priority: Priority) -> float:
        """How much of the room for finished utterances of a class is taken: 1.0 is all of it."""
        queue = self._finished.of[priority]
        stranded = sum(one.priority is priority and not one.behind for one in self._stranded)
        return (len(queue) + stranded) / queue.capacity

    def put(self, order: Order) -> None:
        """Raises QueueFull, unless it is kept."""
        if not order.kept and not order.behind and self.load(order.priority) >= 1:
            raise QueueFull(f"{len(self)} utterances wait already")
        self._of(order).of[order.priority].put(order.owner, order, always=order.kept)

    def put_back(self, order: Order) -> None:
        """What was taken is its owner's next."""
        self._of(order).of[order.priority].put_back(order.owner, order)

    def discard(self, order: Order) -> bool:
        """Take it out; whether it waited."""
        if order in self._stranded:
            self._stranded.remove(order)
            return True
        return any(
            queues.of[order.priority].discard(order.owner, order) for queues in (self._finished, self._behind)
        )

    def take(self, served: Callable[[Order], bool], has_room: Callable[[Order], bool]) -> Order | None:
        """The next, if there is room for it. Those for which nobody is there are passed over, until somebody is."""
        for one in [one for one in self._stranded if served(one)]:
            self._stranded.remove(one)
            self.put_back(one)
        for queues in (self._finished, self._behind):
            while classes := queues.classes:
                queue = queues.of[self._precedence.next(classes)]
                order = queue.get_if(lambda one: not served(one) or has_room(one))
                if order is None:
                    return None
                self._precedence.take(classes)
                if served(order):
                    return order
                self._stranded.append(order)
        return None

    def _of(self, order: Order) -> ClassQueues[Order]:
        return self._behind if order.behind else self._finished
