"""Who is named by addresses and networks: somebody, and not everybody."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network

from gateway.config.outline import Contradiction, Path, shown


def wrong_networks(
    named: Mapping[Path, str], unread: str, everybody: str, *, strict: bool = True
) -> Iterator[Contradiction]:
    """``unread``: what is said of what is none; ``everybody``: of what has all addresses, alone or together.

    ``strict``: as in ``ipaddress``, no bits of a host in a network.
    """
    networks: dict[Path, IPv4Network | IPv6Network] = {}
    for path, text in named.items():
        try:
            networks[path] = ipaddress.ip_network(text, strict=strict)
        except ValueError:
            yield (path,), f"{unread}, got {shown(text)}"
    if _have_all(networks.values()):
        blamed = [path for path, one in networks.items() if not one.prefixlen] or list(networks)
        yield tuple(blamed), f"{everybody}, got {', '.join(shown(named[path]) for path in blamed)}"


def _have_all(networks: Collection[IPv4Network | IPv6Network]) -> bool:
    four = ipaddress.collapse_addresses(one for one in networks if isinstance(one, IPv4Network))
    six = ipaddress.collapse_addresses(one for one in networks if isinstance(one, IPv6Network))
    return 0 in {*(one.prefixlen for one in four), *(one.prefixlen for one in six)}
