"""One utterance between the pool and the gateway's own engine: who does it, who helps, and whose text is taken.

No I/O and no clock. What can happen, and what is done then, is a table.
"""

from __future__ import annotations

import enum


class Stand(enum.Enum):
    """Who is at it, and who else could be."""

    POOL = "the pool, and the own engine could"
    OWN = "the own engine, and the pool could"
    BOTH = "both"
    POOL_LAST = "the pool, and nobody else could"
    OWN_LAST = "the own engine, and nobody else could"
    ENDED = "nobody any more"


class Happening(enum.Enum):
    """What can happen to it."""

    TEXT = "somebody has its text"
    LATE = "who is at it should have had it by now"
    POOL_FAILED = "the pool has not managed, or is gone"
    OWN_FAILED = "the own engine has not managed"
    POISON = "engines die of it"


class NextStep(enum.Enum):
    """What is to be done then."""

    NOTHING = "wait"
    ASK_OWN = "have the own engine do it, too"
    ASK_POOL = "have the pool do it, too"
    TAKE = "take the text; who else is at it may stop"
    FAIL = "that is the end of it"


TABLE: dict[tuple[Stand, Happening], tuple[Stand, NextStep]] = {
    (Stand.POOL, Happening.TEXT): (Stand.ENDED, NextStep.TAKE),
    (Stand.POOL, Happening.LATE): (Stand.BOTH, NextStep.ASK_OWN),
    (Stand.POOL, Happening.POOL_FAILED): (Stand.OWN_LAST, NextStep.ASK_OWN),
    (Stand.POOL, Happening.POISON): (Stand.ENDED, NextStep.FAIL),
    (Stand.OWN, Happening.TEXT): (Stand.ENDED, NextStep.TAKE),
    (Stand.OWN, Happening.LATE): (Stand.BOTH, NextStep.ASK_POOL),
    (Stand.OWN, Happening.OWN_FAILED): (Stand.POOL_LAST, NextStep.ASK_POOL),
    (Stand.OWN, Happening.POISON): (Stand.ENDED, NextStep.FAIL),
    (Stand.BOTH, Happening.TEXT): (Stand.ENDED, NextStep.TAKE),
    (Stand.BOTH, Happening.LATE): (Stand.BOTH, NextStep.NOTHING),
    (Stand.BOTH, Happening.POOL_FAILED): (Stand.OWN_LAST, NextStep.NOTHING),
    (Stand.BOTH, Happening.OWN_FAILED): (Stand.POOL_LAST, NextStep.NOTHING),
    (Stand.BOTH, Happening.POISON): (Stand.ENDED, NextStep.FAIL),
    (Stand.POOL_LAST, Happening.TEXT): (Stand.ENDED, NextStep.TAKE),
    (Stand.POOL_LAST, Happening.LATE): (Stand.POOL_LAST, NextStep.NOTHING),
    (Stand.POOL_LAST, Happening.POOL_FAILED): (Stand.ENDED, NextStep.FAIL),
    (Stand.POOL_LAST, Happening.POISON): (Stand.ENDED, NextStep.FAIL),
    (Stand.OWN_LAST, Happening.TEXT): (Stand.ENDED, NextStep.TAKE),
    (Stand.OWN_LAST, Happening.LATE): (Stand.OWN_LAST, NextStep.NOTHING),
    (Stand.OWN_LAST, Happening.OWN_FAILED): (Stand.ENDED, NextStep.FAIL),
    (Stand.OWN_LAST, Happening.POISON): (Stand.ENDED, NextStep.FAIL),
}
"""What is not in it cannot happen."""


class Contest:
    """Where one utterance stands."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand

    def happens(self, what: Happening) -> NextStep:
        """Raises KeyError, and changes nothing, for what cannot happen to it."""
        self.stand, deed = TABLE[self.stand, what]
        return deed
