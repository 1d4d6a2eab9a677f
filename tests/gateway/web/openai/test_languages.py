"""Languages by name and by code."""

from __future__ import annotations

import pytest
from faster_whisper.tokenizer import _LANGUAGE_CODES

from gateway.web.openai.languages import NAMES, code_of, name_of


def test_every_language_of_whisper_has_a_name() -> None:
    assert NAMES.keys() == set(_LANGUAGE_CODES)
    assert len(set(NAMES.values())) == len(NAMES)
    for code, name in NAMES.items():
        assert code_of(code) == code_of(name) == code
        assert name_of(code) == name


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("German", "de"), (" de ", "de"), ("de-AT", "de"), ("de_CH", "de"), ("zh-Hant-TW", "zh"), ("Burmese", "my"),
        ("pt-BR", "pt"), ("Haitian Creole", "ht"), ("nb-NO", "no"), ("yue", "yue"), ("klingon", None), ("", None),
        ("-", None), ("x-klingon", None),
    ],
)  # fmt: skip
def test_it_is_found_by_what_people_write(text: str, code: str | None) -> None:
    assert code_of(text) == code


def test_one_that_nobody_knows_keeps_its_code() -> None:
    assert name_of("tlh") == "tlh"
