"""Audio that is too large for its job: left at a place of which the job tells, and collected there by who does it.

The place is the broker's own where it has one (NATS, Redis); else the gateway keeps it, and gives it to whoever has
the address, of which a long random part is the secret.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from gateway.access.loopback import is_guarded
from gateway.broker.base import BufferFull, Deposits, MessageBroker, NoDeposits
from gateway.contract.messages import MESSAGE_BYTES
from gateway.contract.recognition import ClaimCheck

STORE: Final = "store"
HTTPS: Final = "https"
AUDIO_PATH: Final = "/recognition/audio/"
"""Where the gateway's web server has what it keeps, each under its secret."""
HELD_BYTES: Final = 64 * 1024 * 1024
"""Kept by one gateway at a time."""
MOST_TIMES: Final = 5
"""So often one is given away: a worker may die over it, and the next one fetches it, too."""
_AUDIO = re.compile(rf"{AUDIO_PATH}[A-Za-z0-9_-]{{32,64}}\Z")

Fetch = Callable[[str, int], Awaitable[bytes]]
"""What lies at an address, up to so many bytes. Raises BrokerUnavailable and NotThere."""


class NotThere(Exception):
    """What the claim check is for is not there any more, or is not what it should be."""


class _Kept(Struct):
    data: bytes
    until: float
    left: int = MOST_TIMES


class HeldAudio:
    """What a gateway keeps itself for workers: bounded, each for a while, in memory."""

    def __init__(self, address: str, most_bytes: int = HELD_BYTES) -> None:
        """``address``: of the gateway's web server as workers reach it; empty: they do not, and nothing is kept."""
        self._address = address.rstrip("/")
        self._most = most_bytes
        self._kept: dict[str, _Kept] = {}

    def keep(self, data: bytes, seconds: float) -> str:
        """Its address. Raises BufferFull; the oldest do not go, for somebody waits for each."""
        if not self._address:
            raise BufferFull("the broker keeps messages only, and this gateway has no address for workers")
        now = asyncio.get_running_loop().time()
        self._kept = {secret: one for secret, one in self._kept.items() if one.until > now}
        if sum(len(one.data) for one in self._kept.values()) + len(data) > self._most:
            raise BufferFull(f"{self._most} bytes of audio wait to be fetched already")
        secret = secrets.token_urlsafe(32)
        self._kept[secret] = _Kept(data, now + seconds)
        return f"{self._address}{AUDIO_PATH}{secret}"

    def give(self, secret: str) -> bytes | None:
        """To whoever knows the secret, some few times; None: there is nothing of that name, or no longer."""
        one = self._kept.get(secret)
        if one is None or not one.left or one.until <= asyncio.get_running_loop().time():
            return None
        one.left -= 1
        return one.data

    def discard(self, key: str) -> None:
        """Nobody needs it any more."""
        self._kept.pop(key.rpartition("/")[2], None)


class ClaimChecks:
    """Both sides of it: ``leave`` and ``discard`` are the gateway's, ``collect`` is the worker's."""

    def __init__(
        self, broker: MessageBroker, *, held: HeldAudio | None = None, fetch: Fetch | None = None
    ) -> None:
        """``held``: where a gateway keeps what its broker does not. ``fetch``: how a worker has that."""
        self._store = broker if isinstance(broker, Deposits) else None
        self._held = held
        self._fetch = fetch

    async def leave(self, data: bytes, seconds: float) -> ClaimCheck:
        """It is there for so long. Raises BrokerUnavailable, BufferFull, and NoDeposits where there is no place."""
        if len(data) > MESSAGE_BYTES:
            raise BufferFull(f"{len(data)} bytes are more than any job may have ({MESSAGE_BYTES})")
        key, place = secrets.token_urlsafe(24), STORE
        try:
            await self._place().deposit(key, data, seconds)
        except NoDeposits:
            if self._held is None:
                raise
            key, place = self._held.keep(data, seconds), HTTPS
        return ClaimCheck(place=place, key=key, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    async def collect(self, claim: ClaimCheck) -> bytes:
        """What was left. Raises BrokerUnavailable (try again), NotThere."""
        if claim.bytes > MESSAGE_BYTES:
            raise NotThere(f"{claim.bytes} bytes are more than any job may have ({MESSAGE_BYTES})")
        data = await (self._collect_stored(claim) if claim.place == STORE else self._collect_held(claim))
        if len(data) != claim.bytes or hashlib.sha256(data).hexdigest() != claim.sha256:
            raise NotThere("what lies there is not what was left there")
        return data

    async def discard(self, claim: ClaimCheck) -> None:
        """Nobody needs it any more. Raises BrokerUnavailable; it goes by itself when its time is over."""
        if claim.place == STORE:
            await self._place().discard(claim.key)
        elif self._held is not None:
            self._held.discard(claim.key)

    async def _collect_stored(self, claim: ClaimCheck) -> bytes:
        try:
            data = await self._place().deposited(claim.key, claim.bytes)
        except (NoDeposits, ValueError) as error:
            raise NotThere(str(error)) from error
        if data is None:
            raise NotThere("it is not there, or no longer")
        return data

    def _place(self) -> Deposits:
        if self._store is None:
            raise NoDeposits("this broker keeps messages only")
        return self._store

    async def _collect_held(self, claim: ClaimCheck) -> bytes:
        if self._fetch is None:
            raise NotThere("this worker fetches nothing from gateways")
        return await self._fetch(audio_address(claim.key), claim.bytes)


def audio_address(key: str) -> str:
    """The address, if it is one of a gateway's. Raises NotThere: whoever publishes jobs names no other places."""
    if not is_guarded(key):
        raise NotThere("that is no address of a gateway's audio over TLS")
    if not _AUDIO.search(key):
        raise NotThere("that is no address of a gateway's audio")
    return key
