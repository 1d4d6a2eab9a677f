"""What nobody foresaw: an error inside the gateway, where it is the end of one piece of work and of nothing else.

Work that the gateway does over and over (a turn, a reply, a message to be published, a listener) has a boundary
around each piece of it. What gets there is a mistake of the gateway's own: it is logged with its traceback and
counted, and the gateway's health shows it for a while; the next piece is taken as if nothing had happened.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog

from firmware_bridge.pacing import Allowance, Backoff

log = structlog.get_logger(__name__)

SHOWN_SECONDS = 3_600.0
"""For so long after the last one the gateway is not quite well."""
LOGGED_AT_ONCE = 10
LOGGED_PER_SECOND = 1 / 60
"""Tracebacks of one kind of work in the log; further ones are counted only."""
AGAIN_SECONDS = 1.0
LATEST_AGAIN_SECONDS = 300.0
"""Work that never ends, and went wrong as a whole, begins again after so long, doubling."""


class Mishaps:
    """Counted by the kind of work they ended, which is the gateway's own word: their number is bounded."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        """Since the start, by the kind of work."""
        self.on_change: Callable[[], None] = lambda: None
        """To be told of each, and of the end of their being shown."""
        self.latest = ""
        """What the last one was; empty: there was none for so long that nobody needs to look."""
        self._now = now
        self._last_at = 0.0
        self._logged: dict[str, Allowance] = {}

    @contextmanager
    def contained(self, work: str, **names: str) -> Iterator[None]:
        """The boundary around one piece of ``work``: its error ends here."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the boundary that this module is about
            self.note(work, error, **names)

    def note(self, work: str, error: BaseException, **names: str) -> None:
        """Log and count ``error``, which ended a piece of ``work``; ``names`` say which."""
        self.counts[work] += 1
        self._last_at = now = self._now()
        if self._logged.setdefault(work, Allowance(LOGGED_AT_ONCE, LOGGED_PER_SECOND, now)).take(now):
            log.error(
                "something went wrong inside the gateway",
                work=work,
                count=self.counts[work],
                exc_info=error,
                **names,
            )
        self.latest = f"{work} ({type(error).__name__})"
        self.on_change()

    async def keep_up(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` until it ends by itself; when it goes wrong, it begins again, later each time.

        Once it is cancelled, it does not begin again, however it ended.
        """
        backoff = Backoff(AGAIN_SECONDS, LATEST_AGAIN_SECONDS)
        while True:
            try:
                await work()
            except Exception as error:  # the boundary around what runs as long as the gateway
                self.note(name, error)
                task = asyncio.current_task()
                if task is not None and task.cancelling():  # it went wrong over its end
                    raise asyncio.CancelledError from error
                await asyncio.sleep(backoff.next())
            else:
                return

    def forgive(self) -> None:
        """Show nothing any more once the last one is long ago. To be called now and then."""
        if self.latest and self._now() - self._last_at >= SHOWN_SECONDS:
            self.latest = ""
            self.on_change()
