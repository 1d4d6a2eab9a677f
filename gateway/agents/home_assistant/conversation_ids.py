"""Conversations of ours, and what Home Assistant calls each: it makes ids of its own."""

from __future__ import annotations

from collections import OrderedDict

MOST = 1_000


class ConversationIds:
    """The last ``MOST`` that something was said in; of one before, Home Assistant begins a new one."""

    def __init__(self) -> None:
        self._theirs: OrderedDict[str, str] = OrderedDict()

    def of(self, ours: str) -> str:
        """Home Assistant's, or ""."""
        return self._theirs.get(ours, "")

    def note(self, ours: str, theirs: str) -> None:
        """What it is called from now on."""
        if not ours or not theirs:
            return
        self._theirs[ours] = theirs
        self._theirs.move_to_end(ours)
        if len(self._theirs) > MOST:
            self._theirs.popitem(last=False)
