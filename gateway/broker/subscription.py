"""What a subscriber holds: its place at a buffer, from which it takes deliveries."""

from __future__ import annotations

import asyncio
from typing import Protocol, Self

from gateway.broker.base import BrokerError, BufferPolicy
from gateway.broker.buffer import Buffer, BufferedDelivery, Member, Readership

TURN = 64
"""So many messages pass in one go before other tasks get their turn."""


class BufferOwner(Protocol):
    """A broker that puts messages into buffers."""

    async def join(self, readership: Readership, policy: BufferPolicy) -> tuple[Buffer, Member]:
        """The buffer that a beginning subscription is to read, and its place there."""

    async def leave(self, buffer: Buffer) -> None:
        """A subscription of ``buffer`` has ended and given its place back."""

    def want(self, buffer: Buffer, messages: int) -> None:
        """So many more may come into it."""


class BufferSubscription:
    """``Subscription`` of a broker whose messages come through a buffer of this process."""

    def __init__(self, owner: BufferOwner, readership: Readership, policy: BufferPolicy) -> None:
        self._owner = owner
        self._wanted = (readership, policy)
        self._buffer: Buffer | None = None
        self._member: Member | None = None
        self._since_pause = 0

    async def __aenter__(self) -> Self:
        """Begin; messages published from now on are delivered."""
        if self._buffer is not None:
            raise BrokerError("a subscription begins once")
        self._buffer, self._member = await self._owner.join(*self._wanted)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End; what is unsettled goes to the others of the group."""
        buffer, member, self._member = self._begun(), self._member, None
        if member is not None and not buffer.closed:
            buffer.leave(member)
            await self._owner.leave(buffer)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BufferedDelivery:
        """The next delivery; ends when the broker is closed or the subscription has ended."""
        buffer = self._begun()
        self._since_pause += 1
        if self._since_pause >= TURN:
            self._since_pause = 0
            await asyncio.sleep(0)
        while self._member is not None and not buffer.closed:
            delivery = buffer.take(self._member)
            if delivery is not None:
                buffer.counters.delivered += 1
                return delivery
            self._since_pause = 0
            reader = buffer.reader()
            try:
                await reader
            except asyncio.CancelledError:
                buffer.give_up(reader)
                raise
        raise StopAsyncIteration

    def want(self, messages: int) -> None:
        """As in the contract."""
        self._owner.want(self._begun(), messages)

    @property
    def pending(self) -> int:
        """Messages waiting in the buffer; its group shares them."""
        return self._begun().pending

    @property
    def pending_bytes(self) -> int:
        """Their payload bytes."""
        return self._begun().pending_bytes

    @property
    def dropped(self) -> int:
        """Messages lost to the buffer's policy."""
        return self._begun().dropped

    def _begun(self) -> Buffer:
        if self._buffer is None:
            raise BrokerError("a subscription begins with 'async with'")
        return self._buffer
