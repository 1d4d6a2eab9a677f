"""A text without its wake word: as recognizers write it, and texts that only look like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcription.transcriber import Transcript, Word
from transcription.wake.unspoken import may_be, unspoken, without_wake_word


@pytest.mark.parametrize(
    ("phrase", "heard", "left"),
    [
        ("Okay Nabu", "okay nabu turn on the light", "turn on the light"),
        ("okay_nabu", "Okay, Nabu, turn on the light.", "Turn on the light."),
        ("Okay Nabu", "Okay, nah boo. Turn on the light.", "Turn on the light."),
        ("Okay Nabu", "OK Nabu turn on the light", "Turn on the light"),
        ("Okay Nabu", "Nabu, turn on the light.", "Turn on the light."),
        ("Okay Nabu", "okay nabu okay nabu stop", "stop"),
        ("Okay Nabu", "Okay Nabu.", ""),
        ("Hey Jarvis", "Hey Jarvis! What's the time?", "What's the time?"),
        ("alexa", "Alexa, open the window", "Open the window"),
        ("hi esp", "Hi, ESP: lights", "Lights"),
        ("", "turn on the light", "turn on the light"),
        ("...", "turn on the light", "turn on the light"),
    ],
)
def test_the_wake_word_is_not_in_the_text(phrase: str, heard: str, left: str) -> None:
    assert unspoken(heard, phrase) == left


@pytest.mark.parametrize(
    ("phrase", "heard"),
    [
        ("Okay Nabu", "okay turn on the light"),
        ("Okay Nabu", "okay now turn on the light"),
        ("Okay Nabu", "turn on the light okay nabu"),
        ("Okay Nabu", "  turn on the light"),
        ("Hey Jarvis", "hey you"),
        ("alexa", "a letter for you"),
        ("alexa", ""),
        ("alexa", "..."),
    ],
)
def test_what_is_none_stays(phrase: str, heard: str) -> None:
    assert unspoken(heard, phrase) == heard


@given(st.text(max_size=60), st.text(max_size=40))
def test_whatever_is_said_what_is_left_is_its_end(heard: str, phrase: str) -> None:
    left = unspoken(heard, phrase)
    assert left == heard or heard.casefold().endswith(left.casefold())


def test_its_words_and_their_times_are_left_out_too() -> None:
    words = tuple(
        Word(word, at, at + 0.2, 0.9) for at, word in enumerate(("Okay,", "Nabu.", "Lights", "on!"))
    )
    transcript = Transcript("Okay, Nabu. Lights on!", "en", 0.9, 0.0, (), "e", "m", 0.1, words=words)
    stripped = without_wake_word(transcript, "okay nabu")
    assert (stripped.text, stripped.words) == ("Lights on!", words[2:])
    assert without_wake_word(stripped, "okay nabu") is stripped


@pytest.mark.parametrize(
    ("text", "is_it"),
    [("", True), ("Okay", True), ("okay, na", True), ("okay nabu", True), ("okay nabu on", False)],
)
def test_what_may_become_the_wake_word_is_not_shown_yet(text: str, *, is_it: bool) -> None:
    assert may_be(text, "Okay Nabu") is is_it
