"""Languages as programs name them."""

from __future__ import annotations

import pytest

from gateway.adapters.languages import spoken_language
from transcription.models.languages import WHISPER_LANGUAGES


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("de", "de"),
        ("de-AT", "de"),
        ("pt_BR", "pt"),
        ("EN", "en"),
        ("yue", "yue"),
        ("nb", "no"),
        ("nb-NO", "no"),
        ("auto", "auto"),
        ("*", ""),
        ("", ""),
        (None, ""),
        ("english", ""),
    ],
)
def test_a_tag_is_the_code_that_whisper_has(tag: str | None, code: str) -> None:
    assert spoken_language(tag) == code
    assert code in {*WHISPER_LANGUAGES, "auto", ""}
