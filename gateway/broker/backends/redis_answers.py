"""What a Redis server answers, read from what comes, and what one answer may take in memory, whatever it says.

redis-py reads a string whole, and an entry's may have 512 MB. Here the beginning of a long one is kept, which is enough
to refuse it, and the rest is thrown away as it comes. Of an answer that is too large in all, the rest is ``CUT``.
And it reads line by line, each with a wait of its own, where here all that has come is read in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.contract.messages import MESSAGE_BYTES

KEPT_BYTES = MESSAGE_BYTES + 1
"""Of one string: more than any message may have."""
ANSWER_BYTES = 32 * 1024 * 1024
"""Of one answer in all."""
ELEMENT_BYTES = 100
"""What each part of an answer counts for, however little is in it."""
MOST_ELEMENTS = 100_000
"""Of one list. The connection ends over a longer one."""
MOST_PARTS = 1_000_000
"""Of one answer, lists within lists counted. The connection ends over more, and over lists that are deeper."""
MOST_DEEP = 16
LINE_BYTES = 64 * 1024
"""Of what is no string of a told length; the connection ends over a longer one."""
PIECE_BYTES = 256 * 1024
"""So much is read at once, where so much has come."""

CUT: Final = bytes(bytearray(b"cut"))  # one object, which nothing else is
"""In place of every string for which there was no room any more."""
MISSING: Final = object()
"""More has to come first."""
_NOTHING_YET: Final = object()


class AnswerReader:
    """RESP 2, as it comes, in whatever pieces. No I/O. ``error_of`` makes what stands for an error, of its text."""

    def __init__(self, error_of: Callable[[str], Any]) -> None:
        self._kinds: dict[bytes, Callable[[bytes], Any]] = {
            b"$": self._begin_string,
            b"*": self._begin_list,
            b":": _number,
            b"+": bytes,
            b"-": lambda told: error_of(told.decode("utf-8", "replace")),
        }
        self._data = b""
        self._at = 0
        self._lists: list[tuple[list[Any], int]] = []
        self._length = -1  # of a string whose line was read
        self._passing = 0  # bytes that nobody wants
        self._beginning = b""  # of the string that they belong to
        self._taken = 0
        self._parts = 0

    @property
    def ahead(self) -> int:
        """Bytes that came and were not read."""
        return len(self._data) - self._at

    def feed(self, piece: bytes) -> None:
        """More has come."""
        self._data = self._data[self._at :] + piece
        self._at = 0

    def answer(self) -> Any:
        """The next one; MISSING: it is not here yet. Raises OSError for what is none."""
        lists = self._lists
        while True:
            part = self._part()
            if part is MISSING:
                return MISSING
            if part is _NOTHING_YET:
                continue
            while lists:
                items, wanted = lists[-1]
                items.append(part)
                if len(items) < wanted:
                    break
                part = items
                lists.pop()
            else:
                self._taken = self._parts = 0
                return part

    def _part(self) -> Any:
        if self._passing:
            return self._pass()
        if self._length >= 0:
            return self._string()
        end = self._data.find(b"\r\n", self._at)
        if end < 0:
            if self.ahead > LINE_BYTES:
                raise OSError("an answer is no line of Redis's")
            return MISSING
        kind, told = self._data[self._at : self._at + 1], self._data[self._at + 1 : end]
        self._at = end + 2
        self._taken += ELEMENT_BYTES
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise OSError(f"an answer has more than {MOST_PARTS} parts")
        if kind not in self._kinds:
            raise OSError(f"an answer is none of Redis's: {kind + told[:40]!r}")
        return self._kinds[kind](told)

    def _begin_string(self, told: bytes) -> Any:
        self._length = _number(told)
        return None if self._length < 0 else self._string()

    def _begin_list(self, told: bytes) -> Any:
        length = _number(told)
        if length > MOST_ELEMENTS:
            raise OSError(f"an answer is a list of {length}, and {MOST_ELEMENTS} are the most")
        if length <= 0:
            return None if length < 0 else []
        if len(self._lists) >= MOST_DEEP:
            raise OSError(f"an answer has lists more than {MOST_DEEP} deep")
        self._lists.append(([], length))
        return _NOTHING_YET

    def _string(self) -> Any:
        length, begin = self._length, self._at
        kept = min(length, KEPT_BYTES)
        if self._taken + kept > ANSWER_BYTES:
            self._beginning = CUT
            self._passing = length + 2
        elif length > KEPT_BYTES:
            if self.ahead < KEPT_BYTES:
                return MISSING
            self._beginning = self._data[begin : begin + KEPT_BYTES]
            self._at += KEPT_BYTES
            self._passing = length + 2 - KEPT_BYTES
        else:
            end = begin + length
            if len(self._data) < end + 2:
                return MISSING
            self._taken += length
            self._length = -1
            self._at = end + 2
            return self._data[begin:end]
        self._taken += kept
        self._length = -1
        return self._pass()

    def _pass(self) -> Any:
        """Of what has come so much as belongs to it."""
        gone = min(self._passing, self.ahead)
        self._at += gone
        self._passing -= gone
        return MISSING if self._passing else self._beginning


class Bounded:
    """Goes before redis-py's parser of RESP 2 for asyncio among the bases of a class."""

    ends: type[Exception]
    """Answers of the library's that are the end of the connection."""
    _stream: Any
    _connected: bool
    _answers: AnswerReader

    def on_connect(self, connection: Any) -> None:
        """As there."""
        super().on_connect(connection)  # type: ignore[misc]
        self._answers = AnswerReader(self.parse_error)  # type: ignore[attr-defined]

    async def can_read(self) -> bool:
        """As there: whether something has come that nobody has read."""
        return bool(self._connected and self._answers.ahead) or await super().can_read()  # type: ignore[misc]

    async def read_response(self, *options: Any, **more: Any) -> Any:  # noqa: ARG002 - nothing is decoded
        """As there."""
        if not self._connected:
            raise ConnectionResetError("the connection is closed")
        while (answer := self._answers.answer()) is MISSING:
            piece = await self._stream.read(PIECE_BYTES)
            if not piece:
                raise ConnectionResetError("the connection ended within an answer")
            self._answers.feed(piece)
        if isinstance(answer, self.ends):
            raise answer
        return answer


def _number(told: bytes) -> int:
    if not told.removeprefix(b"-").isdigit() or len(told) > 20:
        raise OSError(f"an answer is none of Redis's: {told[:40]!r} is no number")
    return int(told)


def whole(read: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """The entries of an answer for which there was room; the rest is to be asked for again, fewer at once.

    One that is too large for an answer alone has a body that is too large for a message.
    """
    found: list[tuple[Any, Any]] = []
    for entry_id, fields in read:
        if entry_id is CUT:
            break
        if fields and any(name is CUT or value is CUT for name, value in fields.items()):
            if not found:
                found.append((entry_id, {b"key": fields.get(b"key", b""), b"body": bytes(KEPT_BYTES)}))
            break
        found.append((entry_id, fields))
    return found
