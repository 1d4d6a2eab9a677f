"""What waits in memory for a disk that cannot be written: bounded, in order, and counted when given up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from gateway.journal.effects import Effect, bulk

BACKLOG_BYTES = 16 * 1024 * 1024
"""The oldest is given up for the newest."""


class Backlog:
    """Commits that could not be written yet, oldest first."""

    def __init__(self, max_bytes: int = BACKLOG_BYTES) -> None:
        self.bytes = 0
        self._max_bytes = max_bytes
        self._commits: deque[tuple[tuple[Effect, ...], int]] = deque()

    def __iter__(self) -> Iterator[tuple[Effect, ...]]:
        return (effects for effects, _ in self._commits)

    def __len__(self) -> int:
        return len(self._commits)

    def add(self, effects: tuple[Effect, ...]) -> int:
        """Keep a commit; how many effects had to be given up for it (its own, when it is too large)."""
        size = sum(map(bulk, effects))
        self._commits.append((effects, size))
        self.bytes += size
        given_up = 0
        while self.bytes > self._max_bytes:
            old, old_size = self._commits.popleft()
            self.bytes -= old_size
            given_up += len(old)
        return given_up

    def clear(self) -> None:
        """All of it was written."""
        self._commits.clear()
        self.bytes = 0
