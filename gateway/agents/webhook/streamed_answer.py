"""What a webhook answers as a stream, piece by piece: lines of JSON, as n8n's, or events. No I/O."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.agents.webhook.whole_answer import KEYS, check_length, from_json
from gateway.orchestrators.answer import CannotAnswer, Reply

DONE = "[DONE]"
_N8N = frozenset({"begin", "item", "end", "error"})
_PIECES = (*KEYS, "content", "delta")


class StreamedPieces:
    """``take`` each line or event. The stream has ended well once ``is_whole``; ``is_over``: nothing follows.

    n8n's has a beginning and an end for each of its nodes that speaks.
    """

    def __init__(self) -> None:
        self.is_over = False
        self.last = Reply()
        """What came with the end, beside the text."""
        self._open = 0
        self._ended = False
        self._characters = 0

    @property
    def is_whole(self) -> bool:
        """Whether it may end here."""
        return self._ended and not self._open

    def take(self, line: str) -> str:
        """The piece in it, which may be empty. Raises CannotAnswer and NotUnderstood."""
        if line.strip() == DONE:
            self._end()
            return ""
        piece = self._piece(_decoded(line))
        self._characters += len(piece)
        check_length(self._characters)
        return piece

    def _piece(self, told: Any) -> str:
        if isinstance(told, str):
            return told
        if not isinstance(told, dict):
            raise CannotAnswer("its stream has something else than pieces", "see docs/ready-made-agents.md")
        if told.get("type") in _N8N:
            return self._of_n8n(told["type"], told.get("content"))
        if told.get("error"):
            from_json(told)
        if told.get("done") is True or told.get("final") is True:
            self._end()
            if any(told.get(key) is not None for key in KEYS):
                self.last = from_json(told)
            return ""
        found = next((told[key] for key in _PIECES if isinstance(told.get(key), str)), "")
        return str(found)

    def _of_n8n(self, kind: str, content: object) -> str:
        if kind == "error":
            from_json({"error": content or "its workflow failed"})
        if kind == "begin":
            self._open += 1
        elif kind == "end":
            self._open = max(0, self._open - 1)
            self._ended = True
        return content if kind == "item" and isinstance(content, str) else ""

    def _end(self) -> None:
        self._ended = self.is_over = True
        self._open = 0


def begins_a_stream(line: str) -> bool:
    """Whether a JSON answer, of which that is the first line, is n8n's stream, which calls itself plain JSON."""
    try:
        told = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("type") in _N8N


def _decoded(line: str) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CannotAnswer(
            "its stream has a line that is no JSON", "see docs/ready-made-agents.md"
        ) from error
