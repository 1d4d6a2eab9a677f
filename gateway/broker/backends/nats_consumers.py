"""Pulling from a JetStream consumer: durable for a group, else one that the server forgets.

Messages come by requests for so many: one is open as long as there is room, and the server answers it
as messages come. The client library and its errors are :mod:`gateway.broker.backends.nats`'s.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, Protocol

from msgspec import Struct

from gateway.broker.backends.nats_subjects import received, stream_name
from gateway.broker.base import BrokerError, BrokerUnavailable
from gateway.broker.wire import BRIEF_SECONDS, Demand, Intake, Token

BATCH = 512
"""A request asks for no more messages."""
REQUEST_SECONDS = 1.0
"""A request is open so long, and is then made again. Whatever comes for one of a connection that is dead, and of which
the server does not know, is lost on the way: it ends before anybody has noticed the loss and asks anew."""
LOOK_SECONDS = 5.0
"""So often it is looked whether the stream has given up what was not read."""
EXPIRED_SECONDS = 0.2
"""So long after its time a request is over, though the server has not said so."""
MOST_SILENT = 3
"""So many in a row of which nothing came at all, and the server is not well."""
SILENT = "NATS does not answer a request for messages"
GRACE_SECONDS = 3.0
"""A server that has not ended a request so long after its time hangs."""
LET_GO = b'-NAK {"delay": 250000000}'
"""For somebody else, in nanoseconds from now: until then the server may still think that our last
request is open, and give it to us again."""


TAKE_BACK = b"-NAK"
"""Deliver it again, now."""
MOST_TAKEN_BACK = 1024
"""Messages behind the last one delivered that are looked at; what was lost on the way is among the latest."""


class Deliveries(Struct, frozen=True):
    """How far a consumer is. ``last`` and ``settled_to`` are numbers in the stream, the latter before all unsettled.

    ``count``: deliveries so far. ``requests``: those for messages that are open.
    """

    last: int
    settled_to: int
    count: int
    unsettled: int
    requests: int


class StreamAdmin(Protocol):
    """What consumers here ask of JetStream itself."""

    async def forget(self, stream: str, consumer: str) -> None:
        """Delete a consumer that nobody needs any more."""

    async def deliveries(self, stream: str, consumer: str) -> Deliveries:
        """How far the consumer is."""

    async def unread(self, stream: str, consumer: str) -> int:
        """How many messages the consumer has not been given and never will be."""


class JetStream(Protocol):
    """The connection that consumers here use."""

    client: Any

    @property
    def streams(self) -> StreamAdmin:
        """What there is at its server."""

    def start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Work that ends with the connection; a failure of it is the connection's loss."""

    def translated(self) -> AbstractContextManager[None]:
        """Errors of the client library as ours."""


class JetStreamConsumer:
    """``Consumer``; its tokens are the subjects that settlements are published on."""

    def __init__(self, wire: JetStream, consumer: str, place: str, demand: Demand, intake: Intake) -> None:
        self.place = place
        self._wire = wire
        self._topic = demand.readership.topic
        self._stream = stream_name(self._topic)
        self._consumer = consumer
        self._durable = bool(demand.readership.group)
        self._again = bool(demand.after)
        self._intake = intake
        self._request_seconds = BRIEF_SECONDS if demand.readership.on_demand else REQUEST_SECONDS
        self._wanted = 0
        self._answered = asyncio.Event()
        self._unread = 0
        self._silent = 0
        self._looked_at = 0.0

    async def begin(self) -> None:
        """Ask for the first messages, those before them that a lost connection has swallowed."""
        if self._durable and self._again:
            await self._take_back()
        self._inbox = self._wire.client.new_inbox()
        with self._wire.translated():
            self._subscription = await self._wire.client.subscribe(self._inbox, cb=self._take)
        self._task = self._wire.start(self._pull(), f"nats {self._stream} {self._consumer}")

    async def settle(self, tokens: Sequence[Token]) -> None:
        """Acknowledge; the server has heard it when it answers the ping that follows."""
        await self._tell(tokens, b"+ACK")

    async def renew(self, tokens: Sequence[Token]) -> None:
        """In progress."""
        await self._tell(tokens, b"+WPI")

    async def close(self, unsettled: Sequence[Token]) -> None:
        """Ask for nothing more; what is unsettled is for others, almost at once."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        with self._wire.translated():
            await self._subscription.unsubscribe()
        await self._tell(unsettled, LET_GO)
        if not self._durable:
            with suppress(BrokerError):
                await self._wire.streams.forget(self._stream, self._consumer)

    async def _take_back(self) -> None:
        """Have the server deliver again what it sent into the connection before this one, before all newer ones.

        It would do so by itself when the leases are over, and behind them. Which deliveries were lost it does
        not say, so all unsettled ones are meant: those that are in hand here are known as repeated. Where others of
        the group are waiting for messages it is left to the leases, as the unsettled ones may be in their hands.
        """
        now = await self._wire.streams.deliveries(self._stream, self._consumer)
        if not now.unsettled or now.requests > 1:  # one may be that of the lost connection
            return
        first = max(now.settled_to, now.last - MOST_TAKEN_BACK) + 1
        lost = range(first, now.last + 1)
        await self._tell(
            [f"$JS.ACK.{self._stream}.{self._consumer}.1.{number}.{now.count}.0.0" for number in lost],
            TAKE_BACK,
        )

    async def _tell(self, tokens: Sequence[Token], what: bytes) -> None:
        with self._wire.translated():
            for token in tokens:
                await self._wire.client.publish(token, what)
            await self._wire.client.flush()

    async def _pull(self) -> None:
        ask = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        while True:
            self._wanted = min(await self._intake.room(), BATCH)
            self._answered.clear()
            request = {"batch": self._wanted, "expires": int(self._request_seconds * 1e9)}
            with self._wire.translated():
                await self._wire.client.publish(ask, json.dumps(request).encode(), reply=self._inbox)
            await self._until_answered()

    async def _until_answered(self) -> None:
        """A server before 2.9.16 now and then does not say that a request is over; it is, when its time is."""
        try:
            async with asyncio.timeout(self._request_seconds + EXPIRED_SECONDS):
                await self._answered.wait()
        except TimeoutError:
            self._silent += 1
            await self._until_it_lives()
        now = asyncio.get_running_loop().time()
        if self._wanted and self._durable and now - self._looked_at > LOOK_SECONDS:
            self._looked_at = now
            unread = await self._wire.streams.unread(self._stream, self._consumer)
            if unread > self._unread:
                self._intake.lost(unread - self._unread)
            self._unread = unread

    async def _until_it_lives(self) -> None:
        """Whatever it has sent before its answer to a ping is here then."""
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                with self._wire.translated():
                    await self._wire.client.flush()
        except TimeoutError as error:
            raise BrokerUnavailable(SILENT) from error
        if self._silent > MOST_SILENT:
            raise BrokerUnavailable(SILENT)

    async def _take(self, message: Any) -> None:
        self._silent = 0
        if message.subject == self._inbox:  # not a message but the end of the request, and why
            self._end_request(message.headers or {})
            return
        self._wanted -= 1
        self._intake.take(
            received(
                self._topic,
                message.subject,
                message.data,
                message.headers,
                message.reply,
                settled=not self._durable,
            )
        )
        if self._wanted <= 0:
            self._answered.set()

    def _end_request(self, headers: dict[str, str]) -> None:
        status = headers.get("Status", "")
        if status == "100":
            return  # a heartbeat
        if status == "409" and "Consumer Deleted" in headers.get("Description", ""):
            self._wire.start(_gone(), "nats consumer")
        self._answered.set()


async def _gone() -> None:
    raise BrokerUnavailable("the consumer was deleted at the server")
