"""Whom something that was said is for: by who said it, where, in which language, and in which words. No I/O."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

MATCHED_CHARACTERS = 300
"""Of a text; what is behind is not searched for a pattern.

Nothing else bounds the time that takes: with three repeats without a bound, the most that a pattern in the settings may
have, it grows with the fourth power of this, and everybody waits for it.
"""
MOST_PATTERNS = 2_048
"""That are kept compiled: every agent and team of the settings may have one of its own."""


class Sentence(Protocol):
    """What was said, and where."""

    @property
    def user_id(self) -> str: ...  # noqa: D102
    @property
    def device_id(self) -> str: ...  # noqa: D102
    @property
    def room(self) -> str: ...  # noqa: D102
    @property
    def language(self) -> str: ...  # noqa: D102
    @property
    def text(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Audience:
    """What passes every part that is not empty. ``pattern``: is found in the text, in capital or small letters."""

    users: Collection[str] = ()
    devices: Collection[str] = ()
    rooms: Collection[str] = ()
    languages: Collection[str] = ()
    pattern: str = ""

    def includes(self, said: Sentence) -> bool:
        """Raises re.error for a pattern that is none."""
        return (
            (not self.users or said.user_id in self.users)
            and (not self.devices or said.device_id in self.devices)
            and (not self.rooms or said.room in self.rooms)
            and (not self.languages or said.language in self.languages)
            and (not self.pattern or self._is_found(said.text))
        )

    def _is_found(self, text: str) -> bool:
        return _compiled(self.pattern).search(text[:MATCHED_CHARACTERS]) is not None


@lru_cache(MOST_PATTERNS)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


EVERYBODY = Audience()
