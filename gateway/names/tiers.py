"""Names in the order in which a recognizer is told them: those of the room in which somebody speaks first. No I/O."""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MOST_NAMES = 4_000
"""Of one source; a large Home Assistant has some hundred exposed."""

MOST_TOLD = 200
"""Names that a recognizer is handed: more than the budget of any model has room for."""

LONGEST_NAME = 64
"""Characters; a longer one is a description, which nobody says."""

EVERYWHERE = "*"
"""The room of what is said in every room."""


class Likely(enum.IntEnum):
    """How likely something is called by its name, the likeliest first."""

    COMMANDED = 0
    """A light, a shutter, somebody's name: what commands are about."""

    PLACE = 1
    """A room or a floor."""

    MEASURED = 2
    """A sensor: of hundreds few are ever asked for by name."""


@dataclass(frozen=True, slots=True)
class Named:
    """Something with a name, and the room it is in ("": nobody knows)."""

    name: str
    room: str = ""
    spoken: Likely = Likely.COMMANDED


def in_order(names: Iterable[Named], room: str) -> tuple[str, ...]:
    """What a recognizer is told of them when somebody speaks in that room; each once, and not too many.

    First the room's own, then rooms, then what is elsewhere; of each, what is commanded before what is measured.
    """
    here = folded(room)
    ranked = sorted(enumerate(names), key=lambda one: (_tier(one[1], here), one[0]))
    found: dict[str, str] = {}
    for _, one in ranked:
        found.setdefault(one.name.casefold(), one.name)
        if len(found) == MOST_TOLD:
            break
    return tuple(found.values())


def cleaned(names: Iterable[Named]) -> Iterator[Named]:
    """Those that can be said: on one line, of a bearable length, with a letter in them. So are rooms, or unknown."""
    for one in names:
        if len(one.name) > 8 * LONGEST_NAME:  # whatever is in it, and looking takes time
            continue
        name = "".join(" " if unicodedata.category(each) in _UNSPOKEN else each for each in one.name)
        name = " ".join(name.split())
        if len(name) <= LONGEST_NAME and any(each.isalpha() for each in name):
            room = " ".join(one.room.split())
            yield Named(name, room if len(room) <= LONGEST_NAME else "", one.spoken)


def folded(room: str) -> str:
    """A room's name as it is compared: Kitchen is kitchen, and living_room is Living room."""
    return " ".join(room.replace("_", " ").replace("-", " ").casefold().split())


def _tier(one: Named, here: str) -> int:
    is_here = one.room == EVERYWHERE or (here != "" and folded(one.room) == here)
    is_its_own_name = one.spoken is Likely.PLACE and here != "" and folded(one.name) == here
    if is_its_own_name or (is_here and one.spoken is not Likely.MEASURED):
        return 0
    return {Likely.PLACE: 2, Likely.COMMANDED: 3, Likely.MEASURED: 1 if is_here else 4}[one.spoken]


_UNSPOKEN = {"Cc", "Cf", "Cs", "Co", "Cn", "So", "Zl", "Zp"}
"""Categories of characters that no name is spelled with: control, emoji and the like."""
