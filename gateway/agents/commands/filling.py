"""Texts with holes: ``The {light} is on.``, ``{reply.main.temp} degrees``. ``{{`` and ``}}`` are braces. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from gateway.agents.commands.matching import SlotValue

REPLY = "reply"
"""What an action has answered."""
MOST_SHOWN = 2_000
"""Characters of what an action has answered, in a text."""

_PART = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_]*)((?:\.[^.{}\s]+)*)\}|[{}]|[^{}]+")

Scalar: TypeAlias = str | int | float


class BadHole(ValueError):
    """A brace that opens no name, or closes none."""


class NothingThere(LookupError):
    """A hole for which there is nothing; the text says which."""


class Hole(NamedTuple):
    """``name``, and the way from there into what an action has answered."""

    name: str
    way: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.name, *self.way))


class Values(NamedTuple):
    """What holes are filled with. ``reply``: JSON that an action has answered."""

    slots: Mapping[str, SlotValue]
    reply: Any = None

    def value(self, hole: Hole) -> Scalar:
        """For programs. Raises NothingThere."""
        return self._of_reply(hole) if hole.name == REPLY else self._slot(hole).value

    def words(self, hole: Hole) -> str:
        """For people. Raises NothingThere."""
        return str(self._of_reply(hole)) if hole.name == REPLY else self._slot(hole).words

    def _slot(self, hole: Hole) -> SlotValue:
        found = self.slots.get(hole.name)
        if found is None:
            raise NothingThere(hole.name)
        return found

    def _of_reply(self, hole: Hole) -> Scalar:
        found = self.reply
        for key in hole.way:
            if isinstance(found, list) and key.isascii() and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, dict) and key in found:
                found = found[key]
            else:
                raise NothingThere(str(hole))
        if isinstance(found, bool):
            return "true" if found else "false"
        if isinstance(found, str):
            return found[:MOST_SHOWN]
        if isinstance(found, int | float):
            return found
        raise NothingThere(str(hole))


class Filler(NamedTuple):
    """A text with holes, read."""

    parts: tuple[str | Hole, ...]

    @classmethod
    def read(cls, text: str) -> Filler:
        """Raises BadHole."""
        return cls(tuple(_parts(text)))

    @property
    def holes(self) -> frozenset[Hole]:
        """Those in it."""
        return frozenset(part for part in self.parts if isinstance(part, Hole))

    def fill(self, with_what: Callable[[Hole], Scalar]) -> str:
        """Raises NothingThere."""
        return "".join(part if isinstance(part, str) else str(with_what(part)) for part in self.parts)


JsonFiller: TypeAlias = Any
"""JSON with a Filler for each text in it that has a hole."""


def read_json(data: Any) -> JsonFiller:
    """Raises BadHole."""
    if isinstance(data, dict):
        return {key: read_json(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [read_json(value) for value in data]
    if not isinstance(data, str):
        return data
    filler = Filler.read(data)
    return filler if filler.holes else "".join(map(str, filler.parts))


def fill_json(data: JsonFiller, values: Values) -> Any:
    """A text that is one hole becomes its value: a number stays one. Raises NothingThere."""
    if isinstance(data, dict):
        return {key: fill_json(value, values) for key, value in data.items()}
    if isinstance(data, list):
        return [fill_json(value, values) for value in data]
    if not isinstance(data, Filler):
        return data
    if len(data.parts) == 1 and isinstance(data.parts[0], Hole):
        return values.value(data.parts[0])
    return data.fill(values.value)


def json_holes(data: JsonFiller) -> frozenset[Hole]:
    """Those in it, wherever."""
    if isinstance(data, Filler):
        return data.holes
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return frozenset(hole for one in inner for hole in json_holes(one))


def _parts(text: str) -> Iterator[str | Hole]:
    for found in _PART.finditer(text):
        part = found[0]
        if part in ("{{", "}}"):
            yield part[0]
        elif found[1]:
            if found[2] and found[1] != REPLY:
                raise BadHole(f"only {{reply}} has something inside, got {part}")
            yield Hole(found[1], tuple(found[2].split(".")[1:]))
        elif part in ("{", "}"):
            raise BadHole(f"{{name}} is a slot; a brace is written twice ({part}{part})")
        else:
            yield part
