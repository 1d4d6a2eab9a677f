"""Which transcripts await their answers, and those of their messages that only the broker's memory has."""

from __future__ import annotations

from gateway.journal.effects import Effect, Published
from gateway.journal.records import LetterRow


class Unanswered:
    """By correlation id; no more than requests are open. What is kept here is in the journal still."""

    def __init__(self) -> None:
        self._messages: dict[str, LetterRow | None] = {}

    def __contains__(self, correlation_id: str) -> bool:
        """Whether an answer is awaited."""
        return correlation_id in self._messages

    def kept(self) -> list[LetterRow]:
        """What the broker may have forgotten."""
        return [letter for letter in self._messages.values() if letter is not None]

    def expect(self, correlation_id: str) -> None:
        """From now on its answer is awaited."""
        self._messages.setdefault(correlation_id, None)

    def keep(self, letter: LetterRow) -> bool:
        """The broker may forget this message until its answer is here; False: none is awaited (any more)."""
        if letter.answer_id not in self._messages:
            return False
        self._messages[letter.answer_id] = letter
        return True

    def replace(self, letter: LetterRow, rest: LetterRow) -> None:
        """What is kept of it is less from now on."""
        if self._messages.get(letter.answer_id) == letter:
            self._messages[letter.answer_id] = rest

    def release(self, letter: LetterRow) -> None:
        """The broker does not forget it any more."""
        if self._messages.get(letter.answer_id) == letter:
            self._messages[letter.answer_id] = None

    def end(self, correlation_id: str) -> tuple[Effect, ...]:
        """The answer is here, or nobody waits for it: what is to be committed with that."""
        letter = self._messages.pop(correlation_id, None)
        return () if letter is None else (Published(letter.number),)
