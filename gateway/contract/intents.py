"""What an agent wants to have done by whoever asked: ``intents`` in the data of its reply. No I/O.

A program that can carry out intents, as Home Assistant can, is told them; everybody else is told the reply's text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct

from gateway.contract.messages import BadMessage

INTENTS = "intents"
"""Where they stand in the data."""
MOST_INTENTS = 16

_Characters = Annotated[str, Meta(max_length=1_000)]
_SlotName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]{1,64}$")]
Slot: TypeAlias = (
    _Characters | int | float | bool | Annotated[tuple[_Characters, ...], Meta(max_length=64)] | None
)
"""What stands in a slot of an intent."""


class WantedIntent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is to be done. ``text``: what to say about it, where whoever does it says nothing."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
    slots: Annotated[dict[_SlotName, Slot], Meta(max_length=32)] = {}
    text: _Characters = ""


_Intents = Annotated[tuple[WantedIntent, ...], Meta(max_length=MOST_INTENTS)]


def intents_of(data: Mapping[str, Any] | None, agents: Collection[str] = ()) -> tuple[WantedIntent, ...]:
    """Those in the data of one agent's reply; or of a reply of several, whose data stand by their names.

    Raises BadMessage.
    """
    if not data:
        return ()
    parts = [data] if INTENTS in data else [data.get(agent) for agent in agents]
    wanted = [one for part in parts if isinstance(part, dict) for one in _in(part)]
    if len(wanted) > MOST_INTENTS:
        raise BadMessage(f"not intents: there are more than {MOST_INTENTS}")
    return tuple(wanted)


def _in(data: Mapping[str, Any]) -> tuple[WantedIntent, ...]:
    if INTENTS not in data:
        return ()
    try:
        return msgspec.convert(data[INTENTS], _Intents)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadMessage(f"not intents: {error}") from error
