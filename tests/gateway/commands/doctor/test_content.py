"""The doctor's look at the word in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.commands.doctor import doctor
from gateway.commands.doctor.content import content
from gateway.commands.doctor.finding import fail, ok
from gateway.settings.content import ContentSettings


def look(text: object) -> object:
    return text


def test_what_is_off_is_not_mentioned() -> None:
    assert list(content(ContentSettings())) == []


def test_it_says_what_is_looked_for_and_where() -> None:
    settings = ContentSettings(
        personal_data="mask", forbidden_words=("a", "b"), hook=f"{__name__}:look", applies_to="replies"
    )
    found = "personal data (mask), 2 forbidden words or phrases (mask), " + f"{__name__}:look is asked"
    assert list(content(settings)) == [ok("content", f"looked for in replies: {found}")]


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        ("no_such_module_here:look", "there is no module no_such_module_here"),
        (f"{__name__}:other", "has no 'other'"),
    ],
)
def test_a_function_that_is_not_there_is_a_failure(hook: str, reason: str) -> None:
    (finding,) = content(ContentSettings(hook=hook))
    assert finding == fail("content", finding.detail, "correct content.hook, or what it names")
    assert reason in finding.detail


def test_it_is_a_part_of_the_whole_report(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("content: {personal_data: mask}\ntranscription: {engine: off}\n")
    file.chmod(0o600)
    report = doctor.examine(file, {"HOME": str(tmp_path), "PATH": ""})
    assert ok("content", "looked for in transcripts and replies: personal data (mask)") in report.findings
