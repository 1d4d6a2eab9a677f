"""What a model thinks aloud, between <think> and </think> at the beginning of its answer: it is not said. No I/O."""

from __future__ import annotations

BEGIN = "<think>"
END = "</think>"


class Thoughts:
    """Takes them away from a text as it streams."""

    def __init__(self) -> None:
        self._begun = False
        self._over = False
        self._held = ""

    def take(self, text: str) -> str:
        """What of it can be said."""
        if self._over:
            return text
        self._held += text
        if not self._begun:
            return self._beginning()
        return self._thought()

    def end(self) -> str:
        """What is left to say: a thought that has no end is none of it."""
        return "" if self._begun and not self._over else self._let_go()

    def _beginning(self) -> str:
        said = self._held.lstrip()
        if said.startswith(BEGIN):
            self._begun, self._held = True, said.removeprefix(BEGIN)
            return self._thought()
        return "" if BEGIN.startswith(said) else self._let_go()

    def _thought(self) -> str:
        _, end, after = self._held.partition(END)
        if not end:
            self._held = self._held[-len(END) :]
            return ""
        self._held = after.lstrip()
        if not self._held:
            self._begun = False  # what comes is looked at as a beginning: blank lines are passed over
            return ""
        return self._let_go()

    def _let_go(self) -> str:
        said, self._held, self._over = self._held, "", True
        return said
