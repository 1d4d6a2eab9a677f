"""What somebody needs for a thing: one right, one of several, or nothing yet."""

from __future__ import annotations

import enum
from typing import TypeAlias

from gateway.access.principals import Right


class Open(enum.Enum):
    """What lets in somebody who has shown nothing yet."""

    EVERYBODY = "everybody"
    """Nothing behind it is anybody's."""
    TICKETED = "ticketed"
    """Its address has in it what lets in, which nobody can guess, and for one thing alone."""
    INTRODUCES = "introduces"
    """Asks for the token itself, and then for the right to listen: the WebSocket, the page, signing in."""


Needed: TypeAlias = Right | tuple[Right, ...] | Open
"""What a route asks for. Of several rights one is enough."""
