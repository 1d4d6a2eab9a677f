"""Which job a worker does next: it asks the broker for one when it has time, the more urgent kinds first.

While it works it asks for nothing. What was on its way all the same goes back for those who have time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

import structlog
from msgspec import Struct

from gateway.broker.base import BrokerError, Delivery, MessageBroker, Subscription
from gateway.contract.recognition import RECOGNIZERS_GROUP, Urgency, jobs_topic

log = structlog.get_logger(__name__)

STAGGER_SECONDS: Final = 0.005
"""A kind of work is asked for when the more urgent ones have not come for so long."""
MORE_SECONDS: Final = 0.003
"""Where several are done together, what waits too comes within this time behind the first."""
WAITED_SECONDS: Final = 0.02
"""What comes later than that after it was asked for did not wait, and nothing waits with it."""
FRESH_SECONDS: Final = 0.5
"""What comes to somebody who has waited for so long has just been published."""
PASSED_ON: Final = "earshot-passed-on"
"""A header: how often it has been given back unread, and so lies behind others that came later."""
TRIED: Final = "earshot-tried"
"""A header: to how many it had been delivered before it was given back."""
MOST_PASSED_ON: Final = 8
"""So often; where a broker gives work to whoever is busy, that must not go on for ever."""


class TakenJob(Struct, frozen=True, eq=False):
    """A job in the hands of this worker. ``fresh``: it has waited for nobody. ``taken_at`` is the loop's time."""

    delivery: Delivery
    urgency: Urgency
    taken_at: float
    fresh: bool

    @property
    def attempt(self) -> int:
        """To how many it has been delivered, this one too."""
        return self.delivery.attempt + _number(self.delivery, TRIED)


class JobIntake:
    """The jobs of one model: ``async with JobIntake(...) as intake: await intake.next_jobs()``."""

    def __init__(self, broker: MessageBroker, model: str, at_once: int = 1) -> None:
        """``at_once``: how many are done together."""
        self._broker = broker
        self._model = model
        self._at_once = at_once
        self._exits = AsyncExitStack()
        self._subscriptions: dict[Urgency, Subscription] = {}
        self._here: dict[Urgency, deque[TakenJob]] = {one: deque() for one in Urgency}
        self._came = asyncio.Event()
        self._asking_since = 0.0
        self._asking = False

    async def __aenter__(self) -> Self:
        for urgency in Urgency:
            subscription = self._broker.subscribe(
                jobs_topic(self._model, urgency), group=RECOGNIZERS_GROUP, on_demand=True
            )
            self._subscriptions[urgency] = await self._exits.enter_async_context(subscription)
        self._tasks = [
            asyncio.create_task(self._read(one, subscription), name=f"jobs: {one.value}")
            for one, subscription in self._subscriptions.items()
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.give_back_rest(for_good=True)
        await self._exits.aclose()

    def broker_changed(self) -> None:
        """It was away, or is back: what comes now may be old."""
        self._asking_since = asyncio.get_running_loop().time()

    async def next_jobs(self) -> list[TakenJob]:
        """Wait for a job, and take those with it that are of the same kind and can be done together."""
        loop = asyncio.get_running_loop()
        self._asking_since, self._asking = loop.time(), True
        try:
            for urgency in Urgency:
                self._subscriptions[urgency].want(self._at_once)
                if await self._comes(urgency, STAGGER_SECONDS):
                    break
            else:
                await self._comes(Urgency.FILE, None)
            if not self._is_here(Urgency.FINAL):
                await asyncio.sleep(
                    STAGGER_SECONDS
                )  # what is more urgent was asked for before, and may be on its way
            if self._at_once > 1 and loop.time() - self._asking_since < WAITED_SECONDS:
                await asyncio.sleep(MORE_SECONDS)
            return self._picked()
        finally:
            self._asking = False
            for subscription in self._subscriptions.values():
                subscription.want(0)

    async def give_back(self, job: TakenJob) -> bool:
        """For somebody else, at once; false: it cannot be now, and is still ours."""
        message = job.delivery.message
        headers = {
            **message.headers,
            PASSED_ON: str(1 + _number(job.delivery, PASSED_ON)),
            TRIED: str(job.attempt - 1),
        }
        try:
            await self._broker.publish(
                message.topic,
                message.routing_key,
                message.payload,
                correlation_id=message.correlation_id,
                content_type=message.content_type,
                headers=headers,
            )
            await job.delivery.ack()
        except BrokerError as error:
            log.info("a job could not be given back", reason=str(error))
            return False
        return True

    async def _read(self, urgency: Urgency, subscription: Subscription) -> None:
        loop = asyncio.get_running_loop()
        async for delivery in subscription:
            now = loop.time()
            fresh = (
                self._asking
                and now - self._asking_since > FRESH_SECONDS
                and delivery.attempt == 1
                and PASSED_ON not in delivery.message.headers
            )
            self._here[urgency].append(TakenJob(delivery, urgency, now, fresh))
            self._came.set()
            if not self._asking:
                await self.give_back_rest()

    async def _comes(self, least: Urgency, seconds: float | None) -> bool:
        """Whether one that is as urgent as ``least`` is here within the time."""
        try:
            async with asyncio.timeout(seconds):
                while not self._is_here(least):
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            return False
        return True

    def _is_here(self, least: Urgency) -> bool:
        kinds = [*Urgency]
        return any(self._here[one] for one in kinds[: kinds.index(least) + 1])

    def _picked(self) -> list[TakenJob]:
        kind = next(one for one in Urgency if self._here[one])
        waiting = self._here[kind]
        return [waiting.popleft() for _ in range(min(len(waiting), self._at_once))]

    async def give_back_rest(self, *, for_good: bool = False) -> None:
        """What is here and was not taken. What was passed on too often stays, unless it is ``for_good``."""
        rest = [job for waiting in self._here.values() for job in waiting]
        for waiting in self._here.values():  # at once: what comes meanwhile may be asked for already
            waiting.clear()
        for job in rest:
            stays = not for_good and _number(job.delivery, PASSED_ON) >= MOST_PASSED_ON
            if stays or not await self.give_back(job):
                self._here[job.urgency].append(job)
                self._came.set()


def _number(delivery: Delivery, header: str) -> int:
    told = delivery.message.headers.get(header, "")[:6]
    return int(told) if told.isascii() and told.isdigit() else 0
