"""Utterances that are worked out at the same time: who goes with whom, and each share on a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

_Result = TypeVar("_Result")


def deal(lengths: Sequence[float], shares: int) -> list[list[int]]:
    """The places of those lengths in so many shares of much the same work, or in fewer: none is empty."""
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    return [by_length[share::shares] for share in range(min(shares, len(lengths)))]


class SideBySide:
    """Does so many things at once; it has no thread before there is more than one to do."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._others = ThreadPoolExecutor(max(1, most - 1), "side by side")

    def __call__(self, steps: Sequence[Callable[[], _Result]]) -> list[_Result]:
        """What came of each, when all are over. Raises what the first of them did that failed."""
        others = [self._others.submit(step) for step in steps[1:]]
        try:
            mine = [step() for step in steps[:1]]
        finally:
            wait(others)
        return mine + [other.result() for other in others]

    def close(self) -> None:
        """Nothing more is begun. Idempotent."""
        self._others.shutdown(wait=False)
