"""What boards say in the scenarios: recordings that nobody could take for one another.

The bundled model hears single words wrong when a sentence stands between others. Which sentence it
was is still plain, as each is far from all others.
"""

from __future__ import annotations

from difflib import SequenceMatcher

from tests.system.house import RECORDINGS

ALIKE = 0.62
"""Two sentences more alike than this are not both said."""
HEARD = 0.72
"""What was heard is a sentence when it is at least so much like it."""


def likeness(one: str, other: str) -> float:
    """From 0, nothing in common, to 1, the same."""
    return SequenceMatcher(None, one.split(), other.split(), autojunk=False).ratio() / 2 + (
        SequenceMatcher(None, one, other, autojunk=False).ratio() / 2
    )


def _distinct() -> dict[str, str]:
    chosen: dict[str, str] = {}
    for name, recording in RECORDINGS.items():
        if all(likeness(recording.text, text) < ALIKE for text in chosen):
            chosen[recording.text] = name
    return chosen


SENTENCES = _distinct()
"""Names of recordings by what is said in them."""


def sentence(heard: str) -> str:
    """The sentence that was heard; what is none of them, as it is."""
    if heard in SENTENCES:
        return heard
    best = max(SENTENCES, key=lambda text: likeness(text, heard))
    return best if likeness(best, heard) >= HEARD else heard
