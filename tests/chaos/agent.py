"""One agent of a team in a process of its own: ``python -m tests.chaos.agent NAME URL LEDGER``.

Before it does anything it writes so into the ledger, a line of JSON, so that somebody can count its deeds.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import Orchestrator
from tests.chaos.corpus import SENTENCES, sentence
from tests.chaos.echo import SAID

TEAM = ("first", "second", "third")
"""Each is asked when the one before it has answered, and answers with what that said."""
FAILING = frozenset(sorted(SENTENCES)[::3])
"""Of these the last fails, so that the first has to undo what it did."""
WORKED, UNDONE = "worked", "undone"


def agent(name: str, ledger: Path) -> Orchestrator:
    """The team's member of that name."""
    one = Orchestrator(name)

    def note(deed: str, heard: Heard) -> None:
        line = {
            "agent": name, "deed": deed, "request_id": heard.request_id, "correlation_id": heard.correlation_id,
            "life": os.getpid(), "text": sentence(heard.text),
        }  # fmt: skip
        with ledger.open("a", encoding="utf-8") as file:  # appended whole: a kill -9 loses nothing of it
            file.write(json.dumps(line) + "\n")

    @one.on_transcript
    async def answer(heard: Heard) -> str:
        note(WORKED, heard)
        if name == TEAM[-1] and sentence(heard.text) in FAILING:
            raise LookupError("as it was to")
        return heard.answers[0].text if heard.answers else SAID + heard.text

    @one.on_compensation
    async def undo(heard: Heard, _reason: str) -> None:
        note(UNDONE, heard)

    return one


if __name__ == "__main__":
    agent(sys.argv[1], Path(sys.argv[3])).run_forever(sys.argv[2])
