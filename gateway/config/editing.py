"""A configuration file with a few settings changed: its comments, its order and everything else stay as they are.

The text is edited line by line, then read again: unless it says exactly what was wanted, it is not used.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateway.access.belonging import foreign
from gateway.access.private_files import refuse_links, write_whole
from gateway.config import strict_yaml

_KEY = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z0-9_.-]+|\"[^\"]*\"|'[^']*') *:(?P<rest>.*)")
_COMMENT = re.compile(r"\s+#.*$")
_INDENT = 2

_GONE = object()
"""The value of what is no longer there."""

Change = tuple[tuple[str, ...], Any]
"""A setting's path, and its new value."""


class CannotEdit(Exception):
    """The file is written in a way that cannot be changed line by line."""


def edited(text: str, changes: list[Change]) -> str:
    """The text with the changes in it. Raises CannotEdit."""
    before = _data(text)
    wanted = json.loads(json.dumps(before))
    for path, value in changes:
        _set(wanted, path, value)
    by_key = [finer for change in changes for finer in _by_key(before, change)]
    for attempt in (by_key, changes):
        after = _rewritten(text, attempt)
        with suppress(CannotEdit):
            if _data(after) == wanted:
                return after
    raise CannotEdit("it is not written one setting a line")


def _rewritten(text: str, changes: list[Change]) -> str:
    lines = text.splitlines()
    for path, value in changes:
        _put(lines, path, None if value is _GONE else _written(value))
    return "\n".join(lines) + "\n"


def _by_key(before: dict[str, Any], change: Change) -> Iterator[Change]:
    """A table's change as those of its keys, where some of them stay: their lines do, too."""
    path, value = change
    there: Any = before
    for key in path:
        there = there.get(key) if isinstance(there, dict) else None
    if not isinstance(value, dict) or not isinstance(there, dict) or there.keys().isdisjoint(value):
        yield change
        return
    for key in there.keys() - value.keys():
        yield (*path, key), _GONE
    for key, one in value.items():
        if key not in there or there[key] != one:
            yield (*path, key), one


def replace_file(path: Path, text: str) -> None:
    """Write it whole or not at all, with the mode (and, where that can be, the owner) it had. Raises OSError.

    A link stays one, if it and what it leads to are ours: it is not for others to choose what is written over.
    """
    if path.is_symlink() and (reason := foreign(path)):
        raise OSError(errno.ELOOP, f"it is a link that {reason}", str(path))
    path = path.resolve()
    refuse_links(path)
    was = path.stat()
    write_whole(path, text.encode(), mode=stat.S_IMODE(was.st_mode), owner=_givable(was))


def _givable(was: os.stat_result) -> tuple[int, int] | None:
    """Its owner, if we may make a file theirs."""
    me, groups = os.geteuid(), (os.getegid(), *os.getgroups())
    may = me == 0 or (was.st_uid == me and was.st_gid in groups)
    return (was.st_uid, was.st_gid) if may else None


def _data(text: str) -> dict[str, Any]:
    try:
        data = strict_yaml.parse(text).data
    except strict_yaml.YamlProblem as error:
        raise CannotEdit(f"line {error.line}: {error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise CannotEdit("it holds no settings")
    return data


def _set(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        if not isinstance(data.get(key), dict):
            data[key] = {}
        data = data[key]
    data[path[-1]] = value


def _put(lines: list[str], path: tuple[str, ...], written: str | None) -> None:
    """Replace the setting where it stands (None: take it out), or add it and the sections above it."""
    begin, end = 0, len(lines)
    for depth, key in enumerate(path):
        found = _find(lines, key, depth * _INDENT, begin, end)
        if found is None:
            head = [f"{' ' * (_INDENT * (depth + i))}{one}:" for i, one in enumerate(path[depth:])]
            head[-1] += f" {written}"
            lines[end:end] = head
            return
        begin, end = found + 1, _end(lines, found + 1, depth * _INDENT)
        is_last = depth == len(path) - 1
        if is_last and written is None:
            del lines[found:end]
        elif is_last:
            head_line = lines[found]
            comment = _COMMENT.search(head_line)
            indent = " " * (depth * _INDENT)
            lines[found:end] = [f"{indent}{key}: {written}{comment.group() if comment else ''}"]


def _find(lines: list[str], key: str, indent: int, begin: int, end: int) -> int | None:
    for i in range(begin, end):
        match = _KEY.fullmatch(lines[i])
        if match and len(match["indent"]) == indent and match["key"].strip("'\"") == key:
            return i
    return None


def _end(lines: list[str], begin: int, indent: int) -> int:
    """Where what belongs to a key ends: the comments before the next one are the next one's."""
    end = last = begin
    while end < len(lines):
        line = lines[end]
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            if len(line) - len(line.lstrip(" ")) <= indent:
                break
            last = end + 1
        end += 1
    return last


def _written(value: Any) -> str:
    """A value on one line; JSON is YAML too."""
    return json.dumps(value, ensure_ascii=False)
