"""Numbered frames, both directions: what is kept to be sent again, what is put back in order.

A :class:`SendWindow` and the :class:`ReceiveWindow` at the other end make a stream of frames
complete, in order and free of duplicates, as far as the sender still holds what was lost. Both
ends of a link use one of each. No I/O; ``now`` is in seconds of a monotonic clock.

Sequence numbers are unsigned 32 bit and wrap; they compare by :func:`distance` (RFC 1982).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from firmware_bridge.link.frames import MAX_RANGES

ACK_DELAY: Final = 0.040
"""Seconds a received frame may wait for its acknowledgement."""
ACK_FRAMES: Final = 16
"""Received frames that are acknowledged at once."""
ASK_AGAIN: Final = 0.1
"""Seconds until a missing range is asked for again; doubles up to ASK_AGAIN_MAX."""
ASK_AGAIN_MAX: Final = 1.6
ASK_LIMIT: Final = 32
"""How often one missing frame is asked for before it is given up (about 46 s)."""
RESEND: Final = 0.25
"""Seconds until the oldest unacknowledged frame is sent again; doubles up to RESEND_MAX."""
RESEND_MAX: Final = 4.0

_MASK: Final = 0xFFFFFFFF
_HALF: Final = 0x80000000

T = TypeVar("T")


def distance(start: int, end: int) -> int:
    """How far ``end`` lies after ``start`` (negative: before), for 32-bit numbers that wrap."""
    return ((end - start + _HALF) & _MASK) - _HALF


class _Inbound:
    """What comes in, however it is put in order: when to acknowledge, and when to ask for what is missing."""

    def __init__(self, expected: int, size: int) -> None:
        self.expected = expected
        self.acknowledge_at: float | None = None
        """When an acknowledgement is due."""
        self.ask_at: float | None = None
        """When missing ranges are to be asked for (again)."""
        self.asked = 0
        """How often in a row the frame now expected was asked for."""
        self.duplicates = 0
        self.out_of_order = 0
        self._size = size
        self._highest = expected
        self._unacknowledged = 0

    def acknowledge_by(self, when: float) -> None:
        """An acknowledgement is wanted, at ``when`` at the latest."""
        if self.acknowledge_at is None or when < self.acknowledge_at:
            self.acknowledge_at = when

    def acknowledged(self) -> None:
        """An acknowledgement has gone out."""
        self.acknowledge_at = None
        self._unacknowledged = 0

    def _arrived(self, now: float) -> None:
        self._unacknowledged += 1
        self.acknowledge_by(now if self._unacknowledged >= ACK_FRAMES else now + ACK_DELAY)

    def _asks(self, now: float) -> bool:
        """Whether it is time to ask for what is missing; the next time is later."""
        if self.ask_at is None or now < self.ask_at:
            return False
        self.ask_at = now + min(ASK_AGAIN * 2 ** min(self.asked, 8), ASK_AGAIN_MAX)
        self.asked += 1
        return True


class ReceiveWindow(_Inbound, Generic[T]):
    """Puts numbered frames in order, drops duplicates, knows what is missing and when to say so.

    Holds at most ``size`` frames: what lies further ahead is refused (``beyond``).
    """

    def __init__(self, expected: int, size: int) -> None:
        super().__init__(expected, size)
        self.beyond = 0
        self._early: dict[int, T] = {}

    def accept(self, sequence: int, frame: T, now: float) -> list[T]:
        """Take a frame; returns those that are in order now, perhaps none."""
        self._arrived(now)
        if sequence == self.expected:
            self.expected = (sequence + 1) & _MASK
            return [frame, *self._in_order(now)] if self._early else [frame]
        ahead = distance(self.expected, sequence)
        if ahead < 0 or sequence in self._early:
            self.duplicates += 1
        elif ahead >= self._size:
            self.beyond += 1
        else:
            self._take_early(sequence, frame, now)
        return []

    def _take_early(self, sequence: int, frame: T, now: float) -> None:
        self.out_of_order += 1
        if not self._early:
            self._highest = self.expected - 1 & _MASK
        if distance(self._highest, sequence) > 1:  # a hole not asked for yet
            self.ask_at = now
        if distance(self._highest, sequence) > 0:
            self._highest = sequence
        self._early[sequence] = frame

    def _in_order(self, now: float) -> list[T]:
        """The early frames whose turn has come."""
        frames = []
        while self.expected in self._early:
            frames.append(self._early.pop(self.expected))
            self.expected = (self.expected + 1) & _MASK
        self.asked = 0
        if not self._early:
            self.ask_at = None
        elif self.ask_at is not None:
            self.ask_at = max(now, min(self.ask_at, now + ASK_AGAIN))
        return frames

    def skip_to(self, sequence: int, now: float) -> tuple[list[T], int]:
        """Give up what is missing before ``sequence``.

        Returns the frames that are in order now, and how many were lost. A ``sequence`` that is
        not ahead changes nothing.
        """
        ahead = distance(self.expected, sequence)
        if ahead <= 0:
            return [], 0
        held = sorted(
            (key for key in self._early if distance(key, sequence) > 0),
            key=lambda key: distance(self.expected, key),
        )
        frames = [self._early.pop(key) for key in held]
        self.expected = sequence
        self.acknowledge_by(now)
        return frames + self._in_order(now), ahead - len(held)

    def give_up(self, now: float) -> tuple[list[T], int]:
        """Skip the first hole; returns as skip_to."""
        nearest = min(self._early, key=lambda key: distance(self.expected, key))
        return self.skip_to(nearest, now)

    def ask(self, now: float) -> tuple[tuple[int, int], ...]:
        """The missing ranges, if it is time to ask for them: (first, last), both inclusive."""
        if not self._asks(now):
            return ()
        ranges: list[tuple[int, int]] = []
        first = self.expected
        for sequence in sorted(self._early, key=lambda key: distance(self.expected, key)):
            if sequence != first:
                ranges.append((first, sequence - 1 & _MASK))
            first = (sequence + 1) & _MASK
        return tuple(ranges[:MAX_RANGES])

    def resumed(self, now: float) -> None:
        """The peer begins again at the frame now expected: no need to ask for anything yet."""
        self.asked = 0
        if self.ask_at is not None:
            self.ask_at = now + ASK_AGAIN_MAX


class InOrderWindow(_Inbound, Generic[T]):
    """A receive window that keeps nothing: what comes before its turn is dropped, and asked for again.

    For who has no memory for it (the library in C). All from the frame now expected to the last one seen is asked for;
    what lies ``size`` frames ahead or further is no reason to ask for anything.
    """

    def accept(self, sequence: int, frame: T, now: float) -> list[T]:
        """Take a frame; returns it if it is its turn."""
        self._arrived(now)
        ahead = distance(self.expected, sequence)
        if not ahead:
            self._move_on(now)
            return [frame]
        if ahead < 0:
            self.duplicates += 1
        elif ahead < self._size:
            self._drop_early(sequence, now)
        return []

    def _drop_early(self, sequence: int, now: float) -> None:
        self.out_of_order += 1
        if self.ask_at is None:
            self.ask_at, self._highest = now, sequence
        if distance(self._highest, sequence) > 0:
            self._highest = sequence

    def _move_on(self, now: float) -> None:
        self.expected = (self.expected + 1) & _MASK
        self.asked = 0
        if self.ask_at is not None:
            behind = distance(self.expected, self._highest) < 0
            self.ask_at = None if behind else min(self.ask_at, now + ASK_AGAIN)

    def ask(self, now: float) -> tuple[tuple[int, int], ...]:
        """The missing range, if it is time to ask for it: (first, last), both inclusive."""
        if not self._asks(now):
            return ()
        return ((self.expected, self._highest),)


class SendWindow(Generic[T]):
    """Numbers frames and keeps them for sending again.

    ``oldest <= acknowledged <= sent <= next``, all sequence numbers: what is kept starts at
    ``oldest``, the peer has all before ``acknowledged``, what was put on the wire ends at
    ``sent``, ``next`` is assigned next. The peer takes numbers before ``edge``.

    With ``capacity`` 0 nothing is kept: a frame is accepted only if it can go out at once.
    """

    def __init__(self, capacity: int, first: int) -> None:
        self.capacity = capacity
        self.oldest = self.acknowledged = self.sent = self.next = self.edge = first
        self.resend_at: float | None = None
        """When the oldest unacknowledged frame is due to be sent again."""
        self.resent = 0
        self._highest_sent = first
        self._frames: dict[int, T] = {}
        self._again: set[int] = set()
        self._patience = RESEND

    @property
    def room(self) -> int:
        """How many frames append() takes now."""
        if self.capacity == 0:
            return max(0, distance(self.next, self.edge))
        return self.capacity - distance(self.acknowledged, self.next)

    @property
    def blocked(self) -> bool:
        """Whether frames wait for the peer's credit."""
        return self.sent != self.next and distance(self.sent, self.edge) <= 0

    def append(self, frame: T) -> None:
        """Number a frame and keep it. If full, the oldest acknowledged one is overwritten."""
        if self.room <= 0:
            raise OverflowError("no room in the window")
        if self.capacity and len(self._frames) >= self.capacity:
            self.forget(self.oldest + 1 & _MASK)
        self._frames[self.next] = frame
        self.next = (self.next + 1) & _MASK

    def change(self, changed: Callable[[T], T]) -> None:
        """What is kept is from now on as ``changed`` makes it; its numbers stay."""
        self._frames = {number: changed(frame) for number, frame in self._frames.items()}

    def acknowledge(self, acknowledged: int, credit: int, now: float) -> list[T]:
        """The peer has all before ``acknowledged`` and takes ``credit`` more.

        Returns the frames this is the first news of. What is older than known is ignored.
        """
        edge = (acknowledged + credit) & _MASK
        if acknowledged == self.acknowledged and edge == self.edge:
            return []  # the common case, and the fast one
        progress = distance(self.acknowledged, acknowledged)
        if not 0 <= progress <= distance(self.acknowledged, self._highest_sent):
            return []
        self.edge = edge
        if not progress:
            return []
        numbers = [(self.acknowledged + step) & _MASK for step in range(progress)]
        self.acknowledged = acknowledged
        if distance(self.sent, acknowledged) > 0:
            self.sent = acknowledged  # rewound too far: what was sent before the rewind has arrived since
        self._patience = RESEND
        self.resend_at = now + RESEND if acknowledged != self.sent else None
        return [self._frames[number] for number in numbers if number in self._frames]

    def forget(self, before: int) -> None:
        """Drop what lies before ``before``, as far as it is acknowledged."""
        until = min(distance(self.oldest, before), distance(self.oldest, self.acknowledged))
        for _ in range(until):
            self._frames.pop(self.oldest, None)
            self._again.discard(self.oldest)
            self.oldest = (self.oldest + 1) & _MASK

    def rewind(self, resume_from: int, credit: int) -> None:
        """The peer expects ``resume_from``: send everything kept from there on again."""
        start = resume_from if distance(self.oldest, resume_from) > 0 else self.oldest
        self.acknowledged = self.sent = start
        self.edge = (start + credit) & _MASK
        self.resend_at = None
        self._patience = RESEND
        self._again.clear()

    def pause(self) -> None:
        """Nobody is there: nothing goes out until rewind()."""
        self.edge = self.sent
        self.resend_at = None
        self._again.clear()

    def request(self, ranges: tuple[tuple[int, int], ...]) -> bool:
        """The peer misses these ranges. False: some of it is no longer kept."""
        kept = True
        for first, last in ranges:
            kept = kept and distance(self.oldest, first) >= 0
            start = max(distance(self.oldest, first), 0)
            stop = min(distance(self.oldest, last), distance(self.oldest, self.sent) - 1)
            for step in range(start, stop + 1):
                self._again.add((self.oldest + step) & _MASK)
        return kept

    def tick(self, now: float) -> bool:
        """Queue the oldest unacknowledged frame if it is overdue. False: it is no longer kept."""
        if self.resend_at is None or now < self.resend_at:
            return True
        self._patience = min(2 * self._patience, RESEND_MAX)
        self.resend_at = now + self._patience
        return self.request(((self.acknowledged, self.acknowledged),))

    def take(self, now: float) -> list[tuple[int, bool, T]]:
        """What to put on the wire now: (sequence, sent before, frame), within the peer's credit."""
        again = sorted(self._again, key=lambda number: distance(self.oldest, number)) if self._again else ()
        out = [(number, True, self._frames[number]) for number in again if number in self._frames]
        self._again.clear()
        while self.sent != self.next and distance(self.sent, self.edge) > 0:
            before = distance(self.sent, self._highest_sent) > 0
            frame = self._frames[self.sent] if self.capacity else self._frames.pop(self.sent)
            out.append((self.sent, before, frame))
            self.sent = (self.sent + 1) & _MASK
            if not before:
                self._highest_sent = self.sent
        self.resent += sum(before for _, before, _ in out)
        if self.capacity == 0:
            self.oldest = self.sent
        if self.resend_at is None and self.acknowledged != self.sent:
            self.resend_at = now + self._patience
        return out
