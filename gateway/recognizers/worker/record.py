"""What a worker knows of its own work: how busy it is, how fast, and what became of it. Told as its presence."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Final

from gateway.contract.recognition import WorkerPresence
from transcription.recognizing import Phase, RecognizerState

REMEMBERED: Final = 16
"""Jobs of which the time is looked at."""
UTILIZATION_SECONDS: Final = 60.0
"""How far back it is looked for what of the time was work."""


class WorkRecord:
    """Counters and times. ``clock``: of the loop's kind."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.done = 0
        self.failed = 0
        self.dropped = 0
        """Nobody waited for them any more, or nobody could have done them."""
        self.seconds = 0.0
        """Of work in all."""
        self._clock = clock
        self._began = clock()
        self._times: deque[float] = deque(maxlen=REMEMBERED)
        self._spells: deque[tuple[float, float]] = deque()
        self._busy_since: float | None = None
        self._held: dict[object, float] = {}
        self._last_wait = 0.0

    @property
    def busy(self) -> int:
        """How many jobs it is at."""
        return len(self._held)

    @property
    def seconds_per_job(self) -> float:
        """In the middle, of late; 0: nothing was done yet."""
        return median(self._times) if self._times else 0.0

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest job has waited that is in hand; and when none is, nothing has."""
        now = self._clock()
        return max((now - since for since in self._held.values()), default=0.0)

    @property
    def queue_age(self) -> float:
        """How long the job taken last had waited at the broker; 0 while there is nothing to do."""
        return self._last_wait if self._held else 0.0

    @property
    def utilization(self) -> float:
        """Of the last minute, what share was work, in [0, 1]."""
        now = self._clock()
        since = now - UTILIZATION_SECONDS
        while self._spells and self._spells[0][1] <= since:
            self._spells.popleft()
        worked = sum(end - max(begin, since) for begin, end in self._spells)
        if self._busy_since is not None:
            worked += now - max(self._busy_since, since)
        return min(1.0, worked / max(1e-9, min(UTILIZATION_SECONDS, now - self._began)))

    def begin(self, job: object, waited: float) -> None:
        """It is in hand, and has waited at the broker for so long."""
        now = self._clock()
        if self._busy_since is None:
            self._busy_since = now
        self._held[job] = now - waited
        self._last_wait = waited

    def end(self, job: object, seconds: float | None) -> None:
        """It is out of hand; it took so long, or it was never begun. Idempotent."""
        if self._held.pop(job, None) is None:
            return
        if seconds is not None:
            self._times.append(seconds)
            self.seconds += seconds
        if not self._held and self._busy_since is not None:
            self._spells.append((self._busy_since, self._clock()))
            self._busy_since = None

    def presence(
        self,
        worker: str,
        recognizer: RecognizerState,
        model: str,
        capacity: int,
        *,
        able: bool,
        leaving: bool,
        version: str,
    ) -> WorkerPresence:
        """What the gateways are told."""
        state = "here" if able else "loading"
        return WorkerPresence(
            worker=worker,
            state="leaving" if leaving else state,
            model=model,
            engine=recognizer.engine,
            languages=recognizer.languages[:200],
            capacity=capacity,
            busy=self.busy,
            oldest_seconds=round(self.oldest_seconds, 3),
            seconds_per_job=round(self.seconds_per_job, 4),
            done=self.done,
            failed=self.failed,
            where=recognizer.where.gpu or "cpu",
            version=version,
            timestamp=time.time(),
        )


def is_able(recognizer: RecognizerState) -> bool:
    """Whether it has the engine that is wanted, and not what would do instead; one that sleeps wakes for a job."""
    return recognizer.phase in {Phase.READY, Phase.ASLEEP, Phase.WAKING}
