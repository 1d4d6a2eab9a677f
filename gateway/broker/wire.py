"""The border between what all brokers on the network have in common and each one's own protocol.

An adapter is one file with a ``connect`` (a :class:`Connect`) that returns a :class:`Wire`. It maps and
it translates errors, and nothing else: reconnecting, buffers, redelivery, dead letters and health are
:mod:`gateway.broker.network`'s.

The errors of an adapter are BrokerUnavailable (try again), BrokerRefused (somebody must change
something first) and BufferFull (this message is too large for this server). Whatever its client
library raises beyond those is a mistake of the adapter, and ends the connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct

from gateway.broker.address import Address
from gateway.broker.base import Durability, Message
from gateway.broker.buffer import Readership
from gateway.contract.agents import PRESENCE_TOPIC
from gateway.contract.house import (
    ASKS_TOPIC,
    COMMANDS_TOPIC,
    DONE_TOPIC,
    EVENTS_TOPIC,
    GATEWAYS_TOPIC,
    TOLD_TOPIC,
)
from gateway.contract.recognition import JOBS_TOPIC, WORKERS_TOPIC
from gateway.contract.recognition import RESULTS_TOPIC as RECOGNIZED_TOPIC
from gateway.settings.broker import BrokerSettings

Token: TypeAlias = Any
"""What an adapter needs to settle one delivery; the same or an equal one for the same delivery."""

GATHER_SECONDS = 1.0
"""Readers of ours are back within this time after a loss."""

PRESENCES = 1_000
"""Kept where a server keeps what was read: each agent tells it every second, and a moment later it is of no use."""
AT_MOST: Final = {
    PRESENCE_TOPIC: PRESENCES,
    GATEWAYS_TOPIC: PRESENCES,
    ASKS_TOPIC: PRESENCES,
    TOLD_TOPIC: PRESENCES,
    COMMANDS_TOPIC: PRESENCES,
    DONE_TOPIC: PRESENCES,
    EVENTS_TOPIC: 10_000,  # who has missed one asks a gateway for it
    WORKERS_TOPIC: PRESENCES,
    RECOGNIZED_TOPIC: 10_000,  # each gateway reads its own at once
}
JOBS: Final = 1_000
"""Of one kind that wait for a recognizer, with their audio; where more do, nobody waits for the oldest any more."""
BRIEF_SECONDS: Final = 0.25
"""A request for messages on demand is open so long: who finds other work meanwhile is soon not given more."""


def most_kept(topic: str, settings: BrokerSettings) -> int:
    """How many messages of a topic a server is to keep."""
    if topic.startswith(f"{JOBS_TOPIC}."):
        return min(JOBS, settings.stream_messages)
    return min(AT_MOST.get(topic, settings.stream_messages), settings.stream_messages)


class ServerFacts(Struct, frozen=True, kw_only=True):
    """What a server says about itself.

    ``durability`` is what its confirmation means, as it is configured now. ``weaknesses`` are sentences for
    people. ``lease_seconds``: after so long without a renewal the server delivers what is unsettled
    again, wherever its connection is, so deliveries outlive connections; None: they belong to
    their connection, and the server delivers them again as soon as it is gone. ``instance``: another
    one after each start of the server; empty: it does not tell. ``gather_seconds``: a server that was
    restarted may have forgotten its groups, so after a loss so long nothing is published, and their
    readers are back by then.
    """

    name: str
    version: str
    instance: str = ""
    durability: Durability
    weaknesses: tuple[str, ...] = ()
    lease_seconds: float | None = None
    gather_seconds: float = 0.0


class RawMessage(Struct, frozen=True, kw_only=True):
    """One message as a server handed it over. Nothing in it is trusted.

    ``key`` is the routing key's three tokens joined by dots. ``token`` is None where nothing is to be
    settled. ``attempt`` counts from 1 where the server counts. ``place`` names the message at the
    server, the same at every delivery, for messages that bring no id, and for going on after it; where a place alone
    does not say how to go on, ``after`` does.
    """

    key: str
    payload: bytes
    token: Token = None
    attempt: int = 1
    place: str = ""
    after: str = ""
    message_id: str = ""
    correlation_id: str = ""
    reply_to: str = ""
    content_type: str = ""
    timestamp: float = 0.0
    headers: Mapping[str, str] = {}


class Intake(Protocol):
    """Where a consumer puts what it receives. None of the four ever raises."""

    def take(self, received: RawMessage) -> None:
        """Take a message; never blocks. Nothing is owed to the server for what it returns from."""

    async def room(self) -> int:
        """Wait until there is room; for how many messages. A wire that is pushed to need not ask."""

    async def spent(self) -> None:
        """Wait until there is none any more."""

    def lost(self, messages: int) -> None:
        """The server tells that it gave up so many before they were received."""

    def revoked(self, tokens: Sequence[Token]) -> None:
        """The server gives these to somebody else; their tokens are worth nothing any more."""


class Consumer(Protocol):
    """One readership at the server, until it is closed or its wire is lost.

    ``place``: behind which message it began, so that the next one misses nothing though this one received
    nothing; empty: the server does not say.
    """

    place: str

    async def settle(self, tokens: Sequence[Token]) -> None:
        """Have the server forget these deliveries; returns when it knows. Raises BrokerUnavailable."""

    async def renew(self, tokens: Sequence[Token]) -> None:
        """Renew their leases; only asked where there is one. Raises BrokerUnavailable."""

    async def close(self, unsettled: Sequence[Token]) -> None:
        """Take nothing more, and give ``unsettled`` back to the group at once.

        Without a group, the server forgets the readership. Raises BrokerUnavailable.
        """


class Demand(Struct, frozen=True):
    """What a consumer is to bring.

    ``name`` is this reader's own, the same over all its connections. ``prefetch``: at most so many
    messages unsettled. ``after``: a ``place``, or what stood in a message's ``after``; without a group, go on
    behind it if the server still can, else with what comes from now on.
    """

    readership: Readership
    name: str
    prefetch: int
    after: str = ""


class OnLost(Protocol):
    """What a wire calls when it breaks."""

    def __call__(self, reason: str, remedy: str = "", /) -> None:
        """``remedy``: somebody must change something before another connection fares better."""


class Wire(Protocol):
    """One live connection. It calls ``on_lost`` (once is enough) when it breaks."""

    @property
    def facts(self) -> ServerFacts:
        """What the server told when the connection began."""

    async def publish(self, message: Message) -> Durability:
        """Hand it over; returns after the server's confirmation.

        Many may be under way at once, and they arrive in the order of the calls. It may be cancelled.
        """

    async def consume(self, demand: Demand, intake: Intake) -> Consumer:
        """Begin; returns once every message that is published from now on will be delivered.

        A readership with a group is durable, and named by group and pattern: the server keeps for it what
        comes while nobody reads. It may deliver more than the pattern asks for.
        """

    async def readers(self, topic: str, group: str) -> int:
        """How many read the topic now, for a group or (empty) for any, as far as the server shows.

        Raises BrokerUnavailable.
        """

    async def abandon(self, readership: Readership) -> bool:
        """Remove what is kept for a group; false: somebody reads for it. Raises BrokerUnavailable."""

    async def ping(self) -> None:
        """A round trip to the server, where the client library has no keep-alive of its own."""

    async def close(self) -> None:
        """Say goodbye. Idempotent; also after a loss, and then it returns soon."""


@runtime_checkable
class Keeper(Protocol):
    """A wire whose server keeps deposits; as ``Deposits`` in the contract."""

    async def deposit(self, key: str, data: bytes, seconds: float) -> None:
        """Keep it. Raises BrokerUnavailable, BufferFull."""

    async def deposited(self, key: str, most: int) -> bytes | None:
        """What lies there. Raises BrokerUnavailable."""

    async def discard(self, key: str) -> None:
        """Forget it. Raises BrokerUnavailable."""


@runtime_checkable
class DepthGauge(Protocol):
    """A wire whose server tells how much waits; as ``Depths`` in the contract."""

    async def waiting(self, topic: str, group: str) -> int:
        """So much, of what matches any key. Raises BrokerUnavailable."""


@runtime_checkable
class Lessor(Protocol):
    """A wire whose server knows leases; as ``Leases`` in the contract."""

    async def lease(self, name: str, holder: str, seconds: float) -> str:
        """Who has it now. Raises BrokerUnavailable."""

    async def release(self, name: str, holder: str) -> None:
        """Give it back. Raises BrokerUnavailable."""


class Connect(Protocol):
    """How an adapter opens a wire; it may take ``address.connect_seconds``.

    Raises BrokerUnavailable or BrokerRefused.
    """

    async def __call__(self, address: Address, on_lost: OnLost) -> Wire:
        """The wire, ready to be used."""
