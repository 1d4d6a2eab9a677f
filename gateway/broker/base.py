"""What a message broker is, whichever one it is.

The error tree::

    BrokerError
      BrokerUnavailable    it cannot be reached (yet): a state, retried by whoever asked
        BrokerRefused      it is there and does not let us: a password, a certificate, a right
      BrokerClosed         this side has closed it
      BufferFull           a bounded buffer refused the message (policy ``refuse``)
      BadRoutingKey        a token or pattern that is not of the documented form (also ValueError)
      NoLeases             nothing there forbids that two have the same
      NoDeposits           this kind of broker keeps messages only
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping
from typing import Protocol, Self, runtime_checkable

from msgspec import Struct, field

from gateway.contract.messages import is_device_token, is_token, new_id

CANNOT_TELL = -1
"""In place of how many: the broker does not say."""


class BrokerError(Exception):
    """Base of what a broker raises."""


class BrokerUnavailable(BrokerError):
    """The broker cannot be reached: why, and what to do about it."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


class BrokerRefused(BrokerUnavailable):
    """The broker does not let us, and will not until somebody changes something."""


class BrokerClosed(BrokerError):
    """This side has closed the broker."""


class BufferFull(BrokerError):
    """A subscription's buffer is full and its policy is to refuse, or a message is too large for any."""


class BadRoutingKey(BrokerError, ValueError):
    """A token or pattern that is not of the documented form."""


class NoLeases(BrokerError):
    """The broker knows of no leases."""


class NoDeposits(BrokerError):
    """This kind of broker keeps messages only."""


class Durability(enum.StrEnum):
    """How safe a published message is once the receipt is here."""

    MEMORY = "memory"
    OS = "os"
    FSYNC = "fsync"
    QUORUM = "quorum"


class BufferPolicy(enum.StrEnum):
    """What happens when a subscription's buffer is full.

    The bound counts what is undelivered and what is delivered but unsettled. A payload larger than
    the whole buffer is refused with BufferFull, whatever the policy.
    """

    WAIT = "wait"
    """``publish`` waits until there is room."""
    REFUSE = "refuse"
    """``publish`` raises BufferFull and nobody gets the message."""
    DROP_OLDEST = "drop_oldest"
    """The oldest undelivered message of that buffer, of the least urgent, is dropped and counted."""


class RoutingKey(Struct, frozen=True):
    """Whose message it is: three tokens of ``[A-Za-z0-9_-]{1,64}``; a device's may have single dots inside."""

    user: str
    device: str
    session: str

    def __post_init__(self) -> None:
        for name, token in (("user", self.user), ("session", self.session)):
            if not is_token(token):
                raise BadRoutingKey(f"{name} {token!r:.80} is not 1-64 of A-Z a-z 0-9 _ -")
        if not is_device_token(self.device):
            raise BadRoutingKey(
                f"device {self.device!r:.80} is not 1-64 of A-Z a-z 0-9 _ -, single dots between"
            )


class Message(Struct, frozen=True, kw_only=True):
    """One message. ``timestamp`` is Unix seconds of its publication."""

    topic: str
    routing_key: RoutingKey
    payload: bytes
    timestamp: float = field(default_factory=time.time)
    message_id: str = field(default_factory=lambda: new_id("m"))
    correlation_id: str = ""
    reply_to: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Receipt(Struct, frozen=True):
    """The broker has the message, this safely; ``subscribers`` where it is known, else -1."""

    message_id: str
    durability: Durability
    subscribers: int = -1


class Delivery(Protocol):
    """One message handed to one subscriber, to be settled exactly once.

    Settling it again, or after its subscription has ended, raises BrokerError. A broker on the network
    may hear of it a moment later, or after the next reconnect: a process that dies in between gets
    the message again.
    """

    @property
    def message(self) -> Message:
        """What was delivered."""

    @property
    def attempt(self) -> int:
        """1 for the first delivery, one more for each after that."""

    async def ack(self) -> None:
        """Done: never delivered again to this group."""

    async def nack(self, delay: float = 0.0) -> None:
        """Not now: delivered again after ``delay`` seconds, before all that was published later."""

    async def reject(self, reason: str) -> None:
        """Never: counted and handed to the dead letters with the reason."""


class Subscription(Protocol):
    """A live subscription: ``async with`` begins and ends it, ``async for`` reads it.

    What is delivered and unsettled when it ends goes to another member of its group. Without one, a
    broker on the network keeps it for the group's next member, and the memory broker loses and counts
    it. The iteration ends when the broker is closed.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> Delivery: ...

    def want(self, messages: int) -> None:
        """Of a subscription on demand: so many more may come from the server, and no others until this is said again.

        What is on its way already comes all the same. A broker that cannot be held back (MQTT) goes on.
        """

    @property
    def pending(self) -> int:
        """Messages waiting in the buffer to be delivered."""

    @property
    def pending_bytes(self) -> int:
        """Their payload bytes."""

    @property
    def dropped(self) -> int:
        """Messages lost to the buffer's policy."""


class DeadLetter(Struct, frozen=True):
    """A message that a subscriber rejected; ``timestamp`` is Unix seconds of the rejection."""

    message: Message
    reason: str
    attempt: int
    group: str
    timestamp: float


class BrokerStatus(Struct, frozen=True):
    """How a broker is. ``reason`` and ``remedy`` say why it is not connected, or what it does not allow though it is.

    ``server`` is its name and version; ``weaknesses`` are the ways in which it, as it is configured, may
    lose what it has confirmed, each with its remedy in the sentence. ``instance``, where the server tells it:
    another one after each of its starts.
    """

    connected: bool
    server: str = ""
    instance: str = ""
    durability: Durability = Durability.MEMORY
    weaknesses: tuple[str, ...] = ()
    reason: str = ""
    remedy: str = ""


class TopicStats(Struct, frozen=True):
    """What a broker shows about one topic.

    ``published`` counts messages; ``delivered``, ``acknowledged`` and ``rejected`` count deliveries.
    ``dropped`` counts what was lost to a buffer's policy or left behind when the last subscription of
    a buffer ended. ``buffered_*`` is what the buffers hold: undelivered and unsettled.
    """

    topic: str
    published: int
    delivered: int
    acknowledged: int
    rejected: int
    dropped: int
    subscriptions: int
    buffered_messages: int
    buffered_bytes: int


class MessageBroker(Protocol):
    """The whole contract. The memory broker is its reference."""

    async def publish(
        self,
        topic: str,
        routing_key: RoutingKey,
        payload: bytes,
        *,
        correlation_id: str = "",
        reply_to: str = "",
        message_id: str = "",
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Receipt:
        """Hand a message over; returns once it is as safe as the receipt says.

        Raises BrokerUnavailable, BrokerClosed, BufferFull, BadRoutingKey.
        """

    def subscribe(
        self,
        topic: str,
        pattern: str = "",
        *,
        group: str = "",
        policy: BufferPolicy = BufferPolicy.WAIT,
        on_demand: bool = False,
    ) -> Subscription:
        """Messages of ``topic`` whose key matches ``pattern``, from the moment of ``async with``.

        Patterns: ``""`` everything, as ``session.*``, ``device.*`` and ``user.*``; ``session.<id>``,
        ``device.<id>``, ``user.<id>``.
        Subscriptions with the same ``group`` and pattern compete; without a group each gets every
        message. Of what waits here an urgent one (``PRIORITY_HEADER``) is next, and each class has at least one
        turn in ten. The messages of a session are first delivered in the order of their publication; one that a
        server sent into a connection of ours that was dead may come later, and is older by its timestamp.
        Raises BadRoutingKey at once for any other pattern, and for a group that is no token. Where the
        broker is on the network and not there, the subscription begins when it is; a policy that it
        cannot keep is a BrokerError. ``on_demand``, for a group that shares out work and is the only one of its topic:
        nothing comes from a server but what ``Subscription.want`` asks for, so that it goes to whoever has time, and
        what was settled is deleted there; and it begins with what Redis and NATS have had for it before it came.
        """

    def stats(self) -> tuple[TopicStats, ...]:
        """One row per topic that was published or subscribed."""

    async def readers(self, topic: str, group: str = "") -> int:
        """How many read the topic now (``group``: for this group), as far as the broker shows; or CANNOT_TELL.

        Raises BrokerUnavailable.
        """

    async def abandon(self, topic: str, group: str) -> bool:
        """Remove what the broker keeps for a group that nobody reads for; false: somebody does.

        Raises BrokerUnavailable.
        """

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """The latest rejected messages (a bounded number), oldest first."""

    def forget(self, is_gone: Callable[[Message], bool]) -> None:
        """Keep these of the rejected messages no longer, nor of what waits here where no server has it."""

    async def close(self, drain_seconds: float = 5.0) -> None:
        """Take nothing more, give subscribers so long to read what is buffered, then end them. Idempotent."""


class Leases(Protocol):
    """What one of several may have at a time, as the broker knows: Redis, NATS and RabbitMQ do.

    Both raise BrokerUnavailable, and NoLeases where the broker is of another kind.
    """

    async def lease(self, name: str, holder: str, seconds: float) -> str:
        """Have it for so long from now, or go on having it. Who has it now: ``holder``, or another ("" if unknown)."""

    async def release(self, name: str, holder: str) -> None:
        """Let another have it at once. Idempotent; of who does not have it, nothing."""


@runtime_checkable
class Depths(Protocol):
    """How much waits at the server, where that can be asked of it."""

    def groups(self) -> tuple[tuple[str, str], ...]:
        """Topics that this process reads for a group, each with that group."""

    async def waiting(self, topic: str, group: str) -> int:
        """Messages that this group has not settled yet, as far as the server tells; or CANNOT_TELL.

        RabbitMQ counts those only that nobody was given yet. Raises BrokerUnavailable; waits for no connection.
        """


@runtime_checkable
class Deposits(Protocol):
    """What a broker keeps beside its messages: what is too large for one, under a key, for a while.

    Redis and NATS do. Keys are ``[A-Za-z0-9_-]{1,64}``. All raise BrokerUnavailable, and NoDeposits where the
    broker is of another kind.
    """

    async def deposit(self, key: str, data: bytes, seconds: float) -> None:
        """Keep it for so long at least. Raises BufferFull, too, when there is no room."""

    async def deposited(self, key: str, most: int) -> bytes | None:
        """What lies under the key, if it has no more than ``most`` bytes; None: nothing does, or no longer."""

    async def discard(self, key: str) -> None:
        """Nobody needs it any more. Idempotent."""
