"""One request and its team, and the lines in which the turns of a conversation wait for each other."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from msgspec import structs

from gateway.contract.messages import AudioFacts, TranscriptionMessage
from gateway.journal.records import LetterRow
from gateway.pipeline.agents.features import Side
from gateway.pipeline.by_name.agent_letters import Topic
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.teams.teamwork import TeamWork

NOTHING_SAID = TranscriptionMessage(
    session_id="", user_id="", device_id="", text="", timestamp=0.0, success=True, message_id="", correlation_id="",
    utterance_id="", audio=AudioFacts(seconds=0.0),
)  # fmt: skip
"""In place of what nobody has to be asked about again."""


@dataclass(slots=True, eq=False)
class Lead:
    """``due``: when something is to be decided. ``undoing``: what agents were told to undo, by the request's id."""

    topic: Topic
    work: TeamWork | None = None
    """None: it waits for the turn before it."""
    due: float = math.inf
    ended_at: float = 0.0
    undoing: dict[str, LetterRow] = field(default_factory=dict)
    echo_of: str = ""
    """The request whose answer it has, too; empty: it is asked itself."""
    echoes: list[str] = field(default_factory=list)
    sides: tuple[Side, ...] = ()
    """Of which features it is, with or without."""
    looked_up: dict[str, int] = field(default_factory=dict)
    """Of which agents it is known whether they have answered the same before; and the doubts about them then."""

    @property
    def correlation_id(self) -> str:
        """Of the request."""
        return self.topic.name.correlation_id

    @property
    def line(self) -> str:
        """In which it waits for its turn."""
        return self.topic.message.conversation_id or self.topic.name.session_id

    def let_go(self) -> None:
        """No words of it are needed any more, unless somebody may yet have to be told them: to undo, or to answer."""
        if self.work is None:
            return
        self.work.let_go()
        if not self.work.misses_somebody and not any(one.plan.compensates for one in self.work.everybody):
            self.topic = without_words(self.topic.name)


def without_words(name: UtteranceName) -> Topic:
    """By its ids alone whoever answers is still understood."""
    return Topic(name, structs.replace(NOTHING_SAID, **name.ids()), ())


class Lines:
    """By conversation, the requests whose turn it is or will be."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[str]] = {}

    def __len__(self) -> int:
        """Conversations with such requests."""
        return len(self._lines)

    def join(self, lead: Lead) -> bool:
        """Whether it is its turn at once."""
        line = self._lines.setdefault(lead.line, deque())
        line.append(lead.correlation_id)
        return line[0] == lead.correlation_id

    def is_first(self, lead: Lead) -> bool:
        """Whether it is its turn."""
        return self._lines[lead.line][0] == lead.correlation_id

    def leave(self, lead: Lead) -> str:
        """Whose turn it is now that was not before; empty: nobody's."""
        line, name = self._lines[lead.line], lead.correlation_id
        was_first = line[0] == name
        line.remove(name)
        if line:
            return line[0] if was_first else ""
        del self._lines[lead.line]
        return ""
