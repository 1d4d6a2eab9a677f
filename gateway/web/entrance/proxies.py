"""Whom a request comes from when reverse proxies hand it on. Only those that are trusted are believed; no I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

from gateway.access.loopback import plain_address

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Proxies:
    """``trusted``: their addresses and networks. Raises ValueError for what is neither."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted = tuple(ipaddress.ip_network(one) for one in trusted)

    def __contains__(self, peer: str) -> bool:
        address = _address(peer)
        return address is not None and self._are(address)

    def client(self, peer: str, forwarded_for: Iterable[str]) -> str:
        """The last address that is no trusted proxy's: ``peer``, or one of the headers X-Forwarded-For.

        Each proxy writes behind what is there already from whom it has the request; what stands before the word
        of the first that is not trusted, anybody may have written. Where a proxy wrote no address it counts itself.
        """
        hops = [hop for header in forwarded_for for hop in header.split(",")]
        while peer in self and hops and (before := _address(hops.pop())) is not None:
            peer = str(before)
        return peer

    def is_https(self, peer: str, forwarded_proto: Iterable[str]) -> bool:
        """Whether a trusted proxy says that it was reached by TLS (X-Forwarded-Proto)."""
        last = ",".join(forwarded_proto).rpartition(",")[2]
        return peer in self and last.strip().lower() == "https"

    def _are(self, address: _Address) -> bool:
        return any(address in network for network in self._trusted)


def _address(text: str) -> _Address | None:
    """An address as a proxy writes it: some with a port behind it, IPv6 then in brackets. None: it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return plain_address(text)
    except ValueError:
        return None
