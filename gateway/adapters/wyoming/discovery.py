"""Found by Home Assistant without being named to it: mDNS, told by zeroconf, which is imported here alone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

import ifaddr
import structlog
from zeroconf import Error
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from firmware_bridge.servers import in_words
from gateway.access.loopback import is_loopback

log = structlog.get_logger(__name__)

KIND = "_wyoming._tcp.local."
LOOK_SECONDS = 30.0
"""So often it is looked whether this machine's addresses are still the same."""


def addresses_for(host: str) -> list[str]:
    """Where others reach what listens on ``host``."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared
        return [host]
    found = [ip for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    texts = {str(ip.ip) for ip in found if ip.is_IPv4} | {str(ip.ip[0]) for ip in found if ip.is_IPv6}
    return sorted(one for one in texts if not is_loopback(one) and (host == "::" or ":" not in one))


class Announcement:
    """One port of this machine, announced for as long as ``run`` is at work."""

    def __init__(
        self,
        port: int,
        find: Callable[[], Sequence[str]],
        *,
        on_state: Callable[[str], None],
        name: str = "",
    ) -> None:
        """``find``: this machine's addresses, as they are now. ``on_state`` is told why it goes wrong, or nothing."""
        self._port = port
        self._find = find
        self._on_state = on_state
        self._name = name or f"earshot-{socket.gethostname().partition('.')[0]}"

    async def run(self) -> None:
        """Until it is cancelled. Whoever has another address is announced anew."""
        while True:
            addresses = await asyncio.to_thread(self._find)
            try:
                if addresses:
                    await self._announce(addresses)
                else:
                    self._on_state("this machine has no address on any network")
                    await asyncio.sleep(LOOK_SECONDS)
            except (OSError, Error) as error:
                self._on_state(in_words(error) or type(error).__name__)
                await asyncio.sleep(LOOK_SECONDS)

    async def _announce(self, addresses: Sequence[str]) -> None:
        """Until the addresses are others."""
        info = AsyncServiceInfo(
            KIND, f"{self._name}.{KIND}", port=self._port, parsed_addresses=list(addresses), properties={}
        )
        _check(addresses)
        zeroconf = AsyncZeroconf(interfaces=list(addresses))
        try:
            told: Awaitable[None] = await zeroconf.async_register_service(info, allow_name_change=True)
            await told
            self._on_state("")
            log.info("announced for Home Assistant", name=info.name, addresses=list(addresses))
            while await asyncio.to_thread(self._find) == addresses:  # noqa: ASYNC110 - nobody tells when they change
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await zeroconf.async_close()


def _check(addresses: Sequence[str]) -> None:
    """Whether they are this machine's: zeroconf would leave sockets behind. Raises OSError."""
    for address in addresses:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            if not address.startswith("fe80:"):  # these want a zone, too
                probe.bind((address, 0))
