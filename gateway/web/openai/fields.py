"""The fields of a form, by the names that OpenAI gives them. Each is asked for; what nobody asked for is told."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gateway.web.openai.errors import WrongRequest

MOST_OF_A_FIELD: Final = 16 * 1024
MOST_TOLD: Final = 10
_INDEX: Final = re.compile(r"\[\d*\]\Z")
_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0", ""})


class FormFields:
    """The fields that have come. Lists come as ``name[]``, by some programs as ``name[0]`` or ``name``."""

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        self._asked: set[str] = set()
        for name, value in items:
            self.add(name, value)

    def add(self, name: str, value: str) -> None:
        """One more."""
        self._values.setdefault(_INDEX.sub("", name), []).append(value)

    def one(self, name: str) -> str | None:
        """The field, which stands there once at most; None: it does not. Raises WrongRequest."""
        self._asked.add(name)
        values = self._values.get(name, [])
        if len(set(values)) > 1:
            raise WrongRequest(f"`{name}` stands there more than once", name)
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        """All values of a list."""
        self._asked.add(name)
        return self._values.get(name, [])

    def flag(self, name: str) -> bool:
        """Whether it is true. Raises WrongRequest."""
        value = (self.one(name) or "").strip().lower()
        if value not in _TRUE | _FALSE:
            raise WrongRequest(f"`{name}` is true or false", name)
        return value in _TRUE

    def number(self, name: str, least: float, most: float) -> float | None:
        """A number in between. Raises WrongRequest."""
        text = self.one(name)
        if not text:
            return None
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not least <= number <= most:  # which is so for what is no number, too
            raise WrongRequest(f"`{name}` is a number from {least:g} to {most:g}", name)
        return number

    def choices(self, name: str, choices: Iterable[str]) -> frozenset[str]:
        """Some of these. Raises WrongRequest."""
        found = frozenset(self.all(name))
        for value in found:
            check_choice(name, value, choices)
        return found

    def within(self, name: str) -> FormFields:
        """The fields of one that is an object: ``name[field]``."""
        inner = re.compile(rf"{re.escape(name)}\[([^\[\]]+)\]\Z")
        found = {key: match[1] for key in self._values if (match := inner.match(key))}
        self._asked |= found.keys()
        return FormFields((short, value) for key, short in found.items() for value in self._values[key])

    def ignored(self) -> list[str]:
        """What came and nobody asked for: some of it, to be told."""
        return sorted(self._values.keys() - self._asked)[:MOST_TOLD]


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raises WrongRequest."""
    if value not in choices:
        raise WrongRequest(f"`{name}` is one of {', '.join(choices)}; got {value[:100]!r}", name)
