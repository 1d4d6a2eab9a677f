"""Reading Kafka: as a member of a consumer group, or all partitions from their ends on.

What a group's member has read and not settled stays its own as long as the partition is its own; a partition that
goes to another member goes with all that is unsettled in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from gateway.broker.backends.kafka_client import REBALANCING, KafkaClient, KafkaMember
from gateway.broker.backends.kafka_progress import PartitionProgress
from gateway.broker.backends.kafka_records import read_positions, received, spell_positions
from gateway.broker.backends.work import Work
from gateway.broker.base import BrokerError, BrokerUnavailable
from gateway.broker.wire import BRIEF_SECONDS, Demand, Intake, Token

POLL_SECONDS = 1.0
JOIN_SECONDS = 2.0
"""A reader that begins waits so long for its share; what is published meanwhile is kept for its group anyway."""


class KafkaPlace(Struct, frozen=True):
    """What reads, and where."""

    cluster: KafkaClient
    consumer: KafkaMember
    work: Work
    topic: str


async def ends(consumer: KafkaMember, topic: str, partitions: int) -> dict[int, int]:
    """What will be written next."""
    parts = [consumer.part(topic, one) for one in range(partitions)]
    return {part.partition: offset for part, offset in (await consumer.end_offsets(parts)).items()}


class _Reading:
    def __init__(self, here: KafkaPlace, demand: Demand, intake: Intake) -> None:
        self.place = demand.after
        self._cluster = here.cluster
        self._consumer = here.consumer
        self._start = here.work.start
        self._topic = here.topic
        self._intake = intake
        self._poll_seconds = BRIEF_SECONDS if demand.readership.on_demand else POLL_SECONDS
        self._before = read_positions(demand.after)
        self._task: asyncio.Task[None] | None = None

    async def settle(self, tokens: Sequence[Token]) -> None:
        """Nothing is owed."""

    async def renew(self, tokens: Sequence[Token]) -> None:
        """There are no leases: the member's heartbeat says that it lives."""

    async def _poll(self) -> dict[int, list[Any]]:
        room = await self._intake.room()
        with self._cluster.translated():
            come = await self._consumer.getmany(timeout_ms=int(self._poll_seconds * 1000), max_records=room)
        return {part.partition: records for part, records in come.items()}

    async def lose(self) -> None:
        """Its connection is gone; to its group it is still a member, that comes back."""
        await self._consumer.stop()

    async def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class KafkaListener(_Reading):
    """``Consumer`` without a group."""

    async def begin(self, partitions: int) -> None:
        """Note where the partitions end; those that are new are read from their beginning."""
        self._positions = dict(self._before)
        with self._cluster.translated():
            await self._consumer.start()
            for one, end in (await ends(self._consumer, self._topic, partitions)).items():
                self._positions.setdefault(one, 0 if self._before else end)
            self._assign()
        self.place = spell_positions(self._positions)
        self._task = self._start(self._read(), f"kafka {self._topic}")

    async def close(self, unsettled: Sequence[Token]) -> None:  # noqa: ARG002 - nothing is owed
        """Read no more."""
        await self._stop()
        with self._cluster.translated():
            await self._consumer.stop()

    def _assign(self) -> None:
        parts = {one: self._consumer.part(self._topic, one) for one in self._positions}
        self._consumer.assign(list(parts.values()))
        for one, part in parts.items():
            self._consumer.seek(part, self._positions[one])

    async def _read(self) -> None:
        while True:
            for partition, records in (await self._poll()).items():
                self._positions[partition] = records[-1].offset + 1
                after = spell_positions(self._positions)
                for one in records:
                    self._intake.take(received(one, None, after=after if one is records[-1] else ""))
            known = self._consumer.partitions_for_topic(self._topic) or ()
            if len(known) > len(self._positions):
                for one in known:
                    self._positions.setdefault(one, 0)
                self._assign()


class KafkaConsumer(_Reading):
    """``Consumer`` in a group; its tokens are partition and offset."""

    def __init__(self, here: KafkaPlace, demand: Demand, intake: Intake, group: str) -> None:
        super().__init__(here, demand, intake)
        self._group = group
        self._progress: dict[int, PartitionProgress] = {}
        self._committed: dict[int, tuple[int, str]] = {}
        self._shared_out = asyncio.Event()
        self._committing = asyncio.Lock()

    async def begin(self) -> None:
        """Become a member."""
        self._consumer.join(self._topic, self._revoked, self._assigned)
        self._task = self._start(self._join_and_read(), f"kafka {self._group}")
        waiting = asyncio.ensure_future(self._shared_out.wait())
        await asyncio.wait({waiting, self._task}, timeout=JOIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def settle(self, tokens: Sequence[Token]) -> None:
        """A commit for each partition. What is another's now is left to it: it will come again there."""
        mine = {partition for partition, _ in tokens if partition in self._progress}
        for partition, offset in tokens:
            if partition in mine:
                self._progress[partition].settle(offset)
        await self._commit(mine)

    async def close(self, unsettled: Sequence[Token]) -> None:  # noqa: ARG002 - what was not committed is unsettled
        """Leave the group."""
        await self._stop()
        with self._cluster.translated():
            await self._consumer.leave()

    # -- how far

    async def _commit(self, partitions: set[int]) -> None:
        """Raises BrokerUnavailable; then it is to be done again."""
        async with self._committing:
            if not self._shared_out.is_set():
                raise BrokerUnavailable(REBALANCING)
            places = {one: self._place_in(one) for one in partitions if one in self._progress}
            new = {one: place for one, place in places.items() if self._committed.get(one) != place}
            if new:
                with self._cluster.translated():
                    await self._consumer.commit_to(self._topic, new)
                self._committed.update(new)

    def _place_in(self, partition: int) -> tuple[int, str]:
        progress = self._progress[partition]
        return progress.floor, progress.text()

    async def _revoked(self, partitions: list[int]) -> None:  # noqa: ARG002 - all of them
        """The group is being shared out. What was settled is told first."""
        try:
            await self._commit(set(self._progress))
        except BrokerError:
            pass  # it comes again, perhaps to another
        finally:
            self._shared_out.clear()

    async def _assigned(self, partitions: list[int]) -> None:
        """These are ours from now on."""
        self._start(self._take_over(partitions), f"kafka {self._group} partitions")

    async def _take_over(self, partitions: list[int]) -> None:
        """Go on in those that nobody else had meanwhile, and begin in the others where they were left."""
        async with self._committing:
            told = await self._cluster.committed(self._group, self._topic, max(partitions, default=-1) + 1)
            before, self._progress = self._progress, {}
            for one in partitions:
                place = told.get(one, (0, ""))
                kept = one in before and self._committed.get(one, place) == place
                self._progress[one] = (
                    before.pop(one) if kept else PartitionProgress(*place, seen=self._before.get(one, 0))
                )
                self._committed[one] = place
                self._consumer.seek(self._consumer.part(self._topic, one), self._progress[one].next)
        lost = [(one, offset) for one, progress in before.items() for offset in progress.unsettled()]
        if lost:
            self._intake.revoked(lost)
        self._shared_out.set()

    # -- reading

    async def _join_and_read(self) -> None:
        with self._cluster.translated():
            await self._consumer.start()
        while True:
            come = await self._poll()
            if come and self._shared_out.is_set():
                await self._take(come)

    async def _take(self, come: dict[int, list[Any]]) -> None:
        for partition, records in come.items():
            progress = self._progress.get(partition)
            if progress is None:
                continue
            if records[0].offset != progress.next:
                progress = await self._skip(partition, progress, records[0].offset)
            for one in records:
                attempt = progress.take(one.offset)
                if attempt:
                    last = one is records[-1]
                    after = spell_positions(self._positions()) if last else ""
                    self._intake.take(received(one, (partition, one.offset), attempt, after))

    def _positions(self) -> dict[int, int]:
        return self._before | {one: progress.next for one, progress in self._progress.items()}

    async def _skip(self, partition: int, progress: PartitionProgress, offset: int) -> PartitionProgress:
        """There is nothing before ``offset`` any more; what of it was given up unread is lost."""
        if offset < progress.next:  # the topic was made anew
            self._progress[partition] = PartitionProgress(offset)
            return self._progress[partition]
        part = self._consumer.part(self._topic, partition)
        with self._cluster.translated():
            beginning = (await self._consumer.beginning_offsets([part]))[part]
        lost = min(beginning, offset) - progress.next
        if lost > 0:
            self._intake.lost(lost)
        return progress
