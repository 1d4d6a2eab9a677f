"""Redis Streams: a stream for each topic, a consumer group for each group and pattern.

``docs/messages.md`` says what stands in a stream's entries. The key is one of their fields, so patterns
are matched on this side. Deliveries are leased: what a consumer has and does not settle goes to
another of its group when nobody has renewed it for ``lease_seconds``. Streams are bounded: the oldest
entries go, read or not, and a group that lost some so is told.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis import exceptions
from redis._parsers import _AsyncRESP2Parser
from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.broker.address import Address, without_secrets
from gateway.broker.backends.cancellation import heeded
from gateway.broker.backends.gone import gone_is_os_error
from gateway.broker.backends.redis_answers import Bounded
from gateway.broker.backends.redis_entries import entry, group, packed, stream_key, text
from gateway.broker.backends.redis_streams import (
    BATCH,
    BLOCK_SECONDS,
    RedisConsumer,
    RedisListener,
    reading,
    waiting,
)
from gateway.broker.backends.work import Work
from gateway.broker.base import BrokerError, BrokerRefused, BrokerUnavailable, BufferFull, Durability, Message
from gateway.broker.buffer import Readership
from gateway.broker.wire import GATHER_SECONDS, Demand, Intake, OnLost, ServerFacts, most_kept
from gateway.contract.messages import RESULTS_TOPIC

OLDEST = (6, 2)
"""Before it, Redis knows no XAUTOCLAIM."""
TESTED = (7, 0)
CANCEL_AGAIN_SECONDS = 0.1
RIGHTS = "+@stream +eval +get +set +strlen +del +unlink"
"""Streams, and for a house and its recognizers leases and deposits."""
_HAVE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
"""
_GIVE_BACK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""


async def connect(address: Address, on_lost: OnLost) -> RedisWire:
    """Log in and ask the server what it is. Raises BrokerUnavailable, BrokerRefused."""
    client = await asyncio.to_thread(client_of, address, address.connect_seconds)
    wire = RedisWire(address, client, on_lost)
    try:
        await wire.begin()
    except BaseException:
        await wire.close()
        raise
    return wire


class RedisWire:
    """``Wire`` over redis-py."""

    def __init__(self, address: Address, client: Redis, on_lost: OnLost) -> None:
        self.facts = ServerFacts(name="Redis", version="", durability=Durability.MEMORY)
        self.namespace = address.settings.namespace
        self._address = address
        self._lease = address.settings.lease_seconds
        self._client = client
        self._outbox: list[tuple[bytes, asyncio.Future[None]]] = []
        self._work = asyncio.Event()
        self._tasks = Work(on_lost)
        self.start = self._tasks.start
        self._readers: set[Redis] = set()
        self._closed = False
        self._under_way = 0
        self._at_rest = asyncio.Event()
        self._end: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Look at the server, and begin to publish."""
        with self.translated():
            await self._client.ping()
            self.facts = await _facts(self._client, self._lease)
            for name in self._address.settings.keep_for_groups:
                await self._keep_for(name)
        self.start(self._publish_all(), "redis publisher")

    async def publish(self, message: Message) -> Durability:
        """As an entry of its topic's stream."""
        if self._closed:
            raise BrokerUnavailable("the connection is closed")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        most = most_kept(message.topic, self._address.settings)
        self._outbox.append((packed(entry(message, most, self.namespace)), done))
        self._work.set()
        await done
        return self.facts.durability

    async def consume(self, demand: Demand, intake: Intake) -> RedisConsumer | RedisListener:
        """Through a consumer group, or from the stream's present end."""
        if not demand.readership.group:
            listener = RedisListener(self, self._client, demand, intake)
            await listener.begin()
            return listener
        consumer = RedisConsumer(self, self._client, demand, intake, self._lease)
        await consumer.begin()
        return consumer

    async def readers(self, topic: str, group: str) -> int:
        """Consumers of its groups that have asked for more lately."""
        with self.translated():
            return await reading(self._client, stream_key(self.namespace, topic), group)

    async def waiting(self, topic: str, group: str) -> int:
        """XINFO GROUPS."""
        with self.translated():
            return await waiting(self._client, stream_key(self.namespace, topic), group)

    async def abandon(self, readership: Readership) -> bool:
        """XGROUP DESTROY."""
        stream, name = stream_key(self.namespace, readership.topic), group(readership)
        with self.translated():
            if await reading(self._client, stream, name):
                return False
            with suppress(exceptions.ResponseError):  # there is no such stream
                await self._client.xgroup_destroy(stream, name)
        return True

    async def deposit(self, key: str, data: bytes, seconds: float) -> None:
        """SET with a time to live."""
        with self.translated():
            await self._client.set(self._beside("deposits", key), data, px=max(1, int(seconds * 1000)))

    async def deposited(self, key: str, most: int) -> bytes | None:
        """GET, of what is not too large."""
        with self.translated():
            if await self._client.strlen(self._beside("deposits", key)) > most:
                return None
            found: Any = await self._client.get(self._beside("deposits", key))
        return None if found is None else bytes(found)

    async def discard(self, key: str) -> None:
        """UNLINK."""
        with self.translated():
            await self._client.unlink(self._beside("deposits", key))

    async def lease(self, name: str, holder: str, seconds: float) -> str:
        """A key with a time to live, which only its holder renews."""
        with self.translated():
            found = await self._run(_HAVE, self._beside("leases", name), holder, max(1, int(seconds * 1000)))
        return text(found)

    async def release(self, name: str, holder: str) -> None:
        """DEL, by its holder."""
        with self.translated():
            await self._run(_GIVE_BACK, self._beside("leases", name), holder)

    async def _run(self, script: str, *arguments: Any) -> Any:
        """A script with one key."""
        run: Any = self._client.execute_command  # untyped
        return await run("EVAL", script, 1, *arguments)

    async def ping(self) -> None:
        """PING."""
        with self.translated():
            await self._client.ping()

    async def close(self) -> None:
        """Whatever is under way fails. Who is cancelled here leaves nothing open: the end goes on by itself."""
        self._closed = self._tasks.closed = True
        if self._end is None:
            self._end = asyncio.create_task(self._close_all(), name="redis goodbye")
        await asyncio.shield(self._end)

    async def reader(self) -> Redis:
        """A connection of its own, for reads that wait at the server."""
        timeout = BLOCK_SECONDS + self._address.connect_seconds
        reader = await asyncio.to_thread(client_of, self._address, timeout, single=True)
        self._readers.add(reader)
        try:
            with self.translated():
                await reader.initialize()
        except BaseException:
            await self._discard(reader)
            raise
        if self._closed:  # meanwhile, and before there was anything to close
            await self._discard(reader)
            raise BrokerUnavailable("the connection is closed")
        return reader

    async def end_reading(self, reader: Redis, task: asyncio.Task[None]) -> None:
        """Ends the read that waits there, whatever the library makes of a cancellation.

        Who is cancelled here leaves the rest to ``close``.
        """
        await _end([task], lambda: _hang_up(reader))
        await self._discard(reader)  # a read that was just beginning has opened it again

    async def _discard(self, reader: Redis) -> None:
        await _hang_up(reader)
        self._readers.discard(reader)

    async def _close_all(self) -> None:
        """Again and again: the library opens a closed connection for whoever was just about to use it."""
        await _end(self._tasks, self._hang_up_all)
        for _, done in self._outbox:
            _fail(done, BrokerUnavailable("the connection is closed"))
        self._outbox.clear()
        while self._under_way:
            await self._hang_up_all()
            with suppress(TimeoutError):
                async with asyncio.timeout(CANCEL_AGAIN_SECONDS):
                    await self._at_rest.wait()
        await self._hang_up_all()

    async def _hang_up_all(self) -> None:
        await asyncio.gather(*(_hang_up(client) for client in (self._client, *self._readers)))

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of redis-py as ours. Raises BrokerUnavailable before anything is sent once we are closed."""
        if self._closed:
            raise BrokerUnavailable("the connection is closed")
        with self._counted():
            try:
                with in_our_words(self._address):
                    yield
            except BrokerError:
                raise
            except Exception as error:
                if not self._closed:
                    raise
                # The library's, under whose hands it was.
                raise BrokerUnavailable("the connection is closed") from error

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Whoever uses a client is waited for by the end."""
        self._under_way += 1
        self._at_rest.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._at_rest.set()

    def _beside(self, kind: str, name: str) -> str:
        """The key of what is no stream."""
        return stream_key(self.namespace, f"{kind}:{name}")

    async def _keep_for(self, name: str) -> None:
        """A group that is there from now on, whether or not anybody has come."""
        with suppress(exceptions.ResponseError):  # it is there already; or not allowed, which it will be told
            await self._client.xgroup_create(
                stream_key(self.namespace, RESULTS_TOPIC), name, id="$", mkstream=True
            )

    async def _publish_all(self) -> None:
        """Entries as they come, and those that come meanwhile together next."""
        while True:
            await self._work.wait()
            batch, self._outbox = self._outbox[:BATCH], self._outbox[BATCH:]
            if not self._outbox:
                self._work.clear()
            try:
                with self.translated():
                    await self._publish_batch(batch)
            except BrokerUnavailable as error:
                for _, done in batch:
                    _fail(done, BrokerUnavailable(str(error)))
                raise

    async def _publish_batch(self, batch: list[tuple[bytes, asyncio.Future[None]]]) -> None:
        """A pipeline, without what the library's does for each command of one."""
        pool: Any = self._client.connection_pool
        connection = await pool.get_connection()
        try:
            await connection.send_packed_command(b"".join(command for command, _ in batch))
            for _, done in batch:
                try:
                    await connection.read_response()
                except exceptions.ResponseError as error:
                    _fail(done, _translate(error, self._address))
                else:
                    if not done.done():
                        done.set_result(None)
        except BaseException:  # answers that nobody has read would be taken for those to what comes next
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)


@contextmanager
def in_our_words(address: Address) -> Iterator[None]:
    """Errors of redis-py as ours, for whoever uses a client of it."""
    with heeded():
        try:
            with gone_is_os_error():
                yield
        except exceptions.RedisError as error:
            raise _translate(error, address) from error
        except OSError as error:
            raise BrokerUnavailable(f"{address}: {error.strerror or error}") from error
        except RecursionError as error:
            raise BrokerUnavailable(f"{address} says what cannot be understood") from error


class _Parser(Bounded, _AsyncRESP2Parser):
    """What comes has its bounds."""

    ends = exceptions.ConnectionError


def client_of(address: Address, timeout: float, *, single: bool = False) -> Redis:
    """No retries of its own: reconnecting is ours. ``timeout`` is for each answer, in seconds.

    For a thread: it looks up its own version among the installed packages.
    """
    client = Redis(
        host=address.host,
        port=address.port,
        db=int(address.path) if address.path.isdigit() else 0,
        username=address.username,
        password=address.password,
        socket_timeout=timeout,
        socket_connect_timeout=address.connect_seconds,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        client_name=address.client_id,
        protocol=2,
        single_connection_client=single,
        ssl=address.tls is not None,
    )
    client.connection_pool.connection_kwargs["parser_class"] = _Parser
    if address.tls is not None:
        client.connection_pool.connection_class = _guarded_by(address.tls)
    return client


def _guarded_by(context: ssl.SSLContext) -> type[SSLConnection]:
    """Connections that take what was prepared, where redis-py would read the certificates on the event loop."""

    class Guarded(SSLConnection):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.ssl_context.context = context

    return Guarded


async def _end(tasks: Iterable[asyncio.Task[None]], hang_up: Callable[[], Awaitable[None]]) -> None:
    """Cancels again whoever goes on: the library loses a cancellation that meets the end of its connection."""
    under_way = set(tasks)
    while under_way:
        for task in under_way:
            task.cancel()
        await hang_up()
        _, under_way = await asyncio.wait(under_way, timeout=CANCEL_AGAIN_SECONDS)


async def _hang_up(client: Redis) -> None:
    """The library ends this with a cancellation when somebody else, who closes the same connection, is cancelled."""
    await asyncio.gather(client.aclose(), return_exceptions=True)


async def _facts(client: Redis, lease_seconds: float) -> ServerFacts:
    version, instance, weaknesses = "", "", []
    try:
        told = await client.info("server")
        version, instance = str(told["redis_version"]), str(told.get("run_id", ""))
    except exceptions.NoPermissionError:
        pass
    else:
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers < OLDEST:
            raise BrokerRefused(f"Redis {version} is too old", "take Redis 7.0 or newer")
        if numbers < TESTED:
            weaknesses.append(f"Redis {version} is older than 7.0: what it trims unread is not noticed")
    durability, more = await _durability(client)
    return ServerFacts(
        name="Redis",
        version=version,
        instance=instance,
        durability=durability,
        weaknesses=(*weaknesses, *more),
        lease_seconds=lease_seconds,
        gather_seconds=GATHER_SECONDS if durability is Durability.MEMORY else 0.0,
    )


async def _durability(client: Redis) -> tuple[Durability, list[str]]:
    """What a confirmation means, and what is weak about it."""
    try:
        raw = await client.config_get("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")
    except exceptions.ResponseError:  # not allowed, or a service that has no CONFIG
        return Durability.MEMORY, ["the server does not tell how it stores (allow CONFIG GET to find out)"]
    told = {text(name): text(value) for name, value in raw.items()}
    weaknesses = []
    if told.get("maxmemory", "0") != "0" and told.get("maxmemory-policy", "").startswith("allkeys"):
        weaknesses.append(
            "Redis throws streams away when its memory is full (set maxmemory-policy noeviction)"
        )
    if told.get("appendonly") != "yes":
        return Durability.MEMORY, [
            *weaknesses,
            "Redis keeps messages in memory only (set appendonly yes and appendfsync always)",
        ]
    if told.get("appendfsync") == "always":
        return Durability.FSYNC, weaknesses
    return Durability.OS, [
        *weaknesses,
        "Redis may lose the last second when the power fails (set appendfsync always)",
    ]


def _translate(error: exceptions.RedisError, address: Address) -> BrokerUnavailable | BufferFull:
    text = without_secrets(str(error), address)
    if isinstance(error, exceptions.AuthenticationError) or text.startswith(("WRONGPASS", "NOAUTH")):
        return BrokerRefused(
            f"{address} refuses the user or the password", "correct broker.url or broker.password_file"
        )
    if isinstance(error, exceptions.NoPermissionError) or text.startswith("NOPERM"):
        return BrokerRefused(
            f"{address} does not allow it: {text}",
            f"allow the user ~{address.settings.namespace}:* {RIGHTS} in the server's ACL",
        )
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError):
        return BrokerUnavailable(f"{address}: {text}", "start the broker, or correct broker.url")
    if isinstance(error, exceptions.OutOfMemoryError):
        return BrokerUnavailable(
            f"{address} is out of memory", "raise its maxmemory, or lower stream_messages"
        )
    return BrokerUnavailable(f"{address}: {text}")


def _fail(done: asyncio.Future[None], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
