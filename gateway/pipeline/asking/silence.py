"""Since when there was no sign of life about each request: a piece, a first answer, what somebody is doing.

No I/O and no clock: ``now`` is the caller's, in seconds, and never goes back.
"""

from __future__ import annotations

from collections import OrderedDict


class Silence:
    """The requests that are open, by correlation id."""

    def __init__(self, patience: float) -> None:
        """After so many seconds there is silence about a request."""
        self._patience = patience
        self._since: OrderedDict[str, float] = OrderedDict()  # the one that was heard of last at the end
        self._silent: dict[str, None] = {}

    def begin(self, name: str, now: float) -> None:
        """It is asked."""
        self._since[name] = now

    def sign(self, name: str, now: float) -> None:
        """There is a sign of life. Of what is over it changes nothing."""
        if name in self._since or name in self._silent:
            self._silent.pop(name, None)
            self._since[name] = now
            self._since.move_to_end(name)

    def end(self, name: str) -> None:
        """It is over. Idempotent."""
        self._since.pop(name, None)
        self._silent.pop(name, None)

    def falls(self, now: float) -> list[str]:
        """About which there is silence that was none at the last call."""
        fallen = []
        while self._since and next(iter(self._since.values())) + self._patience <= now:
            name, _ = self._since.popitem(last=False)
            self._silent[name] = None
            fallen.append(name)
        return fallen

    @property
    def silent(self) -> tuple[str, ...]:
        """About which there is."""
        return tuple(self._silent)
