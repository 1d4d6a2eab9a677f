"""config.yaml: a document whose every mistake is named with a line, or settings that fit."""

from __future__ import annotations

from gateway.config.checks import fit
from gateway.config.outline import dotted
from gateway.config.strict_yaml import YamlProblem, parse


def fuzz(data: bytes) -> None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return
    lines = (
        text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029")
    )
    try:
        document = parse(text)
    except YamlProblem as problem:
        assert 1 <= problem.line <= lines + 2
        str(problem).encode()
        return
    assert all(1 <= line <= lines + 2 for line in document.lines.values())
    _, mistakes = fit(document.data)
    for mistake in mistakes:
        dotted(mistake.path).encode()
        assert len(mistake.message) < 5_000
        assert mistake.message.isprintable()
