"""A listener in Python, for programs of others.

A public name: what is imported from here stays.
"""

from gateway.client.listener import (
    CONNECT_SECONDS,
    HEARTBEAT_SECONDS,
    MAX_EVENT_BYTES,
    BadAddress,
    GatewayUnreachable,
    Listener,
    ListenerError,
    ListenerRefused,
)

__all__ = [
    "CONNECT_SECONDS",
    "HEARTBEAT_SECONDS",
    "MAX_EVENT_BYTES",
    "BadAddress",
    "GatewayUnreachable",
    "Listener",
    "ListenerError",
    "ListenerRefused",
]
