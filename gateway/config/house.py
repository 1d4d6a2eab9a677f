"""What is wrong with how a house of several gateways is named, beyond what single settings can say."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_bridge.servers import split_url
from gateway.config.outline import Contradiction, shown
from gateway.settings.house import HouseSettings

STORE_PORTS = {"postgresql": 5432, "postgresqls": 5432, "redis": 6379, "rediss": 6379}
"""Of each kind of store its usual port; with an s at the end of its name it is TLS."""
GUARDED_STORES = frozenset({"postgresqls", "rediss"})
_EXPECTED = (
    "expected postgresql[s]://[user:password@]host[:port]/database or redis[s]://[user:password@]host[:port]"
)


def contradictions(settings: HouseSettings) -> Iterator[Contradiction]:
    """All of it, with where it stands."""
    yield from _row(settings)
    here = ("house", "store")
    if settings.store and not is_store_url(settings.store):
        yield (here,), f"{_EXPECTED}, got {shown(settings.store)}"
        return
    scheme = settings.store.partition("://")[0]
    for name in ("store_ca_file", "store_cert_file", "store_key_file"):
        if getattr(settings, name) and scheme not in GUARDED_STORES:
            yield (("house", name), here), "certificates need a postgresqls:// or rediss:// url"
    if settings.store_key_file and not settings.store_cert_file:
        yield (("house", "store_key_file"),), "a key is of no use without house.store_cert_file"
    if settings.store_password_file and not settings.store:
        yield (("house", "store_password_file"), here), "a password for nobody: house.store is empty"


def _row(settings: HouseSettings) -> Iterator[Contradiction]:
    if settings.standby_for and settings.standby_for == settings.name:
        paths = ("house", "standby_for"), ("house", "name")
        yield paths, "a gateway cannot stand by for itself; name the one whose devices this one is to take"
    if settings.standby_for and settings.has_standby:
        paths = ("house", "has_standby"), ("house", "standby_for")
        yield paths, "a gateway that stands by for another is that one's standby, and has none of its own"


def is_store_url(url: str) -> bool:
    """Whether it names one."""
    scheme = url.partition("://")[0]
    if scheme not in STORE_PORTS:
        return False
    try:
        path = split_url(url).path.strip("/")
    except ValueError:
        return False
    return "/" not in path and (not scheme.startswith("redis") or not path or path.isdigit())
