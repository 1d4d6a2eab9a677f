"""Which broker a URL means: its scheme, its adapter, and the library that has to be there."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import cast

from msgspec import Struct

from gateway.broker.address import Scheme, check_url
from gateway.broker.base import BrokerError, BrokerStatus, MessageBroker
from gateway.broker.wire import Connect
from gateway.settings.broker import BrokerSettings

MEMORY = "memory://"


class _Adapter(Struct, frozen=True):
    """Where an adapter is, and the extra of this distribution that brings its client library."""

    module: str
    extra: str
    scheme: Scheme


_ADAPTERS = {
    "mqtt": _Adapter("gateway.broker.backends.mqtt", "", Scheme(1883)),
    "mqtts": _Adapter("gateway.broker.backends.mqtt", "", Scheme(8883, tls=True)),
    "amqp": _Adapter("gateway.broker.backends.rabbitmq", "rabbitmq", Scheme(5672)),
    "amqps": _Adapter("gateway.broker.backends.rabbitmq", "rabbitmq", Scheme(5671, tls=True)),
    "redis": _Adapter("gateway.broker.backends.redis", "redis", Scheme(6379)),
    "nats": _Adapter("gateway.broker.backends.nats", "nats", Scheme(4222)),
    "tls": _Adapter("gateway.broker.backends.nats", "nats", Scheme(4222, tls=True)),
    "kafka": _Adapter("gateway.broker.backends.kafka", "kafka", Scheme(9092)),
    "kafkas": _Adapter("gateway.broker.backends.kafka", "kafka", Scheme(9092, tls=True)),
    "rediss": _Adapter("gateway.broker.backends.redis", "redis", Scheme(6379, tls=True)),
}


def check_broker_url(url: str) -> None:
    """Raises BrokerError when ``url`` is no broker's address; the message has nothing of a password."""
    if url != MEMORY:
        _adapter(url)
        check_url(url)


def open_broker(
    url: str, settings: BrokerSettings, on_status: Callable[[BrokerStatus], None] | None = None
) -> MessageBroker:
    """The broker that ``url`` names; only its own client library is imported.

    It connects when it is first used, and ``on_status`` is told how that goes, each change once.
    Raises BrokerError when no broker goes by that scheme, or its client library is not installed; the
    message never shows the rest of the address, which may hold a password.
    """
    check_broker_url(url)
    if url == MEMORY:
        from gateway.broker.backends.memory import MemoryBroker  # noqa: PLC0415 - one adapter at a time

        if on_status is not None:
            on_status(BrokerStatus(connected=True, server="in this process"))
        return MemoryBroker(settings)
    from gateway.broker.network import NetworkBroker  # noqa: PLC0415

    adapter = _adapter(url)
    try:
        connect = cast("Connect", importlib.import_module(adapter.module).connect)
    except ImportError as error:
        raise BrokerError(
            f"the client library of {url.partition(':')[0]}:// is missing: "
            f"{sys.executable} -m pip install 'earshot-gateway[{adapter.extra}]'"
        ) from error
    return NetworkBroker(url, adapter.scheme, connect, settings, on_status)


def _adapter(url: str) -> _Adapter:
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise BrokerError("a broker's address begins with its kind, as in memory://")
    if scheme not in _ADAPTERS:
        known = ", ".join(f"{name}://" for name in ("memory", *_ADAPTERS))
        raise BrokerError(f"no broker is called {scheme!r:.40}; known: {known}")
    return _ADAPTERS[scheme]
