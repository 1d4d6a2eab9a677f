"""Which names a request may call the gateway by, and which pages may send it. Two exact lists, no I/O.

Any web page can make the browser that shows it send requests here. The Host header stops a foreign name that was
rebound to our address, and the Origin header a foreign page, which may open a WebSocket but has to say so.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from gateway.access.loopback import is_loopback

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_USUAL_PORTS = {"http": 80, "https": 443}


class Addresses:
    """The lists of a server on ``host`` and ``port``. ``names`` are further ones it is reached by."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        scheme: str = "http",
        names: Iterable[str] = (),
        origins: Iterable[str] = (),
    ) -> None:
        self.scheme = scheme
        self.port = port
        self._usual = port == _USUAL_PORTS[scheme]
        own = {*_LOOPBACK_NAMES, f"[{host}]" if ":" in host else host}
        # An address in figures cannot be rebound to another, and which ones are ours may change.
        self._any_figures = not is_loopback(host)
        if self._any_figures:
            name = socket.gethostname().lower()
            own |= {name, f"{name}.local"}
        further = {authority for name in names for authority in (name, self._authority(name))}
        self.hosts = frozenset(self._authority(name) for name in own) | further
        self.origins = (
            frozenset(f"{scheme}://{host}" for host in self.hosts)
            | {f"https://{name}" for name in further}  # a reverse proxy speaks TLS, we may not
            | frozenset(origins)
        )

    def is_ours(self, host: str | None) -> bool:
        """Whether this Host header names the gateway."""
        if host is None:
            return False
        return host.lower() in self.hosts or (self._any_figures and self._is_figures(host))

    def may_send(self, origin: str | None, host: str | None) -> bool:
        """Whether a page from there may send a request to ``host``. No Origin means that no page sent it."""
        if origin is None or origin in self.origins:
            return True
        return self.is_ours(host) and host is not None and origin == f"{self.scheme}://{host.lower()}"

    def admits(self, host: str | None, origin: str | None) -> bool:
        """Whether a request with these two headers may pass."""
        return self.is_ours(host) and self.may_send(origin, host)

    def _authority(self, name: str) -> str:
        """As browsers write it: they leave the port out where it is the scheme's own."""
        has_port = ":" in name.rpartition("]")[2]
        return name if self._usual or has_port else f"{name}:{self.port}"

    def _is_figures(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            ipaddress.ip_address(parts.hostname or "")
            port = parts.port
        except ValueError:
            return False
        plain = (
            parts.netloc == host
            and not parts.path
            and not parts.query
            and not parts.fragment
            and "@" not in host
        )
        return plain and (port == self.port or (port is None and self._usual))
