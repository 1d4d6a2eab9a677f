"""YAML as a configuration needs it: plain data, read strictly, with line numbers.

What comes out is text, whole numbers, numbers, true, false, null, lists and mappings with text
keys. ``on``, ``off``, ``no``, ``12:30`` and ``0x10`` are text, as in YAML 1.2 or stricter. Refused:
duplicate keys, anchors and aliases (so no alias bombs), tags, several documents, deep nesting.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import yaml
from msgspec import Struct

from gateway.contract.surrogates import LoneSurrogate, joined

MAX_DEPTH = 16
"""Levels of nesting; a configuration has three."""

Path: TypeAlias = tuple[str | int, ...]
"""The way to a value from the top: keys, and indices into lists."""


class YamlProblem(Exception):
    """The text is not the YAML that a configuration may use; ``line`` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class Document(Struct, frozen=True):
    """What was read, and the line (from 1) on which each value's key stands."""

    data: Any
    lines: dict[Path, int]


def parse(text: str) -> Document:
    """Raises YamlProblem."""
    loader = _Loader(_printable(text))
    try:
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlProblem(_in_words(error), mark.line + 1 if mark else 1) from error
    finally:
        loader.dispose()
    lines: dict[Path, int] = {}
    return Document(None if root is None else _plain(root, (), lines), lines)


class _Loader(yaml.SafeLoader):
    """The parser, without the parts of the language that a configuration has no use for."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1 if event.start_mark else 1
        if getattr(event, "anchor", None) is not None:
            raise YamlProblem("anchors and aliases (& and *) are not used here; put the text in quotes", line)
        if getattr(event, "tag", None) is not None:
            raise YamlProblem("tags (!) are not used here; put the text in quotes", line)
        if self._depth == MAX_DEPTH:
            raise YamlProblem(f"nested deeper than {MAX_DEPTH} levels", line)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


# The bounded digits keep every number finite and within 64 bits; longer ones stay text.
_TAG = "tag:yaml.org,2002:"
_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver(_TAG + "null", re.compile(r"(~|null|)\Z"), ["~", "n", ""])
_Loader.add_implicit_resolver(_TAG + "bool", re.compile(r"(true|false)\Z"), ["t", "f"])
_Loader.add_implicit_resolver(_TAG + "int", re.compile(r"[-+]?[0-9]{1,18}\Z"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _TAG + "float",
    re.compile(r"[-+]?(\.[0-9]{1,30}|[0-9]{1,30}(\.[0-9]{0,30})?)([eE][-+]?[0-9]{1,2})?\Z"),
    list("-+.0123456789"),
)

_SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda _: None,
    "bool": lambda text: text == "true",
    "int": int,
    "float": float,
}


def _plain(node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, i), lines) for i, item in enumerate(node.value)]
    if node.tag == _TAG + "str":
        return _text(node)
    return _SCALARS[node.tag.removeprefix(_TAG)](node.value)


def _text(node: yaml.Node) -> str:
    try:
        return joined(node.value)
    except LoneSurrogate as error:
        raise YamlProblem(str(error), node.start_mark.line + 1) from error


def _mapping(node: yaml.MappingNode, path: Path, lines: dict[Path, int]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise YamlProblem("a key must be plain text", line)
        key = _text(key_node)
        if key in result:
            raise YamlProblem(
                f"the key {key!r:.80} stands here twice (first on line {lines[*path, key]})", line
            )
        lines[*path, key] = line
        result[key] = _plain(value_node, (*path, key), lines)
    return result


def _printable(text: str) -> str:
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        raise YamlProblem(f"the character {found.group()!r} may not stand in YAML", line)
    return text


def _in_words(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem or error.context or "not YAML")
    if "'\\t'" in problem:
        return "a tab; YAML is indented with spaces"
    if problem == "mapping values are not allowed here":
        return "a second ':' on this line, or a wrong indent (put text with ': ' in quotes)"
    began = f"line {error.context_mark.line + 1}" if error.context_mark else "a line above"
    for part, words in _WORDS.items():
        if part in problem:
            return f"not YAML: {words.format(began=began, problem=problem)}"
    return f"not YAML: {problem}"


_WORDS = {
    "expected <block end>": "the indent fits none of the lines above",
    "expected ',' or '}'": "the '{{' of {began} is not closed, or a comma is missing",
    "expected ',' or ']'": "the '[' of {began} is not closed, or a comma is missing",
    "found unexpected end of stream": "the quote of {began} is not closed",
    "could not find expected ':'": "there is no ':' behind the word of {began}",
    "cannot start any token": "{problem}; put the text in quotes",
}
"""What the parser says, for people; by a part of it."""
