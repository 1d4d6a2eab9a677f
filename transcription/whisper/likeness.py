"""Which names sound like a stretch of what was heard: by their letters, in any language. No dictionary, no I/O."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

MOST_NEAR = 6
"""Names that are worth listening for in one utterance."""

UNLIKE = 0.6
"""Beyond it a stretch is another word: 0 has the same letters, 1 none in common."""

_MORE_WORDS = 2
"""A name is heard as so many words more than it has, at most: Kitchenaid as "kitchen a day"."""

_AKIN = 0.4
_VOWELS = "aeiouy"
_CONSONANTS = ("bp", "fvw", "ckgqxj", "sz", "dt", "l", "mn", "r", "h")
_WEIGHTS = {**dict.fromkeys(_VOWELS, 0.6), "h": 0.4}
"""Of a letter that is left out or added; 1 for all others. One for another akin to it costs ``_AKIN``, else 1."""

_KINDS = {letter: kind for kind, letters in enumerate((_VOWELS, *_CONSONANTS), 1) for letter in letters}

_LATIN = {
    **dict(zip("абвгдежзийклмнопрстуфхцчшщыэюяіїєґў", "abvgdejziiklmnoprstufhccssieuaiiegu", strict=True)),
    **dict(zip("αβγδεζηθικλμνξοπρσςτυφχψω", "abgdeziziklmnxoprsstufhpo", strict=True)),
    **dict(zip("øłđðþıæœ", "oldddiae", strict=True)),
    "ь": "", "ъ": "",
}  # fmt: skip
"""Letters that are heard like one of those; of all other scripts each letter is akin to itself only."""

_NO_BLANKS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Scripts that put none between words; each letter is taken for one."""
_WORD = re.compile(rf"[{_NO_BLANKS}]|[^\W_{_NO_BLANKS}]+(?:['\u2019][^\W_{_NO_BLANKS}]+)*")

_AT_ONCE = 32
_LISTS = 32
_Numbers = npt.NDArray[np.float32]
_Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Near:
    """A name, and the stretch of a text that is heard much like it: ``unlike`` is from 0 to ``UNLIKE``."""

    unlike: float
    start: int
    end: int
    name: str

    def put_into(self, text: str) -> str:
        """The text with the name in the place of the stretch."""
        return f"{text[: self.start]}{self.name}{text[self.end :]}"

    def overlaps(self, other: Near) -> bool:
        """Whether both cannot be put in."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True, eq=False)
class _Names:
    """Some names of much the same length: their letters, one row each, what each weighs, and its words."""

    places: tuple[int, ...]
    letters: _Codes
    lengths: _Codes
    words: _Codes


def near_names(text: str, names: tuple[str, ...]) -> list[Near]:
    """The names that a stretch of the text is like, the nearest first, at most ``MOST_NEAR``.

    A name that stands there is none of them, and no other takes its place: bedroom is like bathroom.
    """
    heard = words(text)
    spelled = [_letters(word[0]) for word in heard]
    if not any(spelled):
        return []
    there = {name: places for name in names if (places := _standing(name, [word[0] for word in heard]))}
    taken = np.isin(np.arange(len(heard)), [place for places in there.values() for place in places])
    found: list[tuple[float, int, Near]] = []
    for some in _grouped(names):
        unlike, firsts, lasts = _nearest(some, spelled, taken)
        for row in np.flatnonzero(unlike <= UNLIKE):
            place = some.places[row]
            start, end = heard[firsts[row]].start(), heard[lasts[row]].end()
            if names[place] not in there:
                found.append((float(unlike[row]), place, Near(float(unlike[row]), start, end, names[place])))
    return [near for _, _, near in sorted(found, key=lambda one: one[:2])[:MOST_NEAR]]


def words(text: str) -> list[re.Match[str]]:
    """Its words, and where they are."""
    return list(_WORD.finditer(text))


def holds(said: Sequence[str], name: str) -> bool:
    """Whether the name is among these words, as it is written."""
    own, every = [word.casefold() for word in _WORD.findall(name)], [word.casefold() for word in said]
    return bool(own) and any(every[first : first + len(own)] == own for first in range(len(every)))


def unlike(one: str, other: str) -> float:
    """How unlike two stretches are, whatever words they are cut into; 1 where one has no letters."""
    spelled = [_spelled(each).replace(" ", "") for each in (one, other)]
    if not all(spelled):
        return 1.0
    found, _, _ = _nearest(_group((0,), {0: spelled[1]}), [spelled[0]], np.zeros(1, np.bool_))
    return min(1.0, float(found[0]))


def _standing(name: str, said: Sequence[str]) -> list[int]:
    """The places of the words that are that name, perhaps with an ending of their language."""
    own, words = [word.casefold() for word in _WORD.findall(name)], [word.casefold() for word in said]
    if not own:
        return []
    *begin, last = own
    return [
        place
        for first in range(len(words) - len(own) + 1)
        if words[first : first + len(begin)] == begin and _is_or_ends(words[first + len(begin)], last)
        for place in range(first, first + len(own))
    ]


def _is_or_ends(word: str, name: str) -> bool:
    return word.startswith(name) and 2 * (len(word) - len(name)) < len(name)


def _nearest(
    some: _Names, words: Sequence[str], taken: npt.NDArray[np.bool_]
) -> tuple[_Numbers, _Codes, _Codes]:
    """Of each name how unlike the likeliest stretch of words not taken is, and that one's first and last word."""
    windows, ends = _windows(words, 2 * some.letters.shape[1])
    before = np.pad(_weights(windows).cumsum(1), ((0, 0), (1, 0)))
    whole = _weights(some.letters).sum(1)[:, None, None]
    unlike = _distances(some, windows, before) / np.maximum(np.maximum(whole, before), np.float32(1e-6))
    counts = np.arange(ends.shape[1])
    until = np.concatenate([[0], taken.cumsum()])
    clear = until[np.minimum(np.arange(len(words))[:, None] + counts + 1, len(words))] == until[:-1, None]
    fits = ((ends > 0) & clear)[None] & (counts < some.words[:, None] + _MORE_WORDS)[:, None]
    rows, firsts = np.arange(len(some.places))[:, None, None], np.arange(len(words))[:, None]
    picked = np.where(fits, unlike[rows, firsts, ends], np.inf).reshape(len(some.places), -1)
    first, more = np.divmod(picked.argmin(1), ends.shape[1])
    return picked.min(1), first, first + more


def _distances(some: _Names, windows: _Codes, before: _Numbers) -> _Numbers:
    """From each name to each window's first letters, by their count: Levenshtein's, with weights."""
    shape = (len(some.places), *before.shape)
    row = np.broadcast_to(before, shape)
    kinds, own_kinds, own_weights = _kinds(windows), _kinds(some.letters), _weights(some.letters)
    for place in range(some.letters.shape[1]):
        letter = some.letters[:, place, None, None]
        alike = np.where(kinds == own_kinds[:, place, None, None], np.float32(_AKIN), np.float32(1))
        changed = row[:, :, :-1] + np.where(windows == letter, np.float32(0), alike)
        best = row + own_weights[:, place, None, None]  # its letter is left out
        np.minimum(best[:, :, 1:], changed, out=best[:, :, 1:])
        best = np.minimum.accumulate(best - before, axis=2) + before  # letters are added
        row = np.where(place < some.lengths[:, None, None], best, row)
    return row


def _windows(words: Sequence[str], longest: int) -> tuple[_Codes, _Codes]:
    """What is heard from each word on, ``longest`` letters of it, and where its words end there (0: not within).

    So many words as any name may be heard as.
    """
    codes = _codes("".join(words))
    begins = np.cumsum([0, *map(len, words)])
    padded = np.pad(codes, (0, longest))
    windows = np.stack([padded[begin : begin + longest] for begin in begins[:-1]])
    most = min(len(words), longest)
    ends = np.zeros((len(words), most), np.int32)
    for more in range(most):
        lengths = begins[more + 1 :] - begins[: len(words) - more]
        ends[: len(lengths), more] = np.where(lengths <= longest, lengths, 0)
    return windows, ends


@lru_cache(_LISTS)
def _grouped(names: tuple[str, ...]) -> tuple[_Names, ...]:
    """Those that have letters, the shortest together."""
    spelled = {place: _spelled(name) for place, name in enumerate(names)}
    places = sorted((place for place in spelled if spelled[place]), key=lambda place: len(spelled[place]))
    return tuple(
        _group(tuple(places[first : first + _AT_ONCE]), spelled) for first in range(0, len(places), _AT_ONCE)
    )


def _group(places: tuple[int, ...], spelled: dict[int, str]) -> _Names:
    rows = [_codes(spelled[place].replace(" ", "")) for place in places]
    longest = max(map(len, rows))
    letters = np.stack([np.pad(row, (0, longest - len(row))) for row in rows])
    words = np.array([len(spelled[place].split()) for place in places], np.int32)
    return _Names(places, letters, np.array([len(row) for row in rows], np.int32), words)


def _spelled(name: str) -> str:
    return " ".join(letters for word in _WORD.findall(name) if (letters := _letters(word)))


def _letters(word: str) -> str:
    """Small ones without their marks, of Latin's where they have any."""
    return "".join(_plain(word.casefold()))


def _plain(word: str) -> Iterator[str]:
    for letter in unicodedata.normalize("NFKD", word):
        if letter.isalnum():
            yield _LATIN.get(letter, letter)


def _codes(letters: str) -> _Codes:
    return np.fromiter(map(ord, letters), np.int32, len(letters))


_PLAIN = 128
_KIND = np.array([_KINDS.get(chr(code), -code) for code in range(_PLAIN)], np.int32)
_WEIGHT = np.array([_WEIGHTS.get(chr(code), 1.0) if code else 0.0 for code in range(_PLAIN)], np.float32)


def _kinds(codes: _Codes) -> _Codes:
    return np.where(codes < _PLAIN, _KIND[np.minimum(codes, _PLAIN - 1)], -codes)


def _weights(codes: _Codes) -> _Numbers:
    return np.where(codes < _PLAIN, _WEIGHT[np.minimum(codes, _PLAIN - 1)], np.float32(1))
