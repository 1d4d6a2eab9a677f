"""Reading Redis streams: for a group through a consumer group, else from the stream's end on.

Everything here is commands and what their answers mean; the client and its errors are
:mod:`gateway.broker.backends.redis`'s.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from gateway.broker.backends.redis_answers import whole
from gateway.broker.backends.redis_entries import entries, group, order, received, stream_key, text
from gateway.broker.base import CANNOT_TELL, BrokerUnavailable
from gateway.broker.wire import BRIEF_SECONDS, Demand, Intake, Token

BATCH = 512
"""So many commands or entries travel in one go."""
READ_BYTES = 16 * 1024 * 1024
"""So much is asked for at once, if what comes is as large as what came last."""
BLOCK_SECONDS = 2.0
"""A read waits so long at the server, and is then sent again."""
MORE_SECONDS = 0.001
"""Where messages have come, more are coming: a read for all of them costs as much as one for each."""
FORGOTTEN_SECONDS = 86_400
"""A consumer without anything pending that was away for so long is removed from its group."""


READING_SECONDS = 10.0
"""A consumer that has not asked for so long is not there."""
LET_GO_SHARE = 0.8
"""Of its lease work that nobody has renewed meanwhile is taken over. It is renewed three times as often."""
SWEEPS = 10
"""In a lease it is looked so often for such work."""
BEYOND = "18446744073709551615-0"
"""An entry that no stream will ever have."""


class StreamServer(Protocol):
    """The connection that the readers here use."""

    namespace: str

    async def reader(self) -> Any:
        """A client with a connection of its own, for reads that wait at the server."""

    async def end_reading(self, reader: Any, task: asyncio.Task[None]) -> None:
        """Ends the read that waits there, and ``task``, which sent it."""

    def start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Work that ends with the connection; a failure of it is the connection's loss."""

    def translated(self) -> AbstractContextManager[None]:
        """Errors of the client library as ours."""


class Appetite:
    """How many entries are asked for at once: few at first, and then as many as are no more than ``READ_BYTES``.

    The server sends as much as it was asked for, and an entry may have 512 MB.
    """

    def __init__(self) -> None:
        self._most = 1

    def entries(self, room: int = BATCH) -> int:
        """How many to ask for, where there is room for so many."""
        return max(1, min(room, self._most))

    def had(self, came: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        """These came; those of them for which there was room."""
        kept = whole(came)
        if len(kept) < len(came):
            self._most = 1
        elif kept:
            self._look(kept)
        return kept

    def _look(self, came: Sequence[tuple[Any, Any]]) -> None:
        largest = max(sum(map(len, (fields or {}).values())) for _, fields in came)
        self._most = max(1, min(BATCH, 2 * self._most, READ_BYTES // max(1, largest)))


class _Reading(ABC):
    """A read that waits at the server, on a connection of its own, again and again."""

    def __init__(self, wire: StreamServer, client: Any, demand: Demand, intake: Intake) -> None:
        self._wire = wire
        self._client = client
        self._demand = demand
        self._intake = intake
        self._stream = stream_key(wire.namespace, demand.readership.topic)
        self.place = demand.after
        self._appetite = Appetite()

    async def _start(self) -> None:
        self._reader = await self._wire.reader()
        self._stopped = False
        self._task = self._wire.start(self._read_until_stopped(), f"redis {self._stream}")

    async def _read_until_stopped(self) -> None:
        try:
            await self._read()
        except Exception:  # the library's, too, whose connection was closed under its hands
            if not self._stopped:
                raise

    async def _end(self) -> str:
        try:
            with self._wire.translated():
                info = await self._client.xinfo_stream(self._stream)
        except BrokerUnavailable as error:
            if "no such key" in str(error):
                return "0-0"
            raise
        return text(info["last-generated-id"])

    async def _stop(self) -> None:
        self._stopped = True
        await self._wire.end_reading(self._reader, self._task)

    @abstractmethod
    async def _read(self) -> None:
        """Read until stopped."""


class RedisListener(_Reading):
    """``Consumer`` without a group: reads on from where the stream ended."""

    async def begin(self) -> None:
        """Note where the stream ends."""
        self._after = self.place = self.place or await self._end()
        await self._start()

    async def settle(self, tokens: Sequence[Token]) -> None:
        """Nothing is owed."""

    async def renew(self, tokens: Sequence[Token]) -> None:
        """Nothing is owed."""

    async def close(self, unsettled: Sequence[Token]) -> None:  # noqa: ARG002 - nothing is owed
        """Read no more."""
        await self._stop()

    async def _read(self) -> None:
        while not self._stopped:
            count = self._appetite.entries(await self._intake.room())
            with self._wire.translated():
                answer = await self._reader.xread(
                    {self._stream: self._after}, count=count, block=int(BLOCK_SECONDS * 1000)
                )
            came = self._appetite.had(entries(answer))
            for entry_id, fields in came:
                self._after = text(entry_id)
                self._intake.take(received(entry_id, fields, None))


class RedisConsumer(_Reading):
    """``Consumer`` through a consumer group; its tokens are the entries' ids."""

    def __init__(
        self,
        wire: StreamServer,
        client: Any,
        demand: Demand,
        intake: Intake,
        lease_seconds: float,
    ) -> None:
        super().__init__(wire, client, demand, intake)
        self._group = group(demand.readership)
        self._lease = int(lease_seconds * 1000)
        self._sweep_seconds = lease_seconds / 2
        self._block_seconds = min(BLOCK_SECONDS, self._sweep_seconds)
        self._is_work = demand.readership.on_demand
        if self._is_work:  # whoever waits for it waits for no more than the lease in all
            self._lease = int(LET_GO_SHARE * self._lease)
            self._sweep_seconds = lease_seconds / SWEEPS
            self._block_seconds = min(BRIEF_SECONDS, self._sweep_seconds)
        self._swept_at = 0.0
        self._lost = 0

    async def begin(self) -> None:
        """The group is there from now on; one that this process knows and the server lost begins again.

        Work that waits already is work.
        """
        self.place = self.place or ("0-0" if self._is_work else await self._end())
        try:
            with self._wire.translated():
                await self._client.xgroup_create(self._stream, self._group, id=self.place, mkstream=True)
        except BrokerUnavailable as error:
            if "BUSYGROUP" not in str(error):
                raise
            await self._remove_forgotten()
        await self._start()

    async def settle(self, tokens: Sequence[Token]) -> None:
        """XACK; work that is done is deleted, too, for it takes memory and nobody reads it again."""
        with self._wire.translated():
            await self._client.xack(self._stream, self._group, *tokens)
            if self._is_work:
                await self._client.xdel(self._stream, *tokens)

    async def renew(self, tokens: Sequence[Token]) -> None:
        """XCLAIM by the one who has them."""
        with self._wire.translated():
            await self._client.xclaim(
                self._stream, self._group, self._demand.name, 0, list(tokens), justid=True
            )

    async def close(self, unsettled: Sequence[Token]) -> None:
        """Read no more; what is pending looks abandoned, so that the next sweep of another takes it."""
        await self._stop()
        name = self._demand.name
        with self._wire.translated():
            pending = await self._client.xpending_range(
                self._stream, self._group, "-", "+", len(unsettled) + BATCH, name
            )
            if pending:
                ids: list[Any] = [row["message_id"] for row in pending]
                await self._client.xclaim(
                    self._stream, self._group, name, 0, ids, idle=self._lease, justid=True
                )
            else:
                await self._client.xgroup_delconsumer(self._stream, self._group, name)

    async def _read(self) -> None:
        await self._read_own()
        loop = asyncio.get_running_loop()
        while not self._stopped:
            count = self._appetite.entries(await self._intake.room())
            if loop.time() - self._swept_at > self._sweep_seconds:
                self._swept_at = loop.time()
                await self._sweep(count)
                continue
            with self._wire.translated():
                answer = await self._reader.xreadgroup(
                    self._group,
                    self._demand.name,
                    {self._stream: ">"},
                    count=count,
                    block=max(1, int(self._block_seconds * 1000)),
                )
            came = entries(answer)
            self._take(kept := self._appetite.had(came))
            if len(kept) < len(came):  # the rest, before all that comes behind it
                await self._read_own(kept[-1][0], attempt=1)
            if answer:
                await asyncio.sleep(MORE_SECONDS)
            else:
                await self._say_so()

    async def _say_so(self) -> None:
        """For Redis before 7.2 who asks in vain is idle; who asks for its own is there, and it has nothing so late."""
        with self._wire.translated():
            await self._reader.xreadgroup(self._group, self._demand.name, {self._stream: BEYOND}, count=1)

    async def _read_own(self, after: Any = "0", attempt: int = 2) -> None:
        """What the server has given to this consumer, some of it perhaps into a broken connection."""
        while not self._stopped:
            await self._intake.room()
            with self._wire.translated():
                answer = await self._reader.xreadgroup(
                    self._group, self._demand.name, {self._stream: after}, count=self._appetite.entries()
                )
            own = self._appetite.had(entries(answer))
            if not own:
                return
            self._take(own, dict.fromkeys((entry_id for entry_id, _ in own), attempt))
            after = own[-1][0]

    def _take(self, read: list[tuple[Any, Any]], attempts: dict[Any, int] | None = None) -> None:
        gone = 0
        for entry_id, fields in read:
            if not fields:  # trimmed while it was pending
                gone += 1
            else:
                attempt = (attempts or {}).get(entry_id, 1)
                self._intake.take(received(entry_id, fields, entry_id, attempt))
        if gone:
            self._intake.lost(gone)

    async def _sweep(self, count: int) -> None:
        """Take over what others have let go; notice what was trimmed before the group read it."""
        name = self._demand.name
        with self._wire.translated():
            _, claimed, *deleted = await self._client.xautoclaim(
                self._stream, self._group, name, min_idle_time=self._lease, count=count
            )
            claimed, attempts = self._appetite.had(claimed), {}
            if claimed:
                first, last = claimed[0][0], claimed[-1][0]
                pending = await self._client.xpending_range(
                    self._stream, self._group, first, last, len(claimed) + BATCH, name
                )
                attempts = {row["message_id"]: int(row["times_delivered"]) for row in pending}
            lost = await self._trimmed()
        self._take(claimed, attempts)
        lost_now = max(0, lost - self._lost) + (len(deleted[0]) if deleted else 0)
        self._lost = lost
        if lost_now:
            self._intake.lost(lost_now)

    async def _trimmed(self) -> int:
        """How many entries the group has not read and never will."""
        groups = await self._client.xinfo_groups(self._stream)
        stream = await self._client.xinfo_stream(self._stream)  # after them: what comes meanwhile is no loss
        group = next((row for row in groups if text(row["name"]) == self._group), None)
        lag = group.get("lag") if group else None
        if group is None or lag is None:
            return 0
        first = stream.get("first-entry")
        if first is not None and order(first[0]) <= order(group["last-delivered-id"]):
            return 0
        return max(0, int(lag) - int(stream["length"]))

    async def _remove_forgotten(self) -> None:
        with self._wire.translated():
            for row in await self._client.xinfo_consumers(self._stream, self._group):
                if not row["pending"] and row["idle"] > FORGOTTEN_SECONDS * 1000:
                    await self._client.xgroup_delconsumer(self._stream, self._group, row["name"])


async def reading(client: Any, stream: str, only: str = "") -> int:
    """Consumers of a stream's groups that have asked for more lately; ``only``: of this group."""
    if not await client.exists(stream):
        return 0
    groups = [text(row["name"]) for row in await client.xinfo_groups(stream)]
    rows = [
        row
        for name in groups
        if not only or name == only
        for row in await client.xinfo_consumers(stream, name)
    ]
    return sum(row["idle"] < READING_SECONDS * 1000 for row in rows)


async def waiting(client: Any, stream: str, group: str) -> int:
    """Entries that a group was not given yet (Redis 7 tells), and those it has not settled; or CANNOT_TELL."""
    rows = await client.xinfo_groups(stream) if await client.exists(stream) else []
    for row in rows:
        if text(row["name"]) == group and row.get("lag") is not None:
            return int(row["lag"]) + int(row["pending"])
    return CANNOT_TELL
