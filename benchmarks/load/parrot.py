"""The agent of the conversations benchmark: says back what it heard, and in which conversation, after which turn.

``python -m benchmarks.load.parrot URL`` runs it in a process of its own, until it is told to end.
"""

from __future__ import annotations

import sys

from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import Orchestrator

parrot = Orchestrator("parrot", concurrency=64)


@parrot.on_transcript
async def answer(heard: Heard) -> str:
    """Whatever is mixed up shows: the words, the conversation, and the words before."""
    before = heard.conversation[-1].text if heard.conversation else "-"
    return said_back(heard.text, heard.conversation_id, before)


def said_back(text: str, conversation_id: str, before: str) -> str:
    """Its answer to a text."""
    return f"{conversation_id} {before} {text}"


if __name__ == "__main__":
    parrot.run_forever(sys.argv[1])
