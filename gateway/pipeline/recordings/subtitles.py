"""What was said in a recording as subtitles, and as plain text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

_LINE = 42
"""Characters of a line of a subtitle."""


class Cue(Protocol):
    """What is shown from ``start`` to ``end`` (seconds)."""

    @property
    def start(self) -> float:
        """When it appears."""

    @property
    def end(self) -> float:
        """When it goes."""

    @property
    def text(self) -> str:
        """What it says."""


def srt(cues: Iterable[Cue]) -> str:
    """SubRip. It knows no escapes: what would be markup gets round brackets."""
    shown = [
        f"{number}\n{_times(cue, ',')}\n{_lines(_plain(cue.text))}\n" for number, cue in enumerate(cues, 1)
    ]
    return "\n".join(shown)


def vtt(cues: Iterable[Cue]) -> str:
    """WebVTT."""
    shown = [f"{_times(cue, '.')}\n{_escaped(_lines(cue.text))}\n" for cue in cues]
    return "\n".join(["WEBVTT\n", *shown])


def text(cues: Iterable[Cue]) -> str:
    """A line for each."""
    return "".join(f"{' '.join(cue.text.split())}\n" for cue in cues)


def _times(cue: Cue, point: str) -> str:
    """From when to when; players skip a cue that does not last."""
    start, end = round(cue.start * 1000), round(cue.end * 1000)
    return f"{_time(start, point)} --> {_time(max(end, start + 1), point)}"


def _time(milliseconds: int, point: str) -> str:
    whole, thousandths = divmod(milliseconds, 1000)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{point}{thousandths:03}"


def _lines(words: str) -> str:
    """Broken where it is long; an empty line would end the cue."""
    lines: list[str] = []
    for word in words.split():
        if lines and len(lines[-1]) + 1 + len(word) <= _LINE:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)


def _plain(words: str) -> str:
    return words.translate(str.maketrans("<>{}", "()()"))


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
