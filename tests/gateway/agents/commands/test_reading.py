"""The file of commands: every mistake with its line, and what a right one comes to."""

# ruff: noqa: E501 - a mistake a line

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agents.commands.reading import file_of, mistakes_in, read_book
from gateway.settings.agents.commands import CommandsSettings


def told(folder: Path, text: str) -> list[str]:
    file = folder / "c.yaml"
    file.write_text(text)
    problems = mistakes_in(CommandsSettings(file=str(file), shell={"run": ("/bin/true", "{what}")}))
    return [str(one).split("\n")[0].replace(f"{file}:", "") for one in problems]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("commands: [", "1: not YAML: "),
        ("- a", " expected settings (language, skip, parts, lists"),
        ("comands: {}", "1: comands: unknown key; did you mean commands?"),
        ("commands:\n  a: {say: 5}", "2: commands.a.say: expected text, not empty, at most 2000 characters or a list"),
        ("commands:\n  A: {say: x}", "2: commands.A: expected text, of the form ^[a-z][a-z0-9_]{0,63}$"),
        ("commands:\n  a: {reply: x}", "2: commands.a: nothing is said for it: write patterns into say"),
        ("commands:\n  a:\n    say:\n      - x\n      - '(y'", "5: commands.a.say[1]: '(' is not closed, at letter 1"),
        ("commands:\n  a:\n    say: {de:\n      '{x}'}", "3: commands.a.say.de: there is no list, number or text 'x'"),
        ("commands:\n  a: {say: x, reply: '{lihgt}'}\nrooms: {R: {light: 1}}", "2: commands.a.reply: there is no slot {lihgt}; did you mean {light}?"),
        ("commands:\n  a: {say: x, reply: '{'}", "2: commands.a.reply: {name} is a slot; a brace is written twice ({{)"),
        ("commands:\n  a: {say: x, reply: '{reply}'}", "2: commands.a.reply: there is no slot {reply}"),
        ("commands:\n  a: {say: x, reply: '{text.a}'}", "2: commands.a.reply: only {reply} has something inside, got {text.a}"),
        ("commands:\n  a: {say: x, do: [{}]}", "2: commands.a.do[0]: expected one of http (with its url), mqtt (with its topic) and shell, got []"),
        ("commands:\n  a: {say: x, do: [{shell: run, http: {url: 'http://h'}}]}", "2: commands.a.do[0]: expected one of http (with its url), mqtt"),
        ("commands:\n  a: {say: x, do: [{shell: format}]}", "2: commands.a.do[0].shell: config.yaml has no 'format' in this agent's commands.shell (run)"),
        ("commands:\n  a: {say: x, do: [{shell: run}]}", "2: commands.a.do[0]: there is no slot {what}"),
        ("commands:\n  a: {say: x, do: [{mqtt: {topic: t}}]}", "2: commands.a.do[0].mqtt: there is no broker to publish to"),
        ("commands:\n  a: {say: x, do: [{http: {url: 'ftp://h'}}]}", "2: commands.a.do[0].http.url: expected http[s]://host[:port]/path"),
        ("commands:\n  a: {say: x, do: [{http: {url: 'http://h', token: true}}]}", "2: commands.a.do[0].http.token: config.yaml does not let the token go to http://h: name it"),
        ("commands:\n  a: {say: x, do: [{http: {url: 'http://{room}/'}}]}", "2: commands.a.do[0].http.url: expected http[s]://host[:port]/path"),
        ("commands:\n  a: {say: x, do: [{http: {url: 'http://u:p@h/'}}]}", "2: commands.a.do[0].http.url: expected http[s]://host[:port]/path"),
        ("commands:\n  a: {say: x, do: [{http: {url: 'http://h/a/../b'}}]}", "2: commands.a.do[0].http.url: expected an address without . and .."),
        ("commands:\n  a: {say: x, do: [{http: {url: 'http://h', json: {a: '{reply.b}'}}}]}", "2: commands.a.do[0]: nothing before it answers what could be {reply}"),
        ("commands:\n  a: {say: x, do: [{http: {url: 'http://h', headers: {A: \"b\\nc\"}}}]}", "2: commands.a.do[0].http.headers.A: expected text"),
        ("commands:\n  a: {say: '{l}', defaults: {l: c}}\nlists: {l: [a, b]}", "2: commands.a.defaults.l: 'c' is none of the list l"),
        ("rooms: {R: {l: c}}\nlists: {l: [a, b]}", "1: rooms.R.l: 'c' is none of the list l"),
        ("lists:\n  l:\n    - {value: 1, say: x}\n    - {value: 2, say: '[the] x'}", "4: lists.l[1].say: 'x' is said of two values"),
        ("lists:\n  l:\n    - '" + "[a]" * 20 + "'", "3: lists.l[0]: more than 256 ways to say it"),
        ("lists:\n  l: ['{x}']", "2: lists.l[0]: a slot ({x}) has no place here"),
        ("lists: {l: [a]}\ntexts:\n  - l", "3: texts[0]: the name 'l' is taken"),
        ("texts: [reply]", "1: texts[0]: the name 'reply' is taken"),
        ("parts:\n  a: <b>\n  b: <a>", "2: parts.a: it stands, by way of others, for itself"),
        ("parts:\n  a: <c>", "2: parts.a: there is no part <c>"),
        ("commands:\n  a: {say: {en: x, de: y}, reply: {de: y}}", "2: commands.a.reply: there is none in en, nor in the file's language"),
        ("commands:\n  a: {say: {en: x, fr: y}, confirm: {fr: y}}", "2: commands.a.confirm: there is none in en, nor in the file's"),
        ("skip: please\ncommands:\n  a: {say: '[now] please go'}", "3: commands.a.say: it waits for 'please', which is passed over (skip)"),
        ("skip: [two words]", "1: skip[0]: expected one word, got 'two words'"),
        ("numbers:\n  n: {least: x}", "2: numbers.n.least: expected a number, got 'x'"),
        ("lists: {a: [x], b: [y]}\ncommands:\n  c: {say: ['{s:a}', '{s:b}']}", "3: commands.c.say[1]: {s} is of a elsewhere, and of b here"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    problems = told(tmp_path, text)
    assert any(one.startswith(complaint) or complaint in one for one in problems), problems
    assert all(one.isprintable() for one in problems)


@pytest.mark.slow
def test_patterns_are_bounded_in_all(tmp_path: Path) -> None:
    many = "\n".join(f"  c{number}: {{say: '{'[a] ' * 100}'}}" for number in range(300))
    assert told(tmp_path, f"commands:\n{many}") == [
        f"1: commands: patterns of more than 50000 steps, got {300 * (2 * 100 + 100 + 3)}"
    ]


@pytest.mark.slow
def test_parts_of_parts_are_bounded(tmp_path: Path) -> None:
    """Of sixty pieces each, five levels deep, they would fill the memory."""
    parts = "\n".join(f"  a{number}: '{f'<a{number - 1}>' * 60}'" for number in range(1, 6))
    found = told(tmp_path, f"parts:\n  a0: 'x [y]'\n{parts}\ncommands:\n  a: {{say: '<a5> b'}}\n")
    assert "4: parts.a2: with its parts it has more than 5000 pieces" in found
    one = "\n".join(f"  c{number}: {{say: '<a>'}}" for number in range(400))
    found = told(tmp_path, f"parts: {{a: '{'[a] ' * 100}'}}\ncommands:\n{one}\n")
    assert found[0].startswith("2: commands: patterns of more than 50000 steps, got 10")


def test_the_demos_house_is_right() -> None:
    book = read_book(CommandsSettings(file="demo"))
    assert {"en", "de"} <= book.kinds.keys()
    assert book.hotwords == "kitchen light, hall light, office light"


@pytest.mark.parametrize("text", ["s3cret", "A=s3cret\nB=1\n", "- s3cret", "'s3cret'", "7331"])
def test_nothing_is_told_of_a_file_that_is_none_of_commands(tmp_path: Path, text: str) -> None:
    """Named by mistake, or over the network: a token's, whose first line would stand in health."""
    (problem,) = told(tmp_path, text)
    assert "got something else" in problem
    assert "s3cret" not in problem
    assert "7331" not in problem


def test_an_empty_file_understands_nothing(tmp_path: Path) -> None:
    assert told(tmp_path, "") == []


def test_a_name_without_a_folder_is_a_credential_where_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert file_of(CommandsSettings(file="house.yaml")) == tmp_path / "house.yaml"
    assert file_of(CommandsSettings(file="/etc/house.yaml")) == Path("/etc/house.yaml")


@given(st.binary(max_size=200))
def test_any_bytes_are_commands_or_mistakes(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(raw)
    assert all(one.message.isprintable() for one in mistakes_in(CommandsSettings(file=str(file))))
