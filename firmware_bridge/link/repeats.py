"""What a device knows to have had already: a gateway that was restarted may say it again. No I/O."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from firmware_bridge.link.frames import Reply, Status, TranscriptText

REMEMBERED: Final = 32
"""Correlation ids a device remembers, of transcripts and of whole replies each."""


class Repeats:
    """The latest correlation ids whose TRANSCRIPT, or whose last REPLY, was taken."""

    def __init__(self) -> None:
        self.dropped = 0
        """Frames that were had before."""
        self._transcripts: OrderedDict[str, None] = OrderedDict()
        self._replies: OrderedDict[str, None] = OrderedDict()

    def is_new(self, frame: Status | TranscriptText | Reply) -> bool:
        """Whether the frame is to be shown; to be asked once for each, in order."""
        if isinstance(frame, Status):
            return True
        known = self._replies if isinstance(frame, Reply) else self._transcripts
        if frame.correlation_id in known:
            self.dropped += 1
            return False
        if not isinstance(frame, Reply) or frame.final:
            known[frame.correlation_id] = None
            if len(known) > REMEMBERED:
                known.popitem(last=False)
        return True
