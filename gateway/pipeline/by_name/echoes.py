"""One voice that several devices of a room have heard: whose asking it is. No I/O and no clock.

An echo is the same words in the same room, of the same user and language, by another device, which began within
``seconds``: whoever says something twice needs longer for that. What a device itself hears twice was said twice.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from gateway.contract.messages import TranscriptionMessage
from gateway.pipeline.agents.answer_cache import normalised

MOST = 1_000
"""Of what was asked last, so much is known."""


class _Words(NamedTuple):
    text: str
    language: str
    room: str
    user_id: str


class _Asked(NamedTuple):
    words: _Words
    device_id: str
    began: float


class Echoes:
    """What was asked, by correlation id."""

    def __init__(self, seconds: float) -> None:
        """0: there are no echoes."""
        self._seconds = seconds
        self._asked: OrderedDict[str, _Asked] = OrderedDict()
        self._by_words: dict[_Words, list[str]] = {}

    def __len__(self) -> int:
        return len(self._asked)

    def find(self, message: TranscriptionMessage) -> str:
        """What is asked already, of which this is an echo; empty: it is none."""
        asked = self._read(message)
        if asked is None:
            return ""
        return next((name for name in self._by_words.get(asked.words, ()) if self._is_echo(asked, name)), "")

    def note(self, message: TranscriptionMessage) -> None:
        """It is asked."""
        asked = self._read(message)
        if asked is None:
            return
        self._asked[message.correlation_id] = asked
        self._by_words.setdefault(asked.words, []).append(message.correlation_id)
        if len(self._asked) > MOST:
            self.forget(next(iter(self._asked)))

    def forget(self, correlation_id: str) -> None:
        """Nobody is to have its answer any more."""
        asked = self._asked.pop(correlation_id, None)
        if asked is None:
            return
        others = self._by_words[asked.words]
        others.remove(correlation_id)
        if not others:
            del self._by_words[asked.words]

    def _is_echo(self, asked: _Asked, name: str) -> bool:
        other = self._asked[name]
        return other.device_id != asked.device_id and abs(other.began - asked.began) <= self._seconds

    def _read(self, message: TranscriptionMessage) -> _Asked | None:
        """None: nobody else can have heard it, for it was typed, or nobody knows where it was said."""
        if not (self._seconds and message.room and message.audio.seconds):
            return None
        words = _Words(normalised(message.text), message.language, message.room, message.user_id)
        return _Asked(words, message.device_id, _began(message))


def _began(message: TranscriptionMessage) -> float:
    """When its audio did, in Unix seconds: also after a restart it is the same."""
    since_complete = (message.timings.text_ms - message.timings.endpoint_ms) / 1000
    return message.timestamp - since_complete - message.audio.seconds
