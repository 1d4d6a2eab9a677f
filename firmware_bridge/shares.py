"""A bounded table that many fill: how much of it is whose, and who gives way when it is full. No I/O.

An owner is whoever shows one token (or, without one, whoever is on this machine). What belongs to the house, its
boards, is nobody's part: it finds room as long as there is any. There are two kinds of tables. What cannot be taken
back (speech under way, a file half read) is given out as :func:`has_share` says: an owner never has more places than
are left free, so one alone gets half of the table, two get a third each, and the house always finds the rest. Where a
place can be taken back (a listener comes again), all of it is given out, and :func:`gives_way` says who makes room.
"""

from __future__ import annotations

from collections import Counter

HOUSE = ""
"""The owner of what belongs to the house."""


def has_share(places: int, taken: Counter[str], owner: str) -> bool:
    """Whether one of ``places`` is left for ``owner``, as things are ``taken``."""
    free = places - taken.total()
    return free > 0 if owner == HOUSE else taken[owner] < free


def gives_way(taken: Counter[str], owner: str) -> str | None:
    """Who loses a place to ``owner`` in a full table: whoever has most; None: that would be the wrong one."""
    most = max((one for one in taken if one != HOUSE), key=lambda one: taken[one], default=None)
    if most is None or (owner != HOUSE and taken[most] <= taken[owner] + 1):
        return None
    return most
