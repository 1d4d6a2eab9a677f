"""The web server's address: taken, or refused with what to do about it."""

from __future__ import annotations

import errno
import os
import socket
from functools import partial

from firmware_bridge.servers import listening_socket
from gateway.access.door import MAKE_ONE, Door
from gateway.access.loopback import is_loopback
from gateway.process.made_in_thread import made_in_thread
from gateway.settings.web import WebSettings

BACKLOG = 512


class CannotListen(Exception):
    """The server cannot have its address; ``remedy`` says what to do about it."""

    def __init__(self, address: str, reason: str, remedy: str) -> None:
        super().__init__(f"cannot listen on {address}: {reason}. {remedy}")
        self.address = address
        self.reason = reason
        self.remedy = remedy


def check_door(settings: WebSettings, door: Door) -> None:
    """Raises CannotListen where others could reach the gateway and nobody has a token."""
    if is_loopback(settings.host) or door.has_tokens:
        return
    reason = door.trouble or "others can reach it there, and nobody has a token yet"
    raise CannotListen(
        f"{settings.host}:{settings.port}",
        reason,
        f"`{MAKE_ONE.format(name='me')}` makes one (with the gateway's --config, where it has one)",
    )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. ``localhost`` is 127.0.0.1: browsers try both. Raises CannotListen."""
    address = f"{host}:{port}"
    try:
        return listening_socket(host, port, BACKLOG)
    except socket.gaierror as error:
        raise CannotListen(
            address, "no such address", "Set web.host to an address of this machine."
        ) from error
    except OSError as error:
        remedy = "Set web.port in config.yaml to another port; 0 takes a free one."
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(address, "another program listens there", remedy) from error
        if error.errno == errno.EADDRNOTAVAIL:
            remedy = "Set web.host to an address of this machine; 0.0.0.0 is every one."
        raise CannotListen(address, os.strerror(error.errno or 0), remedy) from error


async def listening(host: str, port: int) -> socket.socket:
    """The same in a thread, for it may look a name up."""
    return await made_in_thread(partial(listen, host, port), socket.socket.close)


def page_url(scheme: str, host: str, port: int) -> str:
    """Where the page is, for people: by this machine's name where it listens on every address."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared
        host = socket.gethostname()
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"
