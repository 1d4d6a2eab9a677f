"""The latest rejected messages, a bounded number of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import structlog

from gateway.broker.base import DeadLetter, Message

log = structlog.get_logger(__name__)

MAX_LETTERS = 1000
MAX_BYTES = 4 * 1024 * 1024


class DeadLetters:
    """At most 1000 letters and 4 MiB of payload; the oldest are forgotten first and counted."""

    def __init__(self, max_letters: int = MAX_LETTERS, max_bytes: int = MAX_BYTES) -> None:
        self.forgotten = 0
        self._max_letters = max_letters
        self._max_bytes = max_bytes
        self._letters: deque[DeadLetter] = deque()
        self._bytes = 0

    def add(self, message: Message, reason: str, attempt: int, group: str) -> None:
        """Keep a rejected message with the reason (its first 500 characters)."""
        reason = reason[:500]
        log.warning(
            "message rejected", topic=message.topic, message_id=message.message_id, group=group, reason=reason
        )
        self._letters.append(DeadLetter(message, reason, attempt, group, time.time()))
        self._bytes += len(message.payload)
        while len(self._letters) > self._max_letters or self._bytes > self._max_bytes:
            self._bytes -= len(self._letters.popleft().message.payload)
            self.forgotten += 1

    def forget(self, is_gone: Callable[[Message], bool]) -> None:
        """Keep these no longer."""
        self._letters = deque(one for one in self._letters if not is_gone(one.message))
        self._bytes = sum(len(one.message.payload) for one in self._letters)

    def letters(self) -> tuple[DeadLetter, ...]:
        """Those still kept, oldest first."""
        return tuple(self._letters)
