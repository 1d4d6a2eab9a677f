"""When a text would be there, by how long texts took of late: from the pool, and from the gateway's own engine.

No I/O and no clock: whoever asks says what time it is. What was measured long ago counts no more, so that one bad
minute is not held against anybody for ever.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from gateway.recognizers.pool.workers import Hands

MEASUREMENTS = 32
REMEMBERED_SECONDS = 120.0
SETUP_SECONDS = 2.0
"""An engine's work for a word is about what so much more audio costs it."""
WAY_SECONDS = 0.03
"""There and back, as long as nobody has measured it."""
WORK_SHARE = 0.3
"""Work for audio of a second, as long as nobody has measured it."""
LEAST_SPREAD = 0.1
HIGH = 0.9


class Recent:
    """The latest measurements of one thing."""

    def __init__(self, most: int = MEASUREMENTS, seconds: float = REMEMBERED_SECONDS) -> None:
        self._seconds = seconds
        self._kept: deque[tuple[float, float]] = deque(maxlen=most)

    def add(self, value: float, now: float) -> None:
        """Measured just now."""
        self._kept.append((now, value))

    def middle(self, now: float) -> float | None:
        """The median; None: nothing was measured of late."""
        values = self._values(now)
        return median(values) if values else None

    def high(self, now: float) -> float | None:
        """What nine of ten are below."""
        values = sorted(self._values(now))
        return values[min(int(HIGH * len(values)), len(values) - 1)] if values else None

    def _values(self, now: float) -> list[float]:
        return [value for at, value in self._kept if now - at <= self._seconds]


class EnginePace:
    """How fast somebody's engine is: its work for audio of any length."""

    def __init__(self) -> None:
        self._per_second = Recent()

    def measure(self, audio: float, work: float, now: float) -> None:
        """Audio of so many seconds was so many seconds' work."""
        self._per_second.add(work / (SETUP_SECONDS + audio), now)

    def expect(self, audio: float, now: float) -> float | None:
        """Seconds of work; None: nobody knows."""
        per_second = self._per_second.middle(now)
        return None if per_second is None else per_second * (SETUP_SECONDS + audio)


class Forecast:
    """How far what was expected was off: how long to wait beyond it before somebody is late."""

    def __init__(self) -> None:
        self._late = Recent()

    def came(self, expected: float, took: float, now: float) -> None:
        """What was expected to take so long took so long."""
        self._late.add(max(0.0, took - expected), now)

    def spread(self, expected: float, now: float) -> float:
        """In seconds; without measurements, as long again."""
        late = self._late.high(now)
        return max(LEAST_SPREAD, expected if late is None else 1.5 * late)


class PoolEstimate:
    """When the pool would have a text."""

    def __init__(self) -> None:
        self.pace = EnginePace()
        self.forecast = Forecast()
        self._way = Recent()

    def measure_way(self, seconds: float, now: float) -> None:
        """There and back took so long, the work not counted and with nobody before it."""
        self._way.add(seconds, now)

    def work(self, audio: float, hands: Hands, now: float, prior: float | None = None) -> float:
        """The work alone. ``prior``: what it would be here, for want of anything better."""
        expected = self.pace.expect(audio, now)
        if expected is not None:
            return expected
        return hands.seconds_per_job or prior or WORK_SHARE * (SETUP_SECONDS + audio)

    def expect(
        self,
        audio: float,
        hands: Hands,
        *,
        under_way: int,
        silence: float,
        now: float,
        prior: float | None = None,
    ) -> float:
        """Seconds from now, for a hands of at least one. ``under_way``: of ours, there or waiting here to be sent.

        ``silence``: for so long a result has been due and none has come.
        """
        work = self.work(audio, hands, now, prior)
        before = max(under_way, hands.busy) + 1 - hands.capacity
        waits = max(before * work / hands.capacity, hands.oldest_seconds) if before > 0 else 0.0
        way = self._way.middle(now)
        return (WAY_SECONDS if way is None else way) + waits + work + silence


class OwnEstimate:
    """When the gateway's own engine would have a text."""

    def __init__(self) -> None:
        self.pace = EnginePace()
        self.forecast = Forecast()
        self._queue = Recent()

    def measure_queue(self, expected: float, took: float, now: float) -> None:
        """What was expected to be so much work, one after the other, took so long: batches are faster."""
        if expected > 0:
            self._queue.add(min(1.0, took / expected), now)

    def work(self, audio: float, now: float) -> float:
        """The work alone."""
        expected = self.pace.expect(audio, now)
        return WORK_SHARE * (SETUP_SECONDS + audio) if expected is None else expected

    def expect(self, audio: float, *, before: float, now: float) -> float:
        """Seconds from now; ``before``: how much work is before it."""
        share = self._queue.middle(now)
        return before * (1.0 if share is None else share) + self.work(audio, now)
