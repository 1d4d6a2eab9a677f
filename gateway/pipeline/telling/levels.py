"""How loud devices were last, for whoever asks now and then: nobody pays for levels that nobody wants. No I/O."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

WANTED_SECONDS = 10.0
"""For so long after somebody asked, levels are taken."""
FRESH_SECONDS = 3.0
"""An older level says nothing."""
KEPT_DEVICES = 1_024


class Levels:
    """To be told each level that is taken."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked = -WANTED_SECONDS
        self._levels: OrderedDict[str, tuple[int, float]] = OrderedDict()

    @property
    def are_wanted(self) -> bool:
        """Whether somebody has asked lately."""
        return self._clock() - self._asked < WANTED_SECONDS

    def note(self, device_id: str, dbfs: int) -> None:
        """So loud is it now."""
        self._levels[device_id] = dbfs, self._clock()
        self._levels.move_to_end(device_id)
        if len(self._levels) > KEPT_DEVICES:
            self._levels.popitem(last=False)

    def now(self) -> dict[str, int]:
        """How loud each device is; who asks again soon knows more."""
        now = self._asked = self._clock()
        return {name: dbfs for name, (dbfs, at) in self._levels.items() if now - at < FRESH_SECONDS}
