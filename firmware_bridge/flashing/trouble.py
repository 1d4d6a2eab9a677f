"""What goes wrong with a board on a cable, and what to do about it."""

from __future__ import annotations


class FlashTrouble(Exception):
    """It cannot be done (so). ``remedy``: what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
