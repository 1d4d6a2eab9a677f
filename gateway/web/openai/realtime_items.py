"""What a realtime session's items become: text that only grows while somebody speaks, and its end. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gateway.contract.messages import new_id
from gateway.web.openai.errors import ErrorDetails
from gateway.web.openai.realtime_messages import (
    AudioDuration,
    ServerMessage,
    TranscriptCompleted,
    TranscriptDelta,
    TranscriptFailed,
)
from transcription.audio import SAMPLE_RATE
from transcription.errors import ModelUnavailable, QueueFull, TranscriptionError
from transcription.scheduling.partial_text import following

BETWEEN: Final = " "
"""Pieces of one item, which was too long to be one utterance."""


@dataclass(slots=True)
class SpokenText:
    """One item: the utterances in it, and what was told of their text."""

    id: str = field(default_factory=lambda: new_id("item"))
    samples: int = 0
    is_committed: bool = False
    waiting: set[int] = field(default_factory=set)
    """Its utterances that are complete and have no text yet."""
    _texts: list[str] = field(default_factory=list)
    _told: dict[int, str] = field(default_factory=dict)
    """By utterance."""
    _error: TranscriptionError | None = None

    def so_far(self, number: int, stable: str) -> list[ServerMessage]:
        """So much of an utterance's text will stay; it is told when the text of those before it is."""
        if self.waiting:
            return []
        more = stable[len(self._told.get(number, "")) :]
        return self._delta(number, more, stable)

    def ended(self, number: int, samples: int) -> None:
        """One more utterance of it is complete."""
        self.waiting.add(number)
        self.samples += samples

    def understood(self, number: int, text: str) -> list[ServerMessage]:
        """The text of an utterance, in their order; and what that makes known."""
        text = text.strip()
        before = self._told.get(number, "")
        more = text[len(before) :] if text.startswith(before) else following(before, text)
        told = self._delta(number, more, text)
        if text:
            self._texts.append(text)
        self.waiting.discard(number)
        return told + self.end()

    def not_understood(self, number: int, error: TranscriptionError) -> list[ServerMessage]:
        """It has none, and so neither has the item."""
        self._error = self._error or error
        self.waiting.discard(number)
        return self.end()

    def committed(self) -> list[ServerMessage]:
        """There will be no more of it."""
        self.is_committed = True
        return self.end()

    def end(self) -> list[ServerMessage]:
        """Its last message, when everything of it is known."""
        if not self.is_committed or self.waiting:
            return []
        if self._error is not None:
            return [TranscriptFailed(item_id=self.id, error=_details(self._error))]
        usage = AudioDuration(seconds=round(self.samples / SAMPLE_RATE, 3))
        return [TranscriptCompleted(item_id=self.id, transcript=BETWEEN.join(self._texts), usage=usage)]

    def _delta(self, number: int, more: str, whole: str) -> list[ServerMessage]:
        if not more:
            return []
        between = BETWEEN if self._told and number not in self._told else ""
        self._told[number] = whole
        return [TranscriptDelta(item_id=self.id, delta=between + more)]


def _details(error: TranscriptionError) -> ErrorDetails:
    if isinstance(error, QueueFull):
        return ErrorDetails(message=str(error), type="rate_limit_error", code="rate_limit_exceeded")
    remedy = f"; {error.remedy}" if isinstance(error, ModelUnavailable) and error.remedy else ""
    return ErrorDetails(message=f"{error}{remedy}", type="server_error", code="server_error")
