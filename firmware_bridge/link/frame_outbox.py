"""What waits for one device: statuses, transcripts and replies until it has taken them. No I/O."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from firmware_bridge.link.events import DeviceStatus
from firmware_bridge.link.frames import MAX_PAYLOAD, Header, Partial, Reply, Status, TranscriptText
from firmware_bridge.link.window import SendWindow, distance

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


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """What has no number yet. ``grows``: it is a piece of a reply, and others of it may be joined to it."""

    frame: Kept
    grows: bool = False

    @property
    def ends(self) -> bool:
        """Whether a reply is over with it."""
        return isinstance(self.frame, Reply) and self.frame.final

    @property
    def characters(self) -> int:
        """Of its text."""
        return 0 if isinstance(self.frame, Status) else len(self.frame.text)


class FrameOutbox:
    """Makes the frames for a device, cut to the size it takes, and keeps them while needed.

    What is more than the window holds follows as the device acknowledges, in order: a text may be longer than that.
    A piece of a reply has a number only once the device takes it: until then it grows.

    Frames leave with their final ``header.sequence`` and ``header.resent``; the link fills in the rest.
    """

    def __init__(self, capacity: int) -> None:
        """``capacity``: STATUS, TRANSCRIPT and REPLY frames kept until acknowledged."""
        self.window: SendWindow[Kept] = SendWindow(capacity, random.getrandbits(32))
        self.max_payload = MAX_PAYLOAD
        """The largest payload the device takes."""
        self.wants_pieces = False
        """Whether the device knows ``whole`` of a reply."""
        self.refused = 0
        """Statuses and texts refused because the outbox was full, or because no text fits beside their id."""
        self._waiting: deque[_Waiting] = deque()
        self._waiting_text = 0
        self._partials: dict[int, Partial] = {}
        self._delivered: deque[str] = deque(maxlen=MAX_DELIVERED)

    def status(self, stream: int, status: DeviceStatus) -> bool:
        """Queue a STATUS. False: full, as for all of these."""
        return self._keep(_Waiting(Status(Header(stream=stream), status)))

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
        return self._keep(_Waiting(TranscriptText(Header(stream=stream), correlation_id, head)))

    def reply(self, reply: Reply, *, grows: bool = False) -> bool:
        """Queue a REPLY, in several frames where it is long; all of it or nothing.

        ``grows``: it is a piece. What waits of its id is superseded by a whole one; of another, its last piece goes
        with it.
        """
        if not self._space_beside(reply.correlation_id):
            return False
        if reply.whole:
            return self._keep(_Waiting(reply, grows), instead_of=self._superseded(reply.correlation_id))
        piece = self._growing(reply.correlation_id)
        if piece is None:
            return self._keep(_Waiting(reply, grows))
        assert isinstance(piece.frame, Reply)
        joined = replace(reply, text=piece.frame.text + reply.text, whole=piece.frame.whole)
        return self._keep(_Waiting(joined, grows), instead_of=(piece,))

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
        """Whatever goes by these ids is told without its words, also what waits to be sent again.

        A device that knows how takes back what it was told of a reply.
        """

        def blanked(frame: Kept) -> Kept:
            if isinstance(frame, Status) or frame.correlation_id not in correlation_ids:
                return frame
            if isinstance(frame, TranscriptText):
                return replace(frame, text="")
            return replace(frame, text="", whole=self.wants_pieces)

        self.window.change(blanked)
        self._waiting = deque(_Waiting(blanked(one.frame), one.grows) for one in self._waiting)
        self._waiting_text = sum(one.characters for one in self._waiting)

    def drop_partials(self) -> None:
        """What was best effort is too late."""
        self._partials.clear()

    def take(self, now: float) -> list[tuple[Kept | Partial, Header]]:
        """What to put on the wire now, each with its number in a header of its own."""
        self._fill(now_taken=True)
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

    def _growing(self, correlation_id: str) -> _Waiting | None:
        """The piece of this reply that may still grow: only pieces of others are behind it."""
        for one in reversed(self._waiting):
            if not one.grows:
                return None
            if _is_of(one, correlation_id):
                return one
        return None

    def _superseded(self, correlation_id: str) -> tuple[_Waiting, ...]:
        """What waits of a reply that is now told as a whole; its end is none of it."""
        return tuple(one for one in self._waiting if _is_of(one, correlation_id) and not one.ends)

    def _keep(self, one: _Waiting, instead_of: Collection[_Waiting] = ()) -> bool:
        more = one.characters - sum(other.characters for other in instead_of)
        full = (
            self.window.room <= 0 and not self._waiting
        )  # only behind what has begun is there anything to wait for
        too_many = len(self._waiting) - len(instead_of) >= MAX_WAITING
        if full or too_many or self._waiting_text + more > MAX_WAITING_TEXT:
            self.refused += 1
            return False
        for other in instead_of:
            self._waiting.remove(other)
        self._waiting.append(one)
        self._waiting_text += more
        self._fill()
        return True

    def _fill(self, *, now_taken: bool = False) -> None:
        """As much of what waits as there is room for goes into the window.

        Pieces with nothing behind them go when they are taken: at the last moment, and only if the device takes them.
        """
        while self._waiting and self.window.room > 0:
            taken = now_taken and distance(self.window.next, self.window.edge) > 0
            if not taken and all(one.grows for one in self._waiting):
                return
            whole = self._waiting.popleft()
            self._waiting_text -= whole.characters
            first, rest = self._first_of(whole)
            self.window.append(first)
            if rest is not None:
                self._waiting.appendleft(rest)
                self._waiting_text += rest.characters

    def _first_of(self, one: _Waiting) -> tuple[Kept, _Waiting | None]:
        """One frame, and what is left of a reply that is too long for it."""
        whole = one.frame
        if not isinstance(whole, Reply):
            return whole, None
        space = max(_LONGEST_CHARACTER, self.max_payload - 1 - len(whole.correlation_id))
        text, rest = _cut(whole.text, space)
        if not rest:
            return whole, None
        left = _Waiting(replace(whole, text=rest, whole=False), one.grows)
        if one.grows:
            return replace(whole, text=text), left
        return replace(whole, text=text, final=False, continued=True), left


def _is_of(one: _Waiting, correlation_id: str) -> bool:
    """Whether it is a part of this reply."""
    return isinstance(one.frame, Reply) and one.frame.correlation_id == correlation_id


def _cut(text: str, size: int) -> tuple[str, str]:
    """The longest beginning of ``text`` that is at most ``size`` bytes of UTF-8, and the rest."""
    head = text[:size].encode()[:size].decode("utf-8", "ignore")
    return head, text[len(head) :]
