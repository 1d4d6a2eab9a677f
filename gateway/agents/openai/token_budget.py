"""How many tokens a model may cost, in an hour and in a day. No clock."""

from __future__ import annotations

from collections import deque

HOUR = 3_600.0
DAY = 86_400.0
_SLICE = 60.0
"""What is spent within a minute is one figure."""


class TokenBudget:
    """0: any number."""

    def __init__(self, per_hour: int, per_day: int) -> None:
        self._limits = ((per_hour, HOUR, "hour"), (per_day, DAY, "day"))
        self._spent: deque[tuple[float, int]] = deque(maxlen=int(DAY / _SLICE) + 1)

    @property
    def is_set(self) -> bool:
        """Whether there is any limit."""
        return any(limit for limit, _, _ in self._limits)

    def spend(self, tokens: int, now: float) -> None:
        """They are gone."""
        if not self.is_set:
            return
        if self._spent and now - self._spent[-1][0] < _SLICE:
            since, before = self._spent.pop()
            self._spent.append((since, before + tokens))
        else:
            self._spent.append((now, tokens))

    def exhausted(self, now: float) -> str:
        """Which limit is reached, in words; empty: none."""
        for limit, seconds, what in self._limits:
            if limit and sum(tokens for since, tokens in self._spent if now - since < seconds) >= limit:
                return f"has had its {limit} tokens of this {what}"
        return ""
