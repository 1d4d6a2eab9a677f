"""What waits for one device: statuses, transcripts and replies until it has taken them. No I/O."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection
from dataclasses import replace
from typing import Final, TypeAlias

from firmware_bridge.link.events import DeviceStatus
from firmware_bridge.link.frames import MAX_PAYLOAD, Header, Partial, Reply, Status, TranscriptText
from firmware_bridge.link.window import SendWindow

MAX_PARTIALS: Final = 16
"""Streams whose latest PARTIAL may wait."""
MAX_DELIVERED: Final = 1024
"""Correlation ids that delivered() keeps."""
MAX_WAITING: Final = 64
MAX_WAITING_TEXT: Final = 256 * 1024
"""What waits for room in the window: statuses and whole texts, and the characters of these."""
CUT_OFF: Final = "\N{HORIZONTAL ELLIPSIS}"
"""The end of a transcript whose rest is not told."""

_STABLE_BYTES: Final = 2  # before the text of a PARTIAL
_LONGEST_CHARACTER: Final = 4  # bytes of UTF-8

Kept: TypeAlias = Status | TranscriptText | Reply
"""What is numbered and sent again until it is acknowledged."""


class FrameOutbox:
    """Makes the frames for a device, cut to the size it takes, and keeps them while needed.

    What is more than the window holds follows as the device acknowledges, in order: a text may be longer than that.

    Frames leave with their final ``header.sequence`` and ``header.resent``; the link fills in the rest.
    """

    def __init__(self, capacity: int) -> None:
        """``capacity``: STATUS, TRANSCRIPT and REPLY frames kept until acknowledged."""
        self.window: SendWindow[Kept] = SendWindow(capacity, random.getrandbits(32))
        self.max_payload = MAX_PAYLOAD
        """The largest payload the device takes."""
        self.refused = 0
        """Statuses and texts refused because the outbox was full, or because no text fits beside their id."""
        self._waiting: deque[Kept] = deque()
        self._waiting_text = 0
        self._partials: dict[int, Partial] = {}
        self._delivered: deque[str] = deque(maxlen=MAX_DELIVERED)

    def status(self, stream: int, status: DeviceStatus) -> bool:
        """Queue a STATUS. False: full, as for all of these."""
        return self._keep(Status(Header(stream=stream), status))

    def partial(self, stream: int, text: str, stable: str = "") -> bool:
        """Queue a PARTIAL that begins with ``stable``, replacing the stream's last; it is sent once, if at all."""
        if len(self._partials) >= MAX_PARTIALS and stream not in self._partials:
            return False
        text = _cut(text, self.max_payload - _STABLE_BYTES)[0]
        settled = min(len(stable.encode()), len(text.encode()))
        self._partials[stream] = Partial(Header(stream=stream), text, settled)
        return True

    def transcript(self, stream: int, correlation_id: str, text: str) -> bool:
        """Queue a TRANSCRIPT, ended with CUT_OFF where it would be too long; no PARTIAL comes after it."""
        self._partials.pop(stream, None)
        space = self._space_beside(correlation_id)
        if not space:
            return False
        head, rest = _cut(text, space)
        if rest:
            head = _cut(text, space - len(CUT_OFF.encode()))[0] + CUT_OFF
        return self._keep(TranscriptText(Header(stream=stream), correlation_id, head))

    def reply(self, whole: Reply) -> bool:
        """Queue a REPLY, in several frames where it is long; all of it or nothing."""
        return self._space_beside(whole.correlation_id) > 0 and self._keep(whole)

    def acknowledge(self, acknowledged: int, credit: int, now: float) -> None:
        """The device has all before ``acknowledged`` and takes ``credit`` more."""
        taken = self.window.acknowledge(acknowledged, credit, now)
        if taken:
            self.window.forget(acknowledged)
            self._fill()
            self._delivered += [
                frame.correlation_id for frame in taken if isinstance(frame, Reply) and frame.final
            ]

    def delivered(self) -> list[str]:
        """Correlation ids of the replies acknowledged since the last call."""
        delivered = list(self._delivered)
        self._delivered.clear()
        return delivered

    def blank(self, correlation_ids: Collection[str]) -> None:
        """Whatever goes by these ids is told without its words, also what waits to be sent again."""

        def blanked(frame: Kept) -> Kept:
            if isinstance(frame, Status) or frame.correlation_id not in correlation_ids:
                return frame
            return replace(frame, text="")

        self.window.change(blanked)
        self._waiting = deque(map(blanked, self._waiting))
        self._waiting_text = sum(map(_characters, self._waiting))

    def drop_partials(self) -> None:
        """What was best effort is too late."""
        self._partials.clear()

    def take(self, now: float) -> list[tuple[Kept | Partial, Header]]:
        """What to put on the wire now, each with its number in a header of its own."""
        out: list[tuple[Kept | Partial, Header]] = [
            (frame, frame.header._replace(sequence=sequence, resent=resent))
            for sequence, resent, frame in self.window.take(now)
        ]
        out += [(partial, partial.header) for partial in self._partials.values()]
        self._partials.clear()
        return out

    def _space_beside(self, correlation_id: str) -> int:
        """Bytes for text beside this id; 0 (counted) if not even one character fits."""
        space = self.max_payload - 1 - len(correlation_id)
        if space >= _LONGEST_CHARACTER and correlation_id.isascii():
            return space
        self.refused += 1
        return 0

    def _keep(self, frame: Kept) -> bool:
        size = _characters(frame)
        full = (
            self.window.room <= 0 and not self._waiting
        )  # only behind what has begun is there anything to wait for
        if full or len(self._waiting) >= MAX_WAITING or self._waiting_text + size > MAX_WAITING_TEXT:
            self.refused += 1
            return False
        self._waiting.append(frame)
        self._waiting_text += size
        self._fill()
        return True

    def _fill(self) -> None:
        """As much of what waits as there is room for goes into the window."""
        while self._waiting and self.window.room > 0:
            whole = self._waiting.popleft()
            self._waiting_text -= _characters(whole)
            first, rest = self._first_of(whole)
            self.window.append(first)
            if rest is not None:
                self._waiting.appendleft(rest)
                self._waiting_text += _characters(rest)

    def _first_of(self, whole: Kept) -> tuple[Kept, Reply | None]:
        """One frame, and what is left of a reply that is too long for it."""
        if not isinstance(whole, Reply):
            return whole, None
        space = max(_LONGEST_CHARACTER, self.max_payload - 1 - len(whole.correlation_id))
        text, rest = _cut(whole.text, space)
        if not rest:
            return whole, None
        return replace(whole, text=text, final=False, continued=True), replace(whole, text=rest)


def _characters(frame: Kept) -> int:
    return 0 if isinstance(frame, Status) else len(frame.text)


def _cut(text: str, size: int) -> tuple[str, str]:
    """The longest beginning of ``text`` that is at most ``size`` bytes of UTF-8, and the rest."""
    head = text[:size].encode()[:size].decode("utf-8", "ignore")
    return head, text[len(head) :]
