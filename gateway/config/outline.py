"""What a tree of settings classes says about itself, and whether plain data fits it.

A section is a msgspec Struct and is described by its docstring; a setting is any other field and
is described by its ``Meta``. This module knows the classes only by their annotations.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from firmware_bridge.url_secrets import masked
from gateway.contract.escaping import one_line

Path: TypeAlias = tuple[str | int, ...]
Contradiction: TypeAlias = tuple[tuple[Path, ...], str]
"""The paths involved, the one to blame first, and the message."""

_SHOWN_CHARACTERS = 60


class Setting(NamedTuple):
    """One setting: where it stands, its annotation, what it is without a word, and what it is for."""

    path: tuple[str, ...]
    annotation: Any
    default: Any
    description: str


class Section(NamedTuple):
    """One group of settings."""

    path: tuple[str, ...]
    description: str


class Mistake(NamedTuple):
    """Something that does not fit: where, what, and what the setting is for."""

    path: Path
    message: str
    description: str = ""


def outline(cls: type[Struct], path: tuple[str, ...] = ()) -> Iterator[Section | Setting]:
    """Every section and setting below ``cls``: a section's own settings, then the sections in it."""
    fields = msgspec.structs.fields(cls)
    for field in fields:
        if section_class(field.type) is None:
            default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
            yield Setting((*path, field.name), field.type, default, description(field.type))
    for field in fields:
        if (section := section_class(field.type)) is not None:
            yield Section((*path, field.name), _first_paragraph(section))
            yield from outline(section, (*path, field.name))


def settings(cls: type[Struct]) -> dict[tuple[str, ...], Setting]:
    """Every setting below ``cls`` by its path."""
    return {item.path: item for item in outline(cls) if isinstance(item, Setting)}


def dotted(path: Path) -> str:
    """``("devices", "serial", "ports", 1)`` as ``devices.serial.ports[1]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return one_line(text)


def section_class(annotation: Any) -> type[Struct] | None:
    """The Struct behind an annotation, or None for a setting."""
    base = _bare(annotation)[0]
    return base if isinstance(base, type) and issubclass(base, Struct) else None


def description(annotation: Any) -> str:
    """What a setting is for, from its ``Meta``."""
    return " ".join(meta.description for meta in _bare(annotation)[1] if meta.description)


def is_text(annotation: Any) -> bool:
    """Whether nothing but text may stand there."""
    base = _bare(annotation)[0]
    return base is str or get_origin(base) is Literal


def expected(annotation: Any) -> str:
    """What may stand there, in words: ``a whole number from 0 to 65535``."""
    base, metas = _bare(annotation)
    bounds = {
        name: value
        for meta in metas
        for name in ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern")
        if (value := getattr(meta, name)) is not None
    }
    origin, arguments = get_origin(base), get_args(base)
    if origin in (Union, UnionType):
        return " or ".join(expected(one) for one in arguments)
    if origin is Literal:
        return "one of " + ", ".join(one or '""' for one in arguments)
    if origin is tuple:
        return f"a list, each item {expected(arguments[0])}"
    if origin is dict:
        return f"a mapping, each key {expected(arguments[0])}, each value {expected(arguments[1])}"
    if isinstance(base, type) and issubclass(base, Struct):
        return f"settings ({', '.join(base.__struct_fields__)})"
    words = {
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        NoneType: "nothing",
    }
    return words[base] + (_text_limits(bounds) if base is str else _range(bounds))


def check(cls: type[Struct], data: Any) -> tuple[dict[str, Any], list[Mistake]]:
    """What of ``data`` fits ``cls`` and can be converted with msgspec, and everything that does not."""
    checking = _Checking(cls)
    return checking.section(cls, data, ()), checking.mistakes


def unknown_key(cls: type[Struct], path: tuple[str, ...]) -> str:
    """The message for a path that ``cls`` does not have, with the near miss."""
    near = did_you_mean(cls, path)
    return f"unknown key; did you mean {near}?" if near else "unknown key"


def did_you_mean(cls: type[Struct], path: tuple[str, ...]) -> str | None:
    """The dotted path that was probably meant by the unknown ``path``, or None."""
    known = [item.path for item in outline(cls)]
    siblings = {one[-1]: one for one in known if one[:-1] == path[:-1]}
    key = _near(path[-1], list(siblings))
    if key is not None:
        return dotted(siblings[key])
    elsewhere = [one for one in known if one[-1] == path[-1]]
    if elsewhere:
        return dotted(elsewhere[0])
    return _near(dotted(path), [dotted(one) for one in known])


def shown(value: Any) -> str:
    """A value as an error message may show it: short, on one line, without passwords."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = masked(value if isinstance(value, str) else repr(value))
    short = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
    return repr(short) if isinstance(value, str) else one_line(short)


class _Checking:
    """One walk over plain data along the classes."""

    def __init__(self, root: type[Struct]) -> None:
        self.root = root
        self.mistakes: list[Mistake] = []

    def section(self, cls: type[Struct], value: Any, path: Path) -> dict[str, Any]:
        fields = {field.name: field.type for field in msgspec.structs.fields(cls)}
        if value is None:  # a section whose settings are all commented out
            return {}
        if not isinstance(value, Mapping):
            message = f"expected settings ({', '.join(fields)}), got {shown(value)}"
            self.mistakes.append(Mistake(path, message, _first_paragraph(cls)))
            return {}
        good: dict[str, Any] = {}
        for key, one in value.items():
            here = (*path, key)
            if key not in fields:
                near = _near(str(key), list(fields))
                meant = f"unknown key; did you mean {dotted((*path, near))}?" if near else ""
                message = meant or unknown_key(self.root, tuple(map(str, here)))
                self.mistakes.append(Mistake(here, message))
            elif (section := section_class(fields[key])) is not None:
                good[key] = self.section(section, one, here)
            elif self.setting(fields[key], one, here):
                good[key] = _filled(fields[key], one)
        return good

    def setting(self, annotation: Any, value: Any, path: Path) -> bool:
        """Whether ``value`` fits; each item of a list or mapping is looked at by itself."""
        base = _bare(annotation)[0]
        origin, arguments = get_origin(base), get_args(base)
        before = len(self.mistakes)
        if (section := section_class(annotation)) is not None:
            self.section(section, value, path)
        elif origin is dict and isinstance(value, Mapping):
            for key, item in value.items():
                self.setting(arguments[0], key, (*path, key))
                self.setting(arguments[1], item, (*path, key))
        elif origin is tuple and isinstance(value, list):
            for i, item in enumerate(value):
                self.setting(arguments[0], item, (*path, i))
        else:
            try:
                msgspec.convert(value, annotation)
            except msgspec.ValidationError:
                message = f"expected {expected(annotation)}, got {shown(value)}{_hint(base, value)}"
                self.mistakes.append(Mistake(path, message, description(annotation)))
        return len(self.mistakes) == before


def _filled(annotation: Any, value: Any) -> Any:
    """What fits, with an empty section for each whose settings are all commented out."""
    base = _bare(annotation)[0]
    if get_origin(base) is not dict or section_class(get_args(base)[1]) is None:
        return value
    return {key: {} if one is None else one for key, one in value.items()}


def _hint(base: Any, value: Any) -> str:
    if base is str and value is None:
        return '; write "" for empty text'
    if base is str and isinstance(value, int | float):
        return "; put it in quotes"
    near = _near(str(value), list(get_args(base))) if get_origin(base) is Literal else None
    return f"; did you mean {near}?" if near else ""


def _bare(annotation: Any) -> tuple[Any, tuple[Meta, ...]]:
    if get_origin(annotation) is Annotated:
        base, *extras = get_args(annotation)
        return base, tuple(extra for extra in extras if isinstance(extra, Meta))
    return annotation, ()


def _range(bounds: Mapping[str, Any]) -> str:
    if "ge" in bounds and "le" in bounds:
        return f" from {bounds['ge']} to {bounds['le']}"
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    limits = [f"{word} {bounds[name]}" for name, word in words.items() if name in bounds]
    return " " + " and ".join(limits) if limits else ""


def _text_limits(bounds: Mapping[str, Any]) -> str:
    limits = [
        f"of the form {bounds['pattern']}" if "pattern" in bounds else "",
        "not empty" if bounds.get("min_length") else "",
        f"at most {bounds['max_length']} characters" if "max_length" in bounds else "",
    ]
    return "".join(f", {limit}" for limit in limits if limit)


def _near(word: str, known: list[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word.lower().replace("-", "_"), known, n=1, cutoff=0.7)), None)


def _first_paragraph(cls: type[Struct]) -> str:
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
