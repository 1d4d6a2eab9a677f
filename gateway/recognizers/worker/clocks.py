"""How long a job has waited, by two clocks of which neither need be right. No I/O.

A job that comes to a worker which has been asking in vain has just been published: by how much it seems older than
that, the two clocks differ.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from gateway.contract.recognition import RecognitionJob

MOST_GATEWAYS: Final = 1_000
UNKNOWN_SECONDS: Final = 60.0
"""By so much the clock of a gateway may differ of which nothing has come yet while somebody was waiting for it."""


class GatewayClocks:
    """By how much each gateway's clock is behind ours."""

    def __init__(self) -> None:
        self._behind: OrderedDict[str, float] = OrderedDict()

    def just_published(self, job: RecognitionJob, now: float) -> None:
        """It has waited for nobody."""
        self._behind[job.gateway] = now - job.asked_at
        self._behind.move_to_end(job.gateway)
        if len(self._behind) > MOST_GATEWAYS:
            self._behind.popitem(last=False)

    def waited(self, job: RecognitionJob, now: float) -> float:
        """How many seconds ago it was asked, as far as is known."""
        return max(0.0, now - job.asked_at - self._behind.get(job.gateway, 0.0))

    def left(self, job: RecognitionJob, now: float) -> float:
        """So long somebody still waits for it; not above 0: nobody does."""
        doubt = 0.0 if job.gateway in self._behind else UNKNOWN_SECONDS
        return min(job.seconds, job.seconds + doubt - self.waited(job, now))
