"""A text without the wake word that stands at its beginning: it was said to the device, not to whoever answers."""

from __future__ import annotations

import re
from dataclasses import replace
from difflib import SequenceMatcher

from transcription.transcriber import Transcript

ALIKE = 0.75
"""How alike, of 1, a text must sound to a wake word: "okay, nah boo" is 0.78 of "okay nabu", "okay now" is 0.67."""
NEARLY = 0.05
"""Of two numbers of words that are so nearly as alike it is the greater."""
MOST_WORDS = 5
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_BETWEEN = " \t\n,.;:!?-\u2013\u2014\u2026"


def without_wake_word(transcript: Transcript, phrase: str) -> Transcript:
    """The transcript as if the phrase had not been said at its beginning, be it once or more often."""
    words = len(_WORD.findall(transcript.text))
    text = unspoken(transcript.text, phrase)
    left = len(_WORD.findall(text))
    if left == words:
        return transcript
    timed = transcript.words
    if timed:
        while timed and sum(len(_WORD.findall(word.word)) for word in timed) > left:
            timed = timed[1:]
    return replace(transcript, text=text, words=timed)


def unspoken(text: str, phrase: str) -> str:
    """``text`` without ``phrase`` at its beginning, or the last words of it; capitalized where it was."""
    rest, is_first = text, True
    while (after := _behind(rest, phrase, whole=not is_first)) is not None:
        rest, is_first = after, False
    if is_first:
        return text
    rest = rest.lstrip(_BETWEEN)
    began_large = text.lstrip(_BETWEEN)[:1].isupper()
    return rest[:1].upper() + rest[1:] if began_large else rest


def may_be(text: str, phrase: str) -> bool:
    """Whether ``text`` so far is the beginning of the phrase, or may become it."""
    spoken, wanted = (_WORD.findall(words.replace("_", " ").casefold()) for words in (text, phrase))
    return "".join(wanted).startswith("".join(spoken))


def _behind(text: str, phrase: str, *, whole: bool) -> str | None:
    """What follows the phrase; None: it does not begin with it."""
    wanted = [word.casefold() for word in _WORD.findall(phrase.replace("_", " "))]
    spoken = list(_WORD.finditer(text))[:MOST_WORDS]
    said = [match[0].casefold() for match in spoken]
    if not wanted or not said:
        return None
    for skipped in range(len(wanted) if not whole else 1):
        rest = wanted[skipped:]
        if said[: len(rest)] == rest:
            return text[spoken[len(rest) - 1].end() :]
    scores = [_alike("".join(said[: n + 1]), "".join(wanted)) for n in range(len(said))]
    enough = max(ALIKE, max(scores) - NEARLY)
    found = [match for match, score in zip(spoken, scores, strict=True) if score >= enough]
    return text[found[-1].end() :] if found else None


def _alike(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio() if one[:1] == other[:1] else 0.0
