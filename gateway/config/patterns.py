"""Which regular expressions take too long: Python's have no time limit, and everybody waits for one.

What may be slow is known by its form: a repeat within a repeat may take twice as long for each further character, and
each further repeat without a bound multiplies the time by the length of the text. That is bounded where patterns are
looked for (:mod:`gateway.contract.audience`), so that a few of the latter do no harm.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

MOST_REPEATS = 3
"""Without a bound, in one pattern."""

_QUANTIFIER = re.compile(r"(?P<mark>[*+?]|\{(?P<least>\d*)(?P<comma>,?)(?P<most>\d*)\})[?+]?")
_OPENING = re.compile(r"\((\?(P?<\w+>|P=\w+|<?[=!]|[:>]|[a-zA-Z-]+:?|#[^)]*|\(\w+\)))?")
_ATOM = re.compile(r"\\.|\[\^?\]?(\\.|[^\]\\])*\]|.", re.DOTALL)


@dataclass(slots=True)
class _Part:
    """A group, as far as it is read; the whole is one, too."""

    repeats: bool = False
    """Whether anything in it may be there more or less often."""
    chooses: bool = False


def mistake(pattern: str) -> str:
    """Why a pattern cannot be taken; empty: it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # a later Python would read it otherwise
            re.compile(pattern, re.IGNORECASE)
    except (FutureWarning, re.error, OverflowError, RecursionError) as error:
        return f"expected a regular expression ({error})"
    return _slow(pattern)


def _slow(pattern: str) -> str:
    parts, unbounded, at = [_Part()], 0, 0
    while at < len(pattern):
        inner = None
        if pattern[at] == "(":
            parts.append(_Part())
            at = _after(_OPENING, pattern, at)
            continue
        if pattern[at] == "|":
            parts[-1].chooses = True
            at += 1
            continue
        if pattern[at] == ")" and len(parts) > 1:
            inner, at = parts.pop(), at + 1
        else:
            at = _after(_ATOM, pattern, at)
        found = _QUANTIFIER.match(pattern, at)
        more = found is not None and _is_more(found)
        if inner is not None:
            if more and (inner.repeats or inner.chooses):
                return "a repeat of what repeats or chooses itself can take for ever"
            parts[-1].repeats |= inner.repeats
        if found is not None:
            at = found.end()
            parts[-1].repeats |= _varies(found)
            unbounded += _is_unbounded(found)
    if unbounded > MOST_REPEATS:
        return f"more than {MOST_REPEATS} repeats without a bound (* and +) can take for ever"
    return ""


def _after(what: re.Pattern[str], pattern: str, at: int) -> int:
    found = what.match(pattern, at)
    return at + 1 if found is None else found.end()


def _is_unbounded(found: re.Match[str]) -> bool:
    return found["mark"] in {"*", "+"} or bool(found["comma"] and not found["most"])


def _is_more(found: re.Match[str]) -> bool:
    """More than once."""
    return _is_unbounded(found) or int(found["most"] or found["least"] or 1) > 1


def _varies(found: re.Match[str]) -> bool:
    return found["mark"] in {"*", "+", "?"} or bool(found["comma"])
