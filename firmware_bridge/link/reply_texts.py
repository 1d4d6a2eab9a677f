"""What a device shows of each reply, of whatever frames its text is made: the reference for clients. No I/O."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from firmware_bridge.link.frames import Reply
from firmware_bridge.link.repeats import REMEMBERED

MAX_CHARACTERS: Final = 128 * 1024
"""Of one reply; no gateway tells so much."""


class ReplyTexts:
    """The texts of replies that have begun and not ended, of the last ``REMEMBERED`` of them."""

    def __init__(self, *, pieces: bool) -> None:
        """``pieces``: the device has said that it wants them; else each reply is a text of its own."""
        self._pieces = pieces
        self._texts: OrderedDict[str, str] = OrderedDict()

    def take(self, frame: Reply) -> Reply | None:
        """The reply with all of its text so far, to be shown in place of what was; None: it goes on in the next frame.

        To be given each frame once, in order (``Repeats``).
        """
        begun = self._texts.pop(frame.correlation_id, "")
        text = (frame.text if frame.whole else begun + frame.text)[:MAX_CHARACTERS]
        if frame.continued or (self._pieces and not frame.final):
            self._texts[frame.correlation_id] = text
            if len(self._texts) > REMEMBERED:
                self._texts.popitem(last=False)
        return None if frame.continued else replace(frame, text=text)

    def forget(self) -> None:
        """Another link begins: what was told in part is told from its beginning."""
        self._texts.clear()
