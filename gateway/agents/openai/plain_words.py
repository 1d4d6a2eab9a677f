"""Markdown and emoji taken away from a text as it streams, for small displays and for speech. No I/O.

What stays is one line of plain words: lists and headings become sentences, links their text, rows of a table their
cells. A mark that may still be ordinary (2*3, snake_case, #5) is held until what follows says which. Cut anywhere, the
same text comes out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

LONGEST = 400
"""Characters that are held for what they may be; more are ordinary."""

_EMOJI = "\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2300-\u23ff\u25a0-\u25ff\U000e0020-\U000e007f"
_PICTURE = re.compile(f"[{_EMOJI}][{_EMOJI}\ufe0e\ufe0f\u200d\u20e3]*|[\ufe0e\ufe0f\u20e3]+")
_ORDINARY = re.compile(f"[^\\s*_`~!\\[\ufe0e\ufe0f\u200d\u20e3{_EMOJI}]+")
_BULLET = re.compile(r"[-*+\u2022][ \t]+")
_NUMBER = re.compile(r"\d{1,3}[.)][ \t]")
_HEADING = re.compile(r"#{1,6}[ \t]+")
_RULE = re.compile(r"([-*_])[ \t]*(\1[ \t]*){2,}\Z")
_FENCE = re.compile(r"(```|~~~)[^\n]*\Z")
_DIVIDER = re.compile(r"[|:\- \t]+\Z")
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\n]*\)")
_ENDS = ".!?:;,…。！？、"  # noqa: RUF001 - sentences end so, too
_NO_SPACE_BEFORE = ".,!?;:)"

_Part: TypeAlias = tuple[int, str] | None
"""So many characters of what is held are this; None: it is not clear yet."""


class PlainWords:
    """One text."""

    def __init__(self) -> None:
        self._held = ""
        self._before = "\n"
        """The last character that came."""
        self._said = ""
        """The last that was let go and is no space."""
        self._space = False
        self._picture = False
        self._at_line_start = True
        self._is_item = False
        self._ended = False

    def take(self, text: str) -> str:
        """What of it is clear, in plain words."""
        self._held += text
        return self._let_go()

    def end(self) -> str:
        """The rest."""
        self._ended = True
        rest = self._let_go()
        return rest + self._stop() if self._is_item else rest

    def _let_go(self) -> str:
        said = []
        while self._held:
            part = self._beginning() if self._at_line_start else self._inside()
            if part is None and not self._ended and len(self._held) <= LONGEST:
                break
            count, words = part if part is not None else (1, self._held[0])
            self._before, self._held = self._held[:count][-1:] or self._before, self._held[count:]
            said.append(self._spoken(words))
        return "".join(said)

    # -- where a line begins

    def _beginning(self) -> _Part:
        """The mark that a line begins with; of none it is (0, "")."""
        text = self._held
        blank = len(text) - len(text.lstrip(" \t"))
        if blank:
            return None if blank == len(text) and not self._ended else (blank, " ")
        whole, newline, _ = text.partition("\n")
        if newline or self._ended or not _may_be_a_line(whole):
            return self._line(whole)
        return None

    def _line(self, line: str) -> _Part:
        mark = self._whole_line(line)
        if mark is not None:
            return len(line), mark
        for pattern, is_item in ((_HEADING, True), (_BULLET, True), (re.compile(r">[ \t]?"), False)):
            if found := pattern.match(line):
                self._is_item = self._is_item or is_item
                return found.end(), ""
        self._at_line_start = False
        self._is_item = self._is_item or _NUMBER.match(line) is not None
        return 0, ""

    def _whole_line(self, line: str) -> str | None:
        if _RULE.match(line) or _FENCE.match(line):
            return ""
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("| \t").split("|")]
            return "" if _DIVIDER.match(line) else ", ".join(cell for cell in cells if cell)
        return None

    # -- within a line

    def _inside(self) -> _Part:
        text = self._held
        if text[0] == "\n":
            return 1, self._line_ended()
        if text[0].isspace():
            return 1, " "
        if found := _ORDINARY.match(text):
            return found.end(), found[0]
        if found := _PICTURE.match(text):
            self._picture = True
            return found.end(), ""
        if text[0] == "\u200d":
            return 1, "" if self._picture else text[0]
        return _MARKS[text[0]](self, text)

    def _line_ended(self) -> str:
        stop = self._stop() if self._is_item else ""
        self._at_line_start, self._is_item = True, False
        return stop + " "

    def _stop(self) -> str:
        return "." if self._said and self._said not in _ENDS else ""

    def _emphasis(self, text: str) -> _Part:
        run = len(text) - len(text.lstrip(text[0]))
        if run == len(text) and not self._ended:
            return None
        after = text[run : run + 1]
        between = self._before.isalnum() and after.isalnum()
        is_factor = self._before.isdigit() and after.isdigit()
        alone = self._before.isspace() and (not after or after.isspace())
        stays = between if text[0] == "_" else is_factor
        return run, text[:run] if run == 1 and (stays or alone) else ""

    def _code(self, text: str) -> _Part:
        return len(text) - len(text.lstrip("`")), ""

    def _struck(self, text: str) -> _Part:
        if text == "~" and not self._ended:
            return None
        return (2, "") if text.startswith("~~") else (1, "~")

    def _link(self, text: str) -> _Part:
        if found := _LINK.match(text):
            self._held = text[: found.end()] + found[1] + text[found.end() :]  # its text is looked at, too
            return found.end(), ""
        return (1, text[0]) if self._ended or not _may_be_a_link(text) else None

    # -- what is let go

    def _spoken(self, words: str) -> str:
        """With one space where any were, and none where a picture was before the end of a sentence."""
        found = []
        for word in re.split(r"([ \t\n]+)", words):
            if not word or word.isspace():
                self._space = self._space or bool(word)
                continue
            drop = not self._said or (self._picture and word[0] in _NO_SPACE_BEFORE)
            found.append(f"{' ' if self._space and not drop else ''}{word}")
            self._space, self._picture, self._said = False, False, word[-1]
        return "".join(found)


def _may_be_a_line(line: str) -> bool:
    """Whether what follows may make of it something that it is not by itself."""
    if not line:
        return True
    if line[0] == "|" or line.startswith(("```", "~~~")) or line in ("`", "``", "~", "~~"):
        return True
    if line[0] in "-*_" and not line.strip(f"{line[0]} \t"):
        return True
    return bool(re.match(r"(#{1,6}[ \t]*|[+\u2022>][ \t]*|\d{1,3}[.)]?)\Z", line)) or bool(
        re.match(r"[-*]\Z", line)
    )


def _may_be_a_link(text: str) -> bool:
    return bool(re.match(r"!?(\[[^\[\]\n]*(\](\([^()\n]*)?)?)?\Z", text))


_MARKS: dict[str, Callable[[PlainWords, str], _Part]] = {
    "*": PlainWords._emphasis,  # noqa: SLF001 - its own
    "_": PlainWords._emphasis,  # noqa: SLF001
    "`": PlainWords._code,  # noqa: SLF001
    "~": PlainWords._struck,  # noqa: SLF001
    "[": PlainWords._link,  # noqa: SLF001
    "!": PlainWords._link,  # noqa: SLF001
}
