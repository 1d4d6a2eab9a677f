"""Plain words of markdown and emoji: the same however the stream is cut, and nothing ordinary is lost."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agents.openai.plain_words import PlainWords


def plain(*pieces: str) -> str:
    words = PlainWords()
    return "".join([*(words.take(piece) for piece in pieces), words.end()])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("The light is on.", "The light is on."),
        ("The **kitchen** light is _on_, `ok`?", "The kitchen light is on, ok?"),
        ("# Menu\n\nToday:\n- soup\n* bread!\n+ tea", "Menu. Today: soup. bread! tea."),
        ("1. Heat it\n2. Eat it", "1. Heat it. 2. Eat it."),
        ("It is -5 degrees\n-5 to be exact", "It is -5 degrees -5 to be exact"),
        ("2*3=6, 2 * 3 = 6, snake_case and #5", "2*3=6, 2 * 3 = 6, snake_case and #5"),
        ("#5 is here", "#5 is here"),
        ("See [the page](http://x.test/a) or [1] ![a cat](c.png)!", "See the page or [1] a cat!"),
        ("Done 🎉. Hi 😀 there 👍🏽", "Done. Hi there"),
        ("👨‍👩‍👧 family, 1️⃣ one, 🇩🇪", "family, 1 one,"),
        ("```python\nprint(1)\n```\nSo.", "print(1) So."),
        ("---\nAbove\n***\nbelow", "Above below"),
        ("| a | b |\n|---|---|\n| 1 | 2 |\n", "a, b 1, 2"),
        ("> quoted", "quoted"),
        ("~5 minutes, ~~no~~ yes", "~5 minutes, no yes"),
        ("Wait!", "Wait!"),
        ("42", "42"),
        ("Es sind 21,5 °C — schön.", "Es sind 21,5 °C — schön."),
        ("क्‍ष", "क्‍ष"),
        ("***", ""),
        ("a [broken", "a [broken"),
        ("\n\n  Hello\n\n", "Hello"),
    ],
)
def test_what_is_said_of_what_is_written(written: str, said: str) -> None:
    assert plain(written) == said
    assert plain(*written) == said


TEXTS = st.text(st.sampled_from("ab 1.-*_#`~[]()!|>\n😀\u200d️é"), max_size=60)


@given(TEXTS, st.lists(st.integers(0, 60), max_size=6))
def test_it_is_the_same_wherever_it_is_cut(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[begin:end] for begin, end in pairwise(places)]
    assert plain(*pieces) == plain(text)


@given(TEXTS)
def test_no_letter_is_lost_and_no_line_is_left(text: str) -> None:
    said = plain(text)
    assert "\n" not in said
    assert "  " not in said
    if "](" not in text and "```" not in text and "~~~" not in text:
        assert re.sub(r"[^abé]", "", said) == re.sub(r"[^abé]", "", text)


def test_a_word_is_said_at_once_and_a_mark_when_it_is_clear() -> None:
    words = PlainWords()
    assert words.take("The") == "The"
    assert words.take(" **") == ""
    assert words.take("kitchen") == " kitchen"
    assert words.take("**") == ""
    assert words.take(" light") == " light"


def test_what_is_held_is_bounded() -> None:
    words = PlainWords()
    said = words.take("[" + "a" * 1_000)
    assert said.startswith("[aaa")
    assert len(words.take("x" * 10) + said) > 900
