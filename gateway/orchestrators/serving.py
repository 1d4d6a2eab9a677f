"""Orchestrators in a process of their own: on one broker until a signal comes, then to the end of what they began."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import structlog

from gateway.broker.base import BrokerError, BrokerStatus, MessageBroker
from gateway.broker.opening import open_broker
from gateway.process.signals import told_by_signals
from gateway.settings.broker import BrokerSettings

log = structlog.get_logger(__name__)

FINISH_SECONDS = 10.0
"""So long what was begun may take when all is to end; what takes longer goes to another copy."""


class Servant(Protocol):
    """Who works on a broker until told to leave."""

    async def run(self, broker: MessageBroker) -> None:
        """Until the broker is closed, or it has left."""

    def leave(self) -> None:
        """Take nothing more; ``run`` returns when what was taken is done."""


def serve(*servants: Servant, url: str, settings: BrokerSettings | None = None) -> None:
    """Run them until SIGINT or SIGTERM; a second one ends it at once. Raises BrokerError.

    ``settings``: how the broker at ``url`` is reached; the usual ones without.
    """
    if url.startswith("memory:"):
        raise BrokerError(
            "memory:// lives inside the gateway; name this orchestrator there (orchestrator.app: module:name)"
        )
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(servants, open_broker(url, settings or BrokerSettings(url=url), _tell)))


def _tell(status: BrokerStatus) -> None:
    """Who started it has no page that says how the broker is."""
    if not status.reason:
        log.info("the broker is there", server=status.server)
        return
    what = "the broker does not allow all" if status.connected else "the broker is not there"
    log.warning(what, reason=status.reason, remedy=status.remedy)


async def _serve(servants: Sequence[Servant], broker: MessageBroker) -> None:
    told = asyncio.Queue[None]()
    work = asyncio.create_task(_all(servants, broker), name="orchestrators")
    end = asyncio.create_task(_end_when_told(servants, work, told), name="end")
    try:
        with told_by_signals(told):
            await asyncio.wait({work})
    finally:
        end.cancel()
        work.cancel()
        await asyncio.gather(work, end, return_exceptions=True)
        await broker.close()
    if not work.cancelled():
        work.result()


async def _all(servants: Sequence[Servant], broker: MessageBroker) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            for servant in servants:
                tasks.create_task(servant.run(broker))
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None  # whoever named only one expects what that one says


async def _end_when_told(
    servants: Sequence[Servant], work: asyncio.Task[None], told: asyncio.Queue[None]
) -> None:
    await told.get()
    log.info("leaving: what was begun is finished", seconds=FINISH_SECONDS)
    for servant in servants:
        servant.leave()
    again = asyncio.create_task(told.get(), name="told again")
    try:
        await asyncio.wait({work, again}, timeout=FINISH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        again.cancel()
    work.cancel()
