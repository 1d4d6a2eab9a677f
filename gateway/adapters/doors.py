"""The door of one adapter: who may come in where a protocol knows no passwords, how many, and who is in.

::

    NotLetIn
      Stranger    an address that nobody named
      NoPlace     so many are in already, or so many from there
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from firmware_bridge.shares import has_share
from gateway.access.loopback import plain_address
from gateway.observing.health import Health, HealthState

THIS_MACHINE = "this machine"
SHOWN_SECONDS = 1.0
"""Who is in is shown no more often than that: some programs come anew for every utterance."""


class NotLetIn(Exception):
    """Base of why a connection is not served."""


class Stranger(NotLetIn):
    """An address that nobody named."""


class NoPlace(NotLetIn):
    """So many are in already, or so many from there."""


class AdapterDoor:
    """Whoever comes to an adapter passes it; health shows the adapter by its name, and who is in."""

    def __init__(self, adapter: str, health: Health, *, allow: Mapping[str, str], connections: int) -> None:
        """``allow``: names by which people know them, each with an address or a network; this machine always may."""
        self._adapter = adapter
        self._health = health
        self._most = connections
        self._allow = {name: ipaddress.ip_network(address, strict=False) for name, address in allow.items()}
        self._inside: Counter[str] = Counter()
        self._names: dict[str, str] = {}
        self._place = ""
        self._stranger = ""
        self._timer: asyncio.TimerHandle | None = None

    def opened(self, place: str) -> None:
        """It is there for whoever comes; ``place`` in words for people."""
        self._place = place
        self._show()

    def failed(self, reason: str, remedy: str, *, works: bool = False) -> None:
        """Nobody can come there; ``works``: but elsewhere."""
        self._place = ""
        self._health.set(self._adapter, HealthState.DEGRADED, reason, remedy, works=works)

    def close(self) -> None:
        """Nothing more is shown, whoever is inside still."""
        self._place = ""
        if self._timer is not None:
            self._timer.cancel()

    def name_of(self, address: str) -> str:
        """Who that is (``""``: a Unix socket, whose file's mode says who may). Raises Stranger."""
        if not address:
            return THIS_MACHINE
        ip = plain_address(address)
        if ip.is_loopback:
            return THIS_MACHINE
        for name, network in self._allow.items():
            if ip in network:
                return name
        raise Stranger(f"{ip} is not in adapters.{self._adapter}.allow")

    @contextmanager
    def admitted(self, address: str) -> Iterator[str]:
        """A place inside, for whoever that is, by name. Raises NotLetIn."""
        try:
            name = self.name_of(address)
        except Stranger as error:
            self._stranger = str(error)
            self._show_soon()
            raise
        with self.place(address or THIS_MACHINE, name):
            yield name

    @contextmanager
    def place(self, owner: str, name: str) -> Iterator[None]:
        """A place inside for somebody who is known already, of those that are the owner's. Raises NoPlace."""
        if not has_share(self._most, self._inside, owner):
            raise NoPlace(f"{self._inside.total()} connections are open already (adapters.{self._adapter})")
        self._inside[owner] += 1
        self._names[owner] = name
        self._show_soon()
        try:
            yield
        finally:
            self._inside[owner] -= 1
            if not self._inside[owner]:
                del self._inside[owner], self._names[owner]
            self._show_soon()

    def _show_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SHOWN_SECONDS, self._show)

    def _show(self) -> None:
        self._timer = None
        if not self._place:
            return
        by_name: Counter[str] = Counter()
        for address, count in self._inside.items():
            by_name[self._names[address]] += count
        who = "; ".join(f"{name}, {_connections(count)}" for name, count in sorted(by_name.items()))
        detail = f"{self._place}: {who or 'nobody is there'}"
        notice = f"Somebody was not let in: {self._stranger}" if self._stranger else ""
        self._health.set(self._adapter, HealthState.HEALTHY, detail=detail, notice=notice, quiet=True)


def _connections(count: int) -> str:
    return "1 connection" if count == 1 else f"{count} connections"
