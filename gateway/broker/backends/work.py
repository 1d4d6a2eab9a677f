"""Work on a connection, that ends with it; and whose failure is the connection's loss."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import structlog

from gateway.broker.base import BrokerRefused, BrokerUnavailable
from gateway.broker.wire import OnLost

log = structlog.get_logger(__name__)


class Work(set[asyncio.Task[None]]):
    """The tasks of one connection that are under way. ``closed``: nothing that fails from now on is told."""

    def __init__(self, on_lost: OnLost) -> None:
        super().__init__()
        self._on_lost = on_lost
        self.closed = False

    def start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Begin with it."""
        task = asyncio.create_task(self._guard(work), name=name)
        self.add(task)
        task.add_done_callback(self.discard)
        task.add_done_callback(lambda _: work.close())  # cancelled before its first step, nobody awaited it
        return task

    async def _guard(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except BrokerRefused as error:
            self._on_lost(str(error), error.remedy)
        except BrokerUnavailable as error:
            self._on_lost(str(error))
        except Exception as error:  # a mistake must not leave a connection on which nobody works any more
            if self.closed:  # under its hands
                return
            log.exception("the broker's adapter failed")
            self._on_lost(f"the adapter failed ({type(error).__name__})")
