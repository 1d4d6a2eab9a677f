"""A shared store by its URL; each kind is loaded when somebody names it."""

from __future__ import annotations

import asyncio
from importlib import import_module

from gateway.settings.house import HouseSettings
from gateway.shared_store.place import place_of
from gateway.shared_store.port import SharedStore, StoreRefused

_POSTGRESQL = ("gateway.shared_store.postgresql", "postgresql")
_REDIS = ("gateway.shared_store.redis", "redis")
_KINDS = {"postgresql": _POSTGRESQL, "postgresqls": _POSTGRESQL, "redis": _REDIS, "rediss": _REDIS}
"""The module, and the extra that it needs."""


async def open_store(settings: HouseSettings, *, only_look: bool = False) -> SharedStore:
    """Connected, and its tables as this version wants them; or, ``only_look``, as they are, for ``facts``.

    Raises StoreUnavailable, StoreRefused.
    """
    place = await asyncio.to_thread(place_of, settings)
    module, extra = _KINDS[place.scheme]
    try:
        kind = await asyncio.to_thread(import_module, module)
    except ImportError as error:
        raise StoreRefused(
            f"{place.scheme}:// needs what is not installed ({error.name})",
            f"pip install 'earshot-gateway[{extra}]'",
        ) from error
    store: SharedStore = await kind.connect(place, only_look=only_look)
    return store
