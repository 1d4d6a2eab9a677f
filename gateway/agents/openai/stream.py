"""A chat completion as it streams: what can be said of it, and how it ended. No I/O."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from gateway.agents.openai.thoughts import Thoughts
from gateway.agents.openai.tool_calls import CallPiece, JoinedCalls, TooManyCalls

DONE = "[DONE]"
MOST_CHARACTERS = 512 * 1024
"""Of one answer's text."""
_BROKEN_OFF = frozenset(
    {"abort", "aborted", "cancelled", "canceled", "error", "failed", "insufficient_system_resource"}
)
"""Ends by which servers say that there was none: vLLM, OpenRouter, DeepSeek."""
_SHOWN = 200


class Delta(Struct, frozen=True):
    """What is new. What it thinks (``reasoning``, ``reasoning_content``) is not even read."""

    content: str | None = None
    refusal: str | None = None
    tool_calls: list[CallPiece] | None = None


class Choice(Struct, frozen=True):
    """One of the answers; we ask for one. ``message``: of a server that does not stream."""

    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None


class TokensUsed(Struct, frozen=True):
    """What it costs."""

    total_tokens: int | None = None


class ChatChunk(Struct, frozen=True):
    """One event's data, as far as it is of use; what else is in it is passed over."""

    choices: list[Choice] | None = None
    usage: TokensUsed | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(ChatChunk)


class BadCompletion(Exception):
    """What came is no answer; the message says why, to stand behind the peer's name."""


class Completion:
    """One answer. Each of its events is given to ``take``, and ``end`` says whether that was an answer."""

    def __init__(self) -> None:
        self.finish = ""
        """Why it ended, as the server says; empty: it did not."""
        self.is_over = False
        """Whether nothing more comes."""
        self.tokens = 0
        """What it cost, by the server's count; 0: it did not say."""
        self.calls = JoinedCalls()
        self.characters = 0
        self._thoughts = Thoughts()

    def take(self, data: str) -> str:
        """What can be said of one event. Raises BadCompletion."""
        if data.strip() == DONE:
            self.is_over = True
            return ""
        try:
            chunk = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise BadCompletion("sends what is no chat completion") from error
        return self._taken(chunk)

    def end(self) -> str:
        """What is left to say. Raises BadCompletion for what did not end well."""
        if not self.finish or self.finish in _BROKEN_OFF:
            raise BadCompletion("stopped in the middle of its answer")
        return self._thoughts.end()

    def _taken(self, chunk: ChatChunk) -> str:
        if chunk.error is not None:
            raise BadCompletion(f"failed: {_said(chunk.error)}")
        if chunk.usage is not None:
            self.tokens = max(0, chunk.usage.total_tokens or 0)
        return "".join(self._chosen(choice) for choice in chunk.choices or () if not choice.index)

    def _chosen(self, choice: Choice) -> str:
        delta = choice.delta or choice.message or Delta()
        try:
            self.calls.take(delta.tool_calls or ())
        except TooManyCalls as error:
            raise BadCompletion("calls more tools than it may") from error
        self.finish = choice.finish_reason or self.finish
        text = self._thoughts.take((delta.content or "") + (delta.refusal or ""))
        self.characters += len(text)
        if self.characters > MOST_CHARACTERS:
            raise BadCompletion(f"answers with more than {MOST_CHARACTERS} characters")
        return text


def _said(error: Any) -> str:
    text = error.get("message") if isinstance(error, dict) else error
    return (
        " ".join(text.split())[:_SHOWN] if isinstance(text, str) and text.strip() else "it does not say why"
    )
