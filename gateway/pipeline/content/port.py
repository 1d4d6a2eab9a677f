"""What the stages of the way ask before a text goes on. What nobody has configured lets everything pass.

Nothing that looks for anything is imported with this module.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.contract.messages import is_token
from gateway.pipeline.sessions.names import UtteranceName

KEPT_BACK = "kept back by the content filter"
"""In place of the reason why there is no text."""
MOST_FLAGS = 16


class Way(enum.StrEnum):
    """What a text is."""

    TRANSCRIPT = "transcript"
    REPLY = "reply"
    ANNOUNCEMENT = "announcement"


@dataclass(slots=True)
class PassingText:
    """A text that somebody's own function is asked about, and whose it is."""

    way: Way
    text: str
    user_id: str
    device_id: str
    session_id: str
    correlation_id: str
    language: str = ""
    flags: list[str] = field(default_factory=list)

    def flag(self, label: str) -> None:
        """Mark it, for listeners and for orchestrators. Raises ValueError."""
        if not is_token(label):
            raise ValueError(f"a flag is 1-64 of A-Z a-z 0-9 _ -; got {label!r:.80}")
        if len(self.flags) >= MOST_FLAGS:
            raise ValueError(f"a text has {MOST_FLAGS} flags at most")
        if label not in self.flags:
            self.flags.append(label)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What goes on of a text; ``dropped``: nothing does, and the text is empty."""

    text: str
    flags: tuple[str, ...] = ()
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class DataRuling:
    """What goes on of what a text has for programs; ``dropped``: neither it nor the text does."""

    data: dict[str, Any] | None
    flags: tuple[str, ...] = ()
    dropped: bool = False


class ContentFilter(Protocol):
    """The word in between."""

    counts: Counter[str]
    """Since the start: texts by what became of them, and failures of the function."""

    def holds(self, way: Way) -> bool:
        """Whether texts of this kind may be changed or kept back, so that nothing is told of them before their end."""

    async def look(self, way: Way, text: str, name: UtteranceName, language: str = "") -> Ruling:
        """What is to become of a text. Transcripts of one session keep their order. Never raises."""

    async def look_into(self, way: Way, data: dict[str, Any], name: UtteranceName) -> DataRuling:
        """What is to become of what a text has for programs. The user's own function is not asked. Never raises."""

    def close(self) -> None:
        """It is not asked any more."""


class NoFilter:
    """Lets everything pass."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def holds(self, way: Way) -> bool:  # noqa: ARG002 - the port's
        """Never."""
        return False

    async def look(self, way: Way, text: str, name: UtteranceName, language: str = "") -> Ruling:  # noqa: ARG002
        """As it is."""
        return Ruling(text)

    async def look_into(self, way: Way, data: dict[str, Any], name: UtteranceName) -> DataRuling:  # noqa: ARG002
        """As it is."""
        return DataRuling(data)

    def close(self) -> None:
        """Nothing was open."""
