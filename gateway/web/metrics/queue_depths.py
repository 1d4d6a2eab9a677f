"""How many messages wait at the broker's server: asked for beside, and remembered, so that no scrape waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from gateway.broker.base import CANNOT_TELL, BrokerError, Depths
from gateway.contract.messages import RESULTS_TOPIC
from gateway.observing.metrics.family import Family, gauge
from gateway.web.parts import RunningParts

ASK_SECONDS = 2.0
"""A server that does not tell within that time does not tell."""
FRESH_SECONDS = 5.0
"""What it told is used for so long."""
STALE_SECONDS = 60.0
"""What it told before that is not shown any more."""


class QueueDepths:
    """What the server told last. A scrape shows that, and has it asked again where it is old."""

    def __init__(self) -> None:
        self._depths: dict[tuple[str, str], int] = {}
        self._asked_at = self._told_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    def family(self, running: RunningParts) -> Family:
        """By topic and by the group that is to read it; those that no server tells of are left out."""
        now = asyncio.get_running_loop().time()
        is_at_it = self._asking is not None and not self._asking.done()
        if not is_at_it and now - self._asked_at >= FRESH_SECONDS:
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask(running), name="queue depths")
        family = gauge(
            "broker_queue_messages", "Messages that wait at the server, and those that are unsettled."
        )
        if now - self._told_at < STALE_SECONDS:
            for (topic, group), depth in self._depths.items():
                family.add(depth, topic=topic, group=group)
        return family

    async def _ask(self, running: RunningParts) -> None:
        told: dict[tuple[str, str], int] = {}
        broker = running.broker
        if not isinstance(broker, Depths):
            return
        try:
            async with asyncio.timeout(ASK_SECONDS):
                for topic, group in _queues(running, broker):
                    depth = await broker.waiting(topic, group)
                    if depth != CANNOT_TELL:
                        told[topic, group] = depth
        except (TimeoutError, BrokerError):
            return
        self._depths, self._told_at = told, asyncio.get_running_loop().time()


def _queues(running: RunningParts, broker: Depths) -> Iterable[tuple[str, str]]:
    """Those that the gateway fills or reads: transcripts for each group that is kept for, and its own."""
    kept = [(RESULTS_TOPIC, group) for group in running.config.broker.keep_for_groups]
    return dict.fromkeys([*kept, *broker.groups()])
