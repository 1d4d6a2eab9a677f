"""How far a group is in one partition of Kafka's, where several settle out of order. No I/O.

Kafka keeps one number for a group and partition: all before it is settled. What is settled behind it stands in the
commit's metadata, a text that Kafka keeps as it is, so that it does not come again when the reader dies. That text,
``1:3,5,2``, is lengths of runs from the number on, unsettled and settled in turn: three that are not, five that are,
two that are not; what is behind them was never delivered. A text of anybody else's says nothing.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator

VERSION = "1:"
MOST_TEXT = 3_500
"""Kafka takes 4,096 bytes unless it is told otherwise (``offset.metadata.max.bytes``)."""
_MOST_OFFSET = 2**63 - 1


class PartitionProgress:
    """``next`` is to be read next; ``seen``: all before it were delivered to somebody."""

    def __init__(self, floor: int, text: str = "", seen: int = 0) -> None:
        self.next = floor
        ranges, end = _read(floor, text)
        self.seen = max(end, seen)
        self._ahead = ranges  # settled and not read here, the latest first
        self._in_hand: OrderedDict[int, None] = OrderedDict()  # ascending

    @property
    def floor(self) -> int:
        """All before it is settled."""
        return next(iter(self._in_hand), self.next)

    def take(self, offset: int) -> int:
        """It has come, and all before it; which delivery it is. 0: it was settled."""
        self.next = offset + 1
        while self._ahead and self._ahead[-1][1] <= offset:
            self._ahead.pop()
        if self._ahead and self._ahead[-1][0] <= offset:
            return 0
        self._in_hand[offset] = None
        return 2 if offset < self.seen else 1

    def settle(self, offset: int) -> None:
        """It was settled."""
        self._in_hand.pop(offset, None)

    def unsettled(self) -> list[int]:
        """Those in hand, in their order."""
        return list(self._in_hand)

    def text(self) -> str:
        """What stands beside ``floor``. Where there is no room for all of it, the rest comes again."""
        position, length, lengths = self.floor, len(VERSION), list[str]()
        for begin, end in self._settled():
            runs = [str(begin - position), str(end - begin)]
            length += sum(map(len, runs)) + 2
            if length > MOST_TEXT:
                break
            lengths += runs
            position = end
        if (end := max(self.seen, self.next)) > position:
            lengths.append(str(end - position))
        return VERSION + ",".join(lengths) if lengths else ""

    def _settled(self) -> Iterator[tuple[int, int]]:
        """Ranges behind ``floor``, their ends excluded."""
        for before, after in itertools.pairwise([*self._in_hand, self.next]):
            if after > before + 1:
                yield before + 1, after
        for begin, end in reversed(self._ahead):
            yield max(begin, self.next), end


def _read(floor: int, text: str) -> tuple[list[tuple[int, int]], int]:
    """Ranges of what is settled, the latest first, and the end of what was delivered."""
    ranges: list[tuple[int, int]] = []
    position = floor
    for number, word in enumerate(text.removeprefix(VERSION).split(",") if text.startswith(VERSION) else ()):
        if not (word.isascii() and word.isdecimal() and len(word) < 19) or position > _MOST_OFFSET - int(
            word
        ):
            return [], floor
        if number % 2:
            ranges.append((position, position + int(word)))
        position += int(word)
    return ranges[::-1], position
