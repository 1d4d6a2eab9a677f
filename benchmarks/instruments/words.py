"""Word errors: how many words must be changed, added or left out to make one text of another."""

from __future__ import annotations

import re
import unicodedata

import numpy as np

_NUMBERS = {
    "en": "zero one two three four five six seven eight nine ten",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf dix",
    "it": "zero uno due tre quattro cinque sei sette otto nove dieci",
    "ru": "ноль один два три четыре пять шесть семь восемь девять десять",
}

_SPELLED = re.compile(r"(?<![^\W_])[^\W\d_](?:[ .-]+[^\W\d_](?![^\W_']))+")
"""Single letters in a row."""


def words(text: str) -> list[str]:
    """Words as they are compared: lower case, without punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower())


def spoken(text: str, language: str = "en") -> list[str]:
    """Words as people's speech is compared: without case, accents and punctuation, small numbers in words.

    Letters that are spelled are one word, however they are written: "M I S D N", "M-I-S-D-N" and "MISDN".
    """
    numbers = {str(number): plain(word) for number, word in enumerate(_NUMBERS[language].split())}
    text = _SPELLED.sub(lambda letters: re.sub(r"[\W_]", "", letters[0]), plain(text))
    return [numbers.get(word, word) for word in re.findall(r"[^\W_]+(?:'[^\W_]+)*", text)]


def plain(text: str) -> str:
    """In small letters without their marks, with one kind of apostrophe."""
    letters = unicodedata.normalize("NFKD", text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


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
