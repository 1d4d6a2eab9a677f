"""What messages, remedies and documents tell people to type is there: commands, their subcommands and options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gateway.commands.cli import COMMANDS, main

ROOT = Path(__file__).parents[3]
CODE = sorted(
    file for room in ("gateway", "firmware_bridge", "transcription") for file in (ROOT / room).rglob("*.py")
)
TOLD = [
    *sorted((ROOT / "gateway" / "web" / "static").glob("*.*")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "firmware_bridge" / "esp32").rglob("*.md")),
    ROOT / "README.md",
    ROOT / "config.yaml",
]
_SPOKEN = re.compile(r"(?<![\w./@<-])(?<!-u )earshot((?: +(?!&&|\|)[^\s`#<]+)+)")
_OPTION = re.compile(r"\[?(--[a-z][a-z-]*)")
NO_COMMANDS = frozenset({"on", "link", "mic"})
"""How a certificate's name goes on, and what tasks of the firmware are called."""
_END = re.compile(r"[.;,:)'\"]$")


def spoken(text: str) -> list[list[str]]:
    """The words behind each ``earshot`` that is followed by a command, or by what looks like one."""
    every = [match[1].split() for match in _SPOKEN.finditer(text)]
    names = [(_END.sub("", words[0]), words) for words in every]
    return [words for name, words in names if re.fullmatch(r"[a-z][a-z-]+", name) and name not in NO_COMMANDS]


def fault(words: list[str]) -> str:
    """What of it is not there; empty: all is."""
    name = _END.sub("", words[0])
    command = main.get_command(click.Context(main), name)
    if command is None:
        return f"no command {name}"
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}
    for word in () if _END.search(words[0]) else words[1:]:
        plain = _END.sub("", word)
        if isinstance(command, click.Group) and re.fullmatch(r"[a-z][a-z-]+", plain):
            if plain not in command.commands:
                return f"no command {name} {plain}"
            command = command.commands[plain]
            known |= {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        elif (option := _OPTION.match(plain)) and option[1] not in known:
            return f"no option {option[1]} of {name}"
        if _END.search(word):
            break
    return ""


def strings(file: Path) -> Iterator[str]:
    """What a module can say; what is put in only as it runs is ``{}``."""
    tree = ast.parse(file.read_text())
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value


@pytest.mark.slow
def test_what_the_code_says_is_there() -> None:
    found = [(file, words) for file in CODE for text in strings(file) for words in spoken(text)]
    assert len(found) > 100
    assert {words[0] for _, words in found} > set(COMMANDS) - {"service", "dlq"}
    assert [f"{file.relative_to(ROOT)}: {why}" for file, words in found if (why := fault(words))] == []


def test_what_documents_and_the_page_say_is_there() -> None:
    found = [(file, words) for file in TOLD for words in spoken(file.read_text())]
    assert len(found) > 100
    assert [
        f"{file.relative_to(ROOT)}: {why}: {words}" for file, words in found if (why := fault(words))
    ] == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("earshot devices remove ID", "no command devices remove"),
        ("`earshot devices` shows them", ""),
        ("remedy: earshot forget kitchen", "no command forget"),
        ("earshot models fetch small --fast", "no option --fast of models"),
        ("earshot devices --url http://there approve kitchen --waiting", ""),
        ("earshot check-config && earshot reload --pid 4711", ""),
    ],
)
def test_what_is_not_there_is_found(text: str, why: str) -> None:
    assert next(filter(None, map(fault, spoken(text))), "") == why
