"""Forbidden words: whole, whatever their case and accents."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline.content.forbidden_words import ForbiddenWords, is_word
from gateway.pipeline.content.found import Mask, masked
from gateway.pipeline.content.personal_data import find_personal_data

PHRASES = ["Déjà vu", "damn", "damn it all", "straße", "смерть", "हिन्दी", "smørrebrød", "mail", "c3p0"]
FORBIDDEN = ForbiddenWords(PHRASES)


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("DEJA-VU again", "*** again"),
        ("deja Déjà vu vu", "deja *** vu"),
        ("deja *** vu", "deja *** vu"),
        ("deja [phone number] vu", "deja [phone number] vu"),
        ("class damned damnation", "class damned damnation"),
        ("Damn! damn.", "***! ***."),
        ("damn it all, damn it", "***, *** it"),
        ("in der STRASSE, die Straßen", "in der ***, die Straßen"),
        ("da\u0300mn d\u00adamn d\u200bamn", "*** *** ***"),
        ("\u0421\u041c\u0415\u0420\u0422\u042c", "***"),
        ("हिन्दी हिन्द", "*** हिन्द"),
        ("Smorrebrod", "***"),
        ("C3P0", "***"),
        ("e-mail", "e-***"),
        ("[e-mail address] [phone number]", "[e-mail address] [phone number]"),
        ("", ""),
    ],
)
def test_a_word_is_found_whole(text: str, without: str) -> None:
    assert masked(text, FORBIDDEN.find(text)) == without


@pytest.mark.parametrize("phrase", ["", "!?", "  ", "\u0301", "***"])
def test_what_has_no_word_forbids_nothing(phrase: str) -> None:
    assert not is_word(phrase)
    assert ForbiddenWords([phrase]).find("anything at all *** !?") == []


WORDS = st.sampled_from(
    [*PHRASES, *Mask, "it", "all", "deja", "vu", "joe@mail.de", "0171 1234567", "\u0301", " ", "-", "[", "]"]
)
TEXTS = st.lists(WORDS | st.text(max_size=4), max_size=12).map("".join) | st.lists(WORDS, max_size=12).map(
    " ".join
)


@given(TEXTS)
def test_nothing_is_found_once_it_is_masked(text: str) -> None:
    once = masked(text, FORBIDDEN.find(text))
    assert FORBIDDEN.find(once) == []


@given(TEXTS)
def test_masking_words_brings_no_personal_data_to_light(text: str) -> None:
    once = masked(text, find_personal_data(text))
    twice = masked(once, FORBIDDEN.find(once))
    assert find_personal_data(twice) == []


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1, max_size=8))
def test_case_and_form_do_not_matter(word: str) -> None:
    forbidden = ForbiddenWords([word])
    for form in (
        word,
        word.casefold(),
        unicodedata.normalize("NFD", word),
        unicodedata.normalize("NFC", word),
    ):
        if is_word(form):
            assert len(forbidden.find(f"say {form} now")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["damn ", "damn it ", "a", "\u0301", "[", "[e-mail", "déjà "])
def test_the_work_grows_with_the_text_and_no_faster(piece: str) -> None:
    def seconds(size: int) -> float:
        text = (piece * size)[:size]
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            FORBIDDEN.find(text)
            best = min(best, time.process_time() - began)
        return best

    assert seconds(160_000) < 24 * seconds(20_000) + 0.02
