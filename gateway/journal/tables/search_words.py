"""Words as they are searched for: without case, accents and white space that says nothing."""

from __future__ import annotations

import unicodedata

MAX_TERMS = 8
"""Further words of a search are ignored."""


def folded(text: str) -> str:
    """``text`` as it is compared."""
    plain = _without_accents(_without_accents(text).casefold()).casefold()
    return " ".join(plain.encode("utf-8", "ignore").decode().split())


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def terms(query: str) -> list[str]:
    """What all has to stand in an utterance or its answer."""
    return folded(query).split(" ")[:MAX_TERMS] if folded(query) else []
