"""Addresses: whose one is, however it is written, and which of them only this machine can reach."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def plain_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Without its zone; of an IPv4 address that is written as IPv6, that. Raises ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_loopback(host: str) -> bool:
    """Whether ``host`` is a name or address of this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_guarded(url: str) -> bool:
    """Whether it is a plain address at which nobody between hears what is said: over TLS, or on this machine only."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    over_tls = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    return (
        over_tls
        and bool(host)
        and url == f"{parts.scheme}://{parts.netloc}{parts.path}"
        and "@" not in parts.netloc
    )
