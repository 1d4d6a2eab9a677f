"""Word errors: how many words must be changed, added or left out to make one text of another."""

from __future__ import annotations

import re

import numpy as np


def words(text: str) -> list[str]:
    """Words as they are compared: lower case, without punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower())


def word_errors(expected: list[str], heard: list[str]) -> int:
    """Levenshtein's distance of the two."""
    numbers: dict[str, int] = {}
    theirs = np.array([numbers.setdefault(word, len(numbers)) for word in heard], np.int64)
    steps = np.arange(len(heard) + 1)
    row = steps.copy()
    for count, word in enumerate(expected, 1):
        changed = row[:-1] + (theirs != numbers.get(word, -1))
        best = np.concatenate([[count], np.minimum(row[1:] + 1, changed)])
        row = np.minimum.accumulate(best - steps) + steps  # each word more on the right is one more error
    return int(row[-1])
