"""What a handler returns: the forms of an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from gateway.contract.messages import WantedHints
from gateway.orchestrators.heard import Heard


@dataclass(frozen=True, slots=True)
class Say:
    """A whole reply, and what the recognizer is told from the next utterance of the session on."""

    text: str
    hints: WantedHints


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of an answer, with more than its text.

    ``data``: for programs, a JSON object of at most 64 KiB. ``confidence``: 0 to 1, for teams that take the best.
    ``understood`` false: ``text`` says that it is not known what was meant, and of a team another is asked. ``acted``:
    something was done, so that the same words are never answered from a cache with this.
    """

    text: str = ""
    hints: WantedHints | None = None
    data: dict[str, Any] | None = None
    confidence: float = 0.0
    understood: bool = True
    acted: bool = False


class NotUnderstood(Exception):
    """To be raised by a handler: it is not known what was meant; the text, which may be empty, says so."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.text = text


class ComesLater(Exception):
    """To be raised by a handler: the answer comes in its name by another way, with the ``request_id`` (POST /replies).

    Nothing is sent now, and the gateway waits on.
    """


class CannotAnswer(Exception):
    """To be raised by a handler: why there is no answer, and what helps, in words for people.

    The words travel with the failure: nothing secret, and nothing of what was said, may be in them.
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


Answer: TypeAlias = str | Say | Reply | AsyncIterator[str] | None
AnswerFunction: TypeAlias = Callable[[Heard], Awaitable[Answer] | AsyncIterator[str]]
Compensation: TypeAlias = Callable[[Heard, str], Awaitable[object]]
"""Undoes what was done for what was heard, because of a reason."""


def as_reply(answer: str | Say | Reply) -> Reply:
    """Whatever was returned; what is no text is refused where it is written."""
    if isinstance(answer, Reply):
        return answer
    if isinstance(answer, Say):
        return Reply(answer.text, hints=answer.hints)
    return Reply(answer)
