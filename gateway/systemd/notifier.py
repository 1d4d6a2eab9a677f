"""What the gateway tells systemd: sd_notify datagrams, and the watchdog that is fed after a self-check.

Without ``$NOTIFY_SOCKET`` (not started by systemd) everything here does nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping

import structlog

from gateway.contract.escaping import one_line

log = structlog.get_logger(__name__)

_MICROSECONDS = 1_000_000


class Notifier:
    """The service's side of sd_notify(3). Not thread-safe: used from the event loop only."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Reads ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``; wrong values count as absent."""
        address = environ.get("NOTIFY_SOCKET", "")
        if address.startswith("@"):
            address = "\0" + address[1:]  # Linux's abstract namespace
        self._address = address if address.startswith(("\0", "/")) else ""
        self._watchdog_seconds = _watchdog_seconds(environ) if self._address else 0.0

    @property
    def active(self) -> bool:
        """Whether somebody is listening."""
        return bool(self._address)

    def ready(self, status: str = "") -> None:
        """The gateway has started; ``status`` is what `systemctl status` shows."""
        self._send("READY=1", status)

    def status(self, status: str) -> None:
        """Change what `systemctl status` shows."""
        self._send("", status)

    def reloading(self, status: str = "") -> None:
        """The gateway reads its configuration again; ``ready`` follows."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={microseconds}", status)

    def stopping(self, status: str = "") -> None:
        """The gateway has begun to drain."""
        self._send("STOPPING=1", status)

    async def watchdog(self, check: Callable[[], bool]) -> None:
        """Feed the watchdog at half its interval while ``check`` says that all is well; runs until cancelled.

        This coroutine turns with the event loop, so a loop that hangs starves the watchdog too.
        Returns at once when systemd wants no feeding.
        """
        well = True
        while self._watchdog_seconds:
            was_well, well = well, _passes(check)
            if well:
                self._send("WATCHDOG=1")
            elif was_well:
                log.error("self-check failed, the watchdog is not fed", restart_in_s=self._watchdog_seconds)
            await asyncio.sleep(self._watchdog_seconds / 2)

    def _send(self, state: str, status: str = "") -> None:
        if not self._address:
            return
        lines = [state] if state else []
        lines += [f"STATUS={one_line(status)}"] if status else []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto("\n".join(lines).encode(errors="replace"), self._address)
            except OSError as error:
                log.warning("systemd could not be told", state=state, error=str(error))


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0  # meant for another process of the unit
    interval = environ.get("WATCHDOG_USEC", "")
    return int(interval) / _MICROSECONDS if interval.isascii() and interval.isdigit() else 0.0


def _passes(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception:  # the error boundary of the self-check: a check that raises has failed
        log.exception("the self-check itself failed")
        return False
