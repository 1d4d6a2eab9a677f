"""Audio that is too large for its job: left at a place of which the job tells, and collected there by who does it.

The place is the broker's own, where it has one (NATS, Redis).
"""

from __future__ import annotations

import hashlib
import secrets

from gateway.broker.base import BufferFull, Deposits, MessageBroker, NoDeposits
from gateway.contract.messages import MESSAGE_BYTES
from gateway.contract.recognition import ClaimCheck


class NotThere(Exception):
    """What the claim check is for is not there any more, or is not what it should be."""


class ClaimChecks:
    """Both sides of it: ``leave`` and ``discard`` are the gateway's, ``collect`` is the worker's."""

    def __init__(self, broker: MessageBroker) -> None:
        self._store = broker if isinstance(broker, Deposits) else None

    async def leave(self, data: bytes, seconds: float) -> ClaimCheck:
        """It is there for so long. Raises BrokerUnavailable, BufferFull, and NoDeposits where there is no place."""
        if len(data) > MESSAGE_BYTES:
            raise BufferFull(f"{len(data)} bytes are more than any job may have ({MESSAGE_BYTES})")
        key = secrets.token_urlsafe(24)
        await self._place().deposit(key, data, seconds)
        return ClaimCheck(place="store", key=key, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    async def collect(self, claim: ClaimCheck) -> bytes:
        """What was left. Raises BrokerUnavailable (try again), NotThere."""
        if claim.bytes > MESSAGE_BYTES:
            raise NotThere(f"{claim.bytes} bytes are more than any job may have ({MESSAGE_BYTES})")
        try:
            data = await self._place().deposited(claim.key, claim.bytes)
        except (NoDeposits, ValueError) as error:
            raise NotThere(str(error)) from error
        if data is None:
            raise NotThere("it is not there, or no longer")
        if len(data) != claim.bytes or hashlib.sha256(data).hexdigest() != claim.sha256:
            raise NotThere("what lies there is not what was left there")
        return data

    async def discard(self, claim: ClaimCheck) -> None:
        """Nobody needs it any more. Raises BrokerUnavailable; it goes by itself when its time is over."""
        await self._place().discard(claim.key)

    def _place(self) -> Deposits:
        if self._store is None:
            raise NoDeposits("this broker keeps messages only")
        return self._store
