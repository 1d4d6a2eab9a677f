"""What waits at a buffer, by urgency: messages to be taken, and publishers for whose message there is no room."""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeAlias, TypeVar

from gateway.broker.base import Message
from gateway.contract.messages import PRIORITY_HEADER
from transcription.priority import Precedence, Priority, priority_of

Place: TypeAlias = "asyncio.Future[bool]"


class Numbered(Protocol):
    """A message's place among those of its buffer."""

    message: Message
    sequence: int


One = TypeVar("One", bound=Numbered)


@dataclass(slots=True)
class _Line(Generic[One]):
    """The messages of one class; all that were returned are older than the fresh."""

    fresh: deque[One] = field(default_factory=deque)
    returned: list[tuple[int, One]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.fresh) + len(self.returned)

    def get(self) -> One:
        """Take the oldest."""
        return heapq.heappop(self.returned)[1] if self.returned else self.fresh.popleft()


@dataclass(slots=True)
class _Session:
    """In which class its messages wait, and how many of them."""

    priority: Priority
    waiting: int = 0


class Undelivered(Generic[One]):
    """Urgent ones first, each class with its turns, and a session in its order.

    What a session says waits in the class of what it said before, as long as that waits, too. A buffer in which
    everything is normal, as nearly all are, costs nothing of this.
    """

    def __init__(self) -> None:
        self._lines: dict[Priority, _Line[One]] = {one: _Line() for one in Priority}
        self._normal = self._lines[Priority.NORMAL]
        self._fresh, self._returned = self._normal.fresh, self._normal.returned
        self._precedence = Precedence()
        self._plain = True  # no other class has waited since all was taken
        self._sessions: dict[str, _Session] = {}  # of those that wait, unless it is plain

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def append(self, one: One) -> None:
        """A new one, younger than all others."""
        if self._plain and PRIORITY_HEADER not in one.message.headers:
            self._fresh.append(one)
        else:
            self._line(one.message).fresh.append(one)

    def put_back(self, one: One) -> None:
        """One that was taken, older than all that is new."""
        heapq.heappush(self._line(one.message).returned, (one.sequence, one))

    def get(self) -> One | None:
        """Take the next one."""
        if self._plain and not self._returned:
            return self._fresh.popleft() if self._fresh else None
        if self._plain:
            return self._normal.get()
        classes = self._classes
        if not classes:
            self._plain = True
            return None
        return self._taken(self._lines[self._precedence.take(classes)].get())

    def drop(self, message: Message) -> One | None:
        """Take the oldest of the least urgent; None: nothing waits that has to go before ``message``."""
        least = min(self._classes, key=lambda one: one.urgency, default=None)
        if least is None or least.urgency > _priority(message).urgency:
            return None
        return self._taken(self._lines[least].get())

    def clear(self) -> list[One]:
        """Take all, in the order in which they came."""
        lines = self._lines.values()
        everything = [one for line in lines for one in (*line.fresh, *(one for _, one in line.returned))]
        for line in lines:
            line.fresh.clear()
            line.returned.clear()
        self._sessions.clear()
        self._plain = True
        return sorted(everything, key=lambda one: one.sequence)

    @property
    def _classes(self) -> list[Priority]:
        return [one for one, line in self._lines.items() if line.returned or line.fresh]

    def _line(self, message: Message) -> _Line[One]:
        """Where it waits."""
        priority = _priority(message)
        if self._plain and priority is Priority.NORMAL:
            return self._normal
        if self._plain:
            self._plain = False
            for one in (*self._normal.fresh, *(one for _, one in self._normal.returned)):
                self._session(one.message, Priority.NORMAL).waiting += 1
        session = self._session(message, priority)
        session.waiting += 1
        return self._lines[session.priority]

    def _session(self, message: Message, priority: Priority) -> _Session:
        return self._sessions.setdefault(message.routing_key.session, _Session(priority))

    def _taken(self, one: One) -> One:
        if not self._plain:
            name = one.message.routing_key.session
            session = self._sessions[name]
            session.waiting -= 1
            if not session.waiting:
                del self._sessions[name]
        return one


class Parked:
    """Publishers, each with its message, that wait to be let in."""

    def __init__(self) -> None:
        self._places: dict[Priority, OrderedDict[Place, Message]] = {}  # none is empty
        self._precedence = Precedence()

    def __bool__(self) -> bool:
        return bool(self._places)

    def append(self, place: Place, message: Message) -> None:
        """Behind those of its class."""
        self._places.setdefault(_priority(message), OrderedDict())[place] = message

    def next(self) -> tuple[Place, Message]:
        """Who is let in next; there is somebody."""
        return next(iter(self._places[self._precedence.next(self._places)].items()))

    def get(self) -> tuple[Place, Message]:
        """As ``next``, and it is."""
        priority = self._precedence.take(self._places)
        place, message = next(iter(self._places[priority].items()))
        self._remove(priority, place)
        return place, message

    def discard(self, place: Place) -> bool:
        """It waits no longer; whether it did."""
        for priority, places in self._places.items():
            if place in places:
                self._remove(priority, place)
                return True
        return False

    def clear(self) -> list[Place]:
        """All of them."""
        everything = [place for places in self._places.values() for place in places]
        self._places.clear()
        return everything

    def _remove(self, priority: Priority, place: Place) -> None:
        del self._places[priority][place]
        if not self._places[priority]:
            del self._places[priority]


def _priority(message: Message) -> Priority:
    name = message.headers.get(PRIORITY_HEADER)
    return priority_of(name) if name else Priority.NORMAL
