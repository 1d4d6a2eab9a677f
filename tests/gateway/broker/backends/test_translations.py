"""What three client libraries raise, as one of our errors with its remedy; and what servers say about themselves."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from contextlib import suppress
from typing import Any

import pytest
from aiormq import exceptions as amqp
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from nats import errors as nats_errors
from nats.js import errors as js_errors
from redis import exceptions as redis_errors

from gateway.broker.address import Address, Scheme, resolve
from gateway.broker.backends import nats, rabbitmq, redis
from gateway.broker.backends.cancellation import heeded
from gateway.broker.backends.gone import gone_is_os_error
from gateway.broker.base import BrokerRefused, BrokerUnavailable, BufferFull, Durability
from gateway.broker.wire import ServerFacts
from gateway.settings.broker import BrokerSettings


def address(scheme: str = "redis", *, tls: bool = False) -> Address:
    return resolve(f"{scheme}://ann:hidden@host", Scheme(1, tls=tls), BrokerSettings())


# -- a connection that is gone


async def test_to_write_to_a_connection_that_is_gone_is_an_error_of_the_system_or_none() -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.transport.abort()
        await writer.wait_closed()
        client = redis.client_of(address(), 1.0)
        wire = redis.RedisWire(address(), client, lambda _reason, _remedy: None)
        with suppress(BrokerUnavailable), wire.translated():
            writer.writelines([b"PING"])
        with suppress(ConnectionResetError), gone_is_os_error():
            writer.writelines([b"PING"])


def test_a_mistake_of_ours_stays_one() -> None:
    nothing: Any = None
    with pytest.raises(AttributeError), gone_is_os_error():
        nothing.write(b"PING")


# -- Redis


@pytest.mark.parametrize(
    ("error", "kind", "words", "remedy"),
    [
        (
            redis_errors.AuthenticationError("invalid password"),
            BrokerRefused,
            "refuses the user",
            "password_file",
        ),
        (redis_errors.ResponseError("WRONGPASS invalid"), BrokerRefused, "refuses the user", "password_file"),
        (redis_errors.ResponseError("NOAUTH required"), BrokerRefused, "refuses the user", "password_file"),
        (redis_errors.NoPermissionError("no permissions"), BrokerRefused, "does not allow", "ACL"),
        (redis_errors.ResponseError("NOPERM this user"), BrokerRefused, "does not allow", "ACL"),
        (redis_errors.ConnectionError("Error 111"), BrokerUnavailable, "Error 111", "start the broker"),
        (redis_errors.TimeoutError("Timeout reading"), BrokerUnavailable, "Timeout", "start the broker"),
        (redis_errors.OutOfMemoryError("OOM"), BrokerUnavailable, "out of memory", "maxmemory"),
        (redis_errors.ReadOnlyError("READONLY replica"), BrokerUnavailable, "READONLY", ""),
        (redis_errors.BusyLoadingError("LOADING"), BrokerUnavailable, "LOADING", ""),
        (redis_errors.ResponseError("said hidden aloud"), BrokerUnavailable, "said \\*\\*\\* aloud", ""),
    ],
)
def test_an_error_of_redis(
    error: redis_errors.RedisError, kind: type[BrokerUnavailable], words: str, remedy: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        raise redis._translate(error, address())
    assert type(caught.value) is kind
    assert remedy in caught.value.remedy
    assert "hidden" not in str(caught.value)


class Answers:
    """As much of a Redis client as is asked at the beginning."""

    def __init__(self, config: dict[Any, Any] | None, version: str | None = "7.0.15") -> None:
        self._config, self._version = config, version

    async def info(self, section: str) -> dict[str, Any]:
        assert section == "server"
        if self._version is None:
            raise redis_errors.NoPermissionError("NOPERM")
        return {"redis_version": self._version}

    async def config_get(self, *names: str) -> dict[Any, Any]:
        if self._config is None:
            raise redis_errors.ResponseError("unknown command 'CONFIG'")
        return {
            name: value for name, value in self._config.items() if str(name) in names or name == b"appendonly"
        }


@pytest.mark.parametrize(
    ("config", "durability", "weakness"),
    [
        ({"appendonly": "yes", "appendfsync": "always"}, Durability.FSYNC, ""),
        ({"appendonly": "yes", "appendfsync": "everysec"}, Durability.OS, "appendfsync always"),
        ({"appendonly": "yes", "appendfsync": "no"}, Durability.OS, "appendfsync always"),
        ({"appendonly": "no", "appendfsync": "always"}, Durability.MEMORY, "appendonly yes"),
        ({b"appendonly": b"no"}, Durability.MEMORY, "appendonly yes"),
        ({}, Durability.MEMORY, "appendonly yes"),
        (None, Durability.MEMORY, "CONFIG GET"),
        (
            {
                "appendonly": "yes",
                "appendfsync": "always",
                "maxmemory": "9",
                "maxmemory-policy": "allkeys-lru",
            },
            Durability.FSYNC,
            "noeviction",
        ),
        (
            {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "allkeys-lru"},
            Durability.FSYNC,
            "",
        ),
        (
            {
                "appendonly": "yes",
                "appendfsync": "always",
                "maxmemory": "9",
                "maxmemory-policy": "noeviction",
            },
            Durability.FSYNC,
            "",
        ),
    ],
)
async def test_what_redis_stores_decides_what_is_promised(
    config: dict[Any, Any] | None, durability: Durability, weakness: str
) -> None:
    facts = await redis._facts(Answers(config), 30.0)  # type: ignore[arg-type]
    assert facts.durability is durability
    assert bool(facts.weaknesses) == bool(weakness)
    assert weakness in " ".join(facts.weaknesses)
    assert facts.lease_seconds == 30.0


@pytest.mark.parametrize(
    ("version", "weak"),
    [("7.0.15", False), ("6.2.6", True), ("255.255.255", False), (None, False), ("8", False)],
)
async def test_the_version_of_redis(version: str | None, weak: bool) -> None:  # noqa: FBT001
    facts = await redis._facts(Answers({"appendonly": "yes", "appendfsync": "always"}, version), 30.0)  # type: ignore[arg-type]
    assert facts.version == (version or "")
    assert ("trims unread" in " ".join(facts.weaknesses)) == weak


@pytest.mark.parametrize("version", ["6.0.16", "5.0", "2.8.4"])
async def test_a_redis_without_what_is_needed_is_refused(version: str) -> None:
    with pytest.raises(BrokerRefused, match="too old") as caught:
        await redis._facts(Answers({}, version), 30.0)  # type: ignore[arg-type]
    assert "7.0" in caught.value.remedy


# -- NATS


@pytest.mark.parametrize(
    ("error", "kind", "words", "remedy"),
    [
        (nats_errors.NoServersError(), BrokerUnavailable, "cannot be reached", "start the broker"),
        (ConnectionRefusedError(111, "refused"), BrokerUnavailable, "cannot be reached", "start the broker"),
        (nats_errors.AuthorizationError(), BrokerRefused, "refuses the user", "password_file"),
        (
            nats_errors.Error("nats: 'Authorization Violation'"),
            BrokerRefused,
            "refuses the user",
            "password_file",
        ),
        (js_errors.ServiceUnavailableError(), BrokerRefused, "no JetStream", "-js"),
        (nats_errors.NoRespondersError(), BrokerRefused, "no JetStream", "-js"),
        (
            js_errors.BadRequestError(code=400, description="because"),
            BrokerRefused,
            "because",
            "look at the stream",
        ),
        (js_errors.ServerError(code=500, description="full"), BrokerUnavailable, "full", ""),
        (nats_errors.TimeoutError(), BrokerUnavailable, "cannot be reached", "start the broker"),
        (nats_errors.ConnectionClosedError(), BrokerUnavailable, "closed", ""),
        (nats_errors.Error("said hidden aloud"), BrokerUnavailable, "said \\*\\*\\* aloud", ""),
        (nats_errors.MaxPayloadError(), BufferFull, "max_payload", ""),
        (
            js_errors.BadRequestError(code=400, err_code=10054, description="size"),
            BufferFull,
            "max_payload",
            "",
        ),
    ],
)
async def test_an_error_of_nats(error: Exception, kind: type[Exception], words: str, remedy: str) -> None:
    wire = nats.NatsWire(address("nats"), lambda _reason: None)
    with pytest.raises(kind, match=words) as caught, wire.translated():
        raise error
    assert type(caught.value) is kind
    assert remedy in getattr(caught.value, "remedy", "")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "credentials"),
    [
        ("nats://host", {}),
        ("nats://ann:pass@host", {"user": "ann", "password": "pass"}),
        ("nats://token@host", {"token": "token"}),
        ("nats://:pass@host", {"token": "pass"}),
        ("nats://ann:@host", {"user": "ann", "password": ""}),
    ],
)
def test_who_we_are_to_nats(url: str, credentials: dict[str, str]) -> None:
    assert nats._credentials(resolve(url, Scheme(4222), BrokerSettings())) == credentials


@pytest.mark.parametrize(
    ("settings", "durability", "weak"),
    [
        (BrokerSettings(), Durability.OS, True),
        (BrokerSettings(nats_sync_always=True), Durability.FSYNC, False),
        (BrokerSettings(stream_replicas=3), Durability.QUORUM, False),
        (BrokerSettings(stream_replicas=3, nats_sync_always=True), Durability.QUORUM, False),
    ],
)
def test_what_nats_is_told_to_be_decides_what_is_promised(
    settings: BrokerSettings,
    durability: Durability,
    weak: bool,  # noqa: FBT001
) -> None:
    facts = nats._facts("<nats server v2.9.10>", settings)
    assert (facts.version, facts.durability, bool(facts.weaknesses)) == ("2.9.10", durability, weak)
    assert facts.lease_seconds == settings.lease_seconds


# -- RabbitMQ


class Told(Struct):
    """As much of a connection as its facts are read from."""

    server_properties: dict[str, Any]

    @property
    def transport(self) -> Told:
        return self

    @property
    def connection(self) -> Told:
        return self


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


LOGIN, LATER = rabbitmq._LOGIN_REMEDIES["PLAIN"], None


@pytest.mark.parametrize(
    ("error", "remedies", "kind", "remedy"),
    [
        (amqp.ProbableAuthenticationError("ACCESS_REFUSED"), LOGIN, BrokerRefused, "user and password"),
        (amqp.AuthenticationError("PLAIN"), LOGIN, BrokerRefused, "PLAIN"),
        (
            caused(amqp.AMQPConnectionError("x"), amqp.InvalidFrameError("y")),
            LOGIN,
            BrokerRefused,
            "virtual host",
        ),
        (amqp.ConnectionNotAllowed("vhost"), LOGIN, BrokerRefused, "virtual host"),
        (caused(amqp.AMQPConnectionError("x"), ssl.SSLError("y")), LOGIN, BrokerRefused, "cert_file"),
        (amqp.ChannelAccessRefused("no"), LATER, BrokerRefused, "rights"),
        (amqp.ChannelPreconditionFailed("other"), LATER, BrokerRefused, "delete the exchange or queue"),
        (amqp.AMQPConnectionError("gone"), LATER, BrokerUnavailable, "start RabbitMQ"),
        (ConnectionResetError(104, "reset"), LATER, BrokerUnavailable, "start RabbitMQ"),
        (RuntimeError("closed"), LATER, BrokerUnavailable, "start RabbitMQ"),
        (ValueError("too long"), LATER, BrokerUnavailable, "start RabbitMQ"),
    ],
)
async def test_an_error_of_rabbitmq(
    error: Exception, remedies: Any, kind: type[BrokerUnavailable], remedy: str
) -> None:
    with pytest.raises(kind) as caught, rabbitmq._translated(address("amqp"), remedies):
        raise error
    assert type(caught.value) is kind
    assert remedy in caught.value.remedy
    assert "amqp://host:1" in str(caught.value)


async def test_a_broker_that_hangs_up_on_tls_may_want_a_certificate() -> None:
    error = caused(amqp.AMQPConnectionError("gone"), ConnectionResetError())
    with pytest.raises(BrokerUnavailable) as caught, rabbitmq._translated(address("amqps", tls=True)):
        raise error
    assert "cert_file" in caught.value.remedy


async def test_a_cancellation_by_the_library_is_a_loss_and_ours_is_ours() -> None:
    with pytest.raises(BrokerUnavailable, match="connection was lost"), rabbitmq._translated(address("amqp")):
        raise asyncio.CancelledError
    begun = asyncio.Event()

    async def wait() -> None:
        with rabbitmq._translated(address("amqp")):
            begun.set()
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await begun.wait()
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()


@pytest.mark.parametrize(
    ("told", "name", "quorum"),
    [
        ({"product": "RabbitMQ", "version": "3.10.8"}, "RabbitMQ", True),
        ({"product": "RabbitMQ", "version": "4.0.1"}, "RabbitMQ", True),
        ({"product": "RabbitMQ", "version": "3.8"}, "RabbitMQ", True),
        ({"product": "RabbitMQ", "version": "3.7.28"}, "RabbitMQ", False),
        ({"product": "LavinMQ", "version": "9.0.0"}, "LavinMQ", False),
        ({"product": "RabbitMQ", "version": "unknown"}, "RabbitMQ", False),
        ({}, "AMQP server", False),
    ],
)
def test_what_an_amqp_server_is(told: dict[str, Any], name: str, quorum: bool) -> None:  # noqa: FBT001
    facts = rabbitmq._facts(Told(told))  # type: ignore[arg-type]
    assert facts.name == name
    assert bool(facts.weaknesses) != quorum
    assert rabbitmq._has_quorum_queues(facts) is quorum


@given(st.text(max_size=20))
def test_any_version_is_a_version(version: str) -> None:
    facts = ServerFacts(name="RabbitMQ", version=version, durability=Durability.FSYNC)
    assert rabbitmq._has_quorum_queues(facts) in (True, False)


@given(st.lists(st.text("abc.-", max_size=64), min_size=1, max_size=6))
def test_a_name_fits_and_is_one_parts_only(parts: list[str]) -> None:
    name = rabbitmq._name("earshot", *parts)
    assert len(name) <= rabbitmq.MAX_NAME_BYTES
    if len(".".join(parts)) > 130:
        assert rabbitmq._name("earshot", *parts[:-1], parts[-1] + "x") != name, "a digest tells them apart"


# -- work that ends before it has begun


@pytest.mark.parametrize("kind", ["nats", "redis"])
async def test_work_that_is_cancelled_at_once_leaves_nothing_behind(kind: str) -> None:
    wire: Any
    if kind == "nats":
        wire = nats.NatsWire(address(kind), lambda _reason: None)
    else:
        wire = redis.RedisWire(
            address(kind), redis.client_of(address(kind), 1.0), lambda _reason, _remedy: None
        )

    async def pull() -> None:
        await asyncio.Event().wait()

    work = pull()
    task = wire.start(work, "pull")
    task.cancel()
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED


# -- a cancellation that meets a library


@pytest.mark.parametrize("mistake", [None, KeyError, TimeoutError])
async def test_a_cancellation_that_a_library_loses_is_heeded(mistake: type[Exception] | None) -> None:
    task = asyncio.create_task(within(mistake))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_time_limit_that_a_library_loses_is_heeded_too() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await within(None)


async def test_who_was_cancelled_before_may_still_say_goodbye() -> None:
    said = False

    async def work() -> None:
        nonlocal said
        try:
            await asyncio.Event().wait()
        finally:
            with heeded():
                await asyncio.sleep(0)
            said = True

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert said


async def within(mistake: type[Exception] | None) -> None:
    """What a library does that is cancelled and does not say so."""
    with heeded():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if mistake is not None:
                raise mistake from None
