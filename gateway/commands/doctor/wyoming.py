"""The doctor's look at programs that speak Wyoming: whether they can come, and whether any may."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from gateway.access.loopback import is_loopback
from gateway.commands.doctor.finding import Finding, ok, warn
from gateway.settings.wyoming import WyomingSettings

WHAT = "wyoming"
LISTEN = "set adapters.wyoming.listen to a place that is free, such as tcp://0.0.0.0:10300"
NAME_SOMEBODY = "name who may come in adapters.wyoming.allow, such as {Home Assistant: 192.168.1.5}"
MAKE_FOLDER = (
    "make it, and let the gateway's user write there; /run/earshot is there as long as the service runs"
)


def wyoming(settings: WyomingSettings, is_running: Callable[[], bool]) -> Iterator[Finding]:
    """``is_running``: whether a gateway with this configuration answers, which has its places then."""
    for url in settings.listen:
        yield _place(url, is_running)
    if settings.conversation and not settings.listen:
        yield warn(WHAT, "nobody can ask (conversation): programs have no place to come to", LISTEN)
    if not settings.allow and any(map(_is_on_the_network, settings.listen)):
        yield warn(
            WHAT, "it listens on the network, and lets nobody in but programs of this machine", NAME_SOMEBODY
        )


def _place(url: str, is_running: Callable[[], bool]) -> Finding:
    place = urlsplit(url)
    if place.scheme == "unix":
        folder = Path(place.path).parent
        return (
            ok(WHAT, f"{url}: its folder is there")
            if folder.is_dir()
            else warn(WHAT, f"{url}: there is no folder {folder}", MAKE_FOLDER)
        )
    if is_free(place.hostname or "", place.port or 0):
        return ok(WHAT, f"{url} is free")
    if is_running():
        return ok(WHAT, f"{url} is in use, and a gateway is running: its page says who is there")
    return warn(WHAT, f"{url} is in use by another program, or no address of this machine", LISTEN)


def _is_on_the_network(url: str) -> bool:
    place = urlsplit(url)
    return place.scheme == "tcp" and not is_loopback(place.hostname or "")


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens there, and it is an address of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
