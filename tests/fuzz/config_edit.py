"""Some settings of a file changed: it says exactly what was wanted afterwards, or CannotEdit."""

from __future__ import annotations

import json

from gateway.config.editing import CannotEdit, edited
from gateway.config.strict_yaml import YamlProblem, parse

_PATHS = (("web", "port"), ("transcription", "model"), ("devices", "users"), ("a",), ("a", "b"))


def fuzz(data: bytes) -> None:
    text, _, rest = data.decode("utf-8", "replace").partition("\0")
    try:
        value = json.loads(rest or "8080", parse_constant=str)
    except (ValueError, RecursionError):
        value = rest
    if not _is_setting(value):
        return
    path = _PATHS[len(rest) % len(_PATHS)]
    try:
        after = edited(text, [(path, value)])
    except CannotEdit as error:
        str(error).encode()
        return
    try:
        there = parse(after).data
    except YamlProblem as error:
        raise AssertionError(after) from error
    for key in path:
        there = there[key]
    assert there == value


def _is_setting(value: object) -> bool:
    """What settings are made of; no more comes out of settings that fit."""
    if isinstance(value, dict):
        return all(map(_is_setting, value.values())) and all(map(_is_setting, value))
    if isinstance(value, list):
        return all(map(_is_setting, value))
    if isinstance(value, int):
        return abs(value) < 10**18
    return isinstance(value, str | float | None)
