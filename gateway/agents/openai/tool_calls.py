"""Calls of tools as a model writes them: whole, or in pieces that belong together by their index. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

MOST_CALLS = 128
MOST_CHARACTERS = 256 * 1024
"""Of the arguments of one answer's calls."""


class FunctionPiece(Struct, frozen=True):
    """What a piece tells of the function; some servers write arguments as an object."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CallPiece(Struct, frozen=True):
    """A piece of one call, or all of it."""

    index: int | None = None
    id: str | None = None
    function: FunctionPiece | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call. ``arguments``: as the model wrote them, which may be no JSON."""

    id: str
    name: str
    arguments: str

    def parsed(self) -> dict[str, Any] | None:
        """The arguments, or None where they are no JSON object. None at all are an empty one."""
        try:
            found = msgspec.json.decode(self.arguments or "{}")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def said(self) -> Mapping[str, Any]:
        """As it stands in what the model is told of its own words."""
        arguments = self.arguments if self.parsed() is not None else "{}"
        return {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": arguments or "{}"},
        }


class TooManyCalls(ValueError):
    """More than anybody means."""


@dataclass(slots=True)
class _Joined:
    id: str = ""
    name: str = ""
    arguments: str = ""


class JoinedCalls:
    """The calls of one answer, as far as they have come."""

    def __init__(self) -> None:
        self._calls: dict[int, _Joined] = {}
        self._characters = 0

    def __bool__(self) -> bool:
        return bool(self._calls)

    def take(self, pieces: Sequence[CallPiece]) -> None:
        """Raises TooManyCalls."""
        for piece in pieces:
            self._take(piece)

    def all(self) -> list[ToolCall]:
        """In the model's order. Those without an id get one; one that is there twice, with the same in it, is one."""
        found: dict[str, ToolCall] = {}
        for number, joined in sorted(self._calls.items()):
            name = joined.id or f"call_{number}"
            call = ToolCall(name, joined.name, joined.arguments)
            if found.get(name, call) != call:
                call = ToolCall(f"{name}_{number}", joined.name, joined.arguments)
            found[call.id] = call
        return list(found.values())

    def _take(self, piece: CallPiece) -> None:
        call = self._calls.setdefault(self._index(piece), _Joined())
        call.id = call.id or (piece.id or "")[:200]
        function = piece.function or FunctionPiece()
        call.name = call.name or (function.name or "")[:200]
        arguments = function.arguments or ""
        if not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        self._characters += len(arguments)
        call.arguments += arguments
        if len(self._calls) > MOST_CALLS or self._characters > MOST_CHARACTERS:
            raise TooManyCalls

    def _index(self, piece: CallPiece) -> int:
        """Without an index, a piece with an id of its own begins a call, and any other goes on with the last.

        Ollama gives several whole calls, each with its id, and some versions all with the index 0.
        """
        last = max(self._calls, default=0)
        if piece.index is None:
            begins = bool(piece.id) and last in self._calls
            return last + 1 if begins else last
        known = self._calls.get(piece.index)
        if known is not None and piece.id and known.id and piece.id[:200] != known.id:
            return last + 1
        return piece.index
