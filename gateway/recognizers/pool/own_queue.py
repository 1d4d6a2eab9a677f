"""The work that is with the gateway's own engine, as far as its estimates need to know. No I/O and no clock."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.recognizers.pool.estimate import OwnEstimate
from transcription.priority import Priority
from transcription.recognizing import Recognized


@dataclass(frozen=True, slots=True, eq=False)
class OwnWork:
    """One utterance that the own engine was asked for."""

    audio: float
    priority: Priority
    begun_at: float
    work: float
    before: float
    """Seconds of work that were before it."""
    expected: float
    behind: bool = False


class OwnQueue:
    """What the own engine was asked for and has not answered."""

    def __init__(self) -> None:
        self.estimate = OwnEstimate()
        self._under_way: set[OwnWork] = set()

    def expect(self, audio: float, priority: Priority, now: float, *, behind: bool = False) -> float:
        """In how many seconds it would have the text."""
        return self.estimate.expect(audio, before=self._before(priority, now, behind=behind), now=now)

    def begin(self, audio: float, priority: Priority, now: float, *, behind: bool = False) -> OwnWork:
        """It is asked for one."""
        before = self._before(priority, now, behind=behind)
        work = self.estimate.work(audio, now)
        expected = self.estimate.expect(audio, before=before, now=now)
        one = OwnWork(audio, priority, now, work, before, expected, behind)
        self._under_way.add(one)
        return one

    def end(self, one: OwnWork, recognized: Recognized | None, now: float) -> None:
        """It has answered, or is not to any more."""
        self._under_way.discard(one)
        if recognized is None:
            return
        if not recognized.transcript.retried and not recognized.ahead:
            self.estimate.pace.measure(one.audio, recognized.recognize_seconds, now)
        if not recognized.ahead and not one.behind:
            self.estimate.measure_queue(one.before, recognized.queue_seconds, now)
            self.estimate.forecast.came(one.expected, now - one.begun_at, now)

    def _before(self, priority: Priority, now: float, *, behind: bool) -> float:
        """Work that is done first: of what was begun, what should be left of it."""
        return sum(
            max(0.0, one.work - max(0.0, now - one.begun_at - one.before))
            for one in self._under_way
            if (behind or not one.behind) and one.priority.urgency >= priority.urgency
        )
