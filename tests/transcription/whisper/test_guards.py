"""What makes a result doubtful, and which of two is taken."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcription.whisper.guards import (
    MOST_TOKENS,
    Doubt,
    Hypothesis,
    better,
    doubts,
    has_echo,
    has_loop,
    is_invented,
    is_said_twice,
    token_limit,
)

PLAIN = Hypothesis("turn on the light", (1, 2, 3, 4), -0.1, 0.01, "en", 200)
LOOPING = Hypothesis("go " * 8, (5,) * 8, -0.05, 0.01, "en", 200)
NOTHING = Hypothesis("", (), 0.0, 0.9, "en", 200)

TOKENS = st.lists(st.integers(0, 3), max_size=40).map(tuple)


# -- doubts


def test_a_plain_result_is_believed() -> None:
    assert doubts(PLAIN) == set()


@pytest.mark.parametrize(
    ("hypothesis", "doubt"),
    [
        (replace(PLAIN, cut=True), Doubt.ENDLESS),
        (LOOPING, Doubt.LOOP),
        (replace(PLAIN, tokens=(1, 2, 3, 4, 5, 1, 2, 3, 4, 5)), Doubt.TWICE),
        (replace(PLAIN, text="turn on the light. " * 12), Doubt.COMPRESSIBLE),
        (replace(PLAIN, log_probability=-1.01), Doubt.UNLIKELY),
        (replace(PLAIN, echo=True), Doubt.ECHO),
    ],
)
def test_each_reason_to_doubt(hypothesis: Hypothesis, doubt: Doubt) -> None:
    assert doubts(hypothesis) == {doubt}


def test_what_just_passes() -> None:
    assert doubts(replace(PLAIN, log_probability=-1.0, no_speech_probability=0.5)) == set()


@pytest.mark.parametrize(
    ("no_speech", "log_probability", "is_silence"),
    [(0.51, -0.7, True), (0.5, -0.7, False), (0.51, -0.69, False), (0.99, -0.2, False), (0.0, -5.0, False)],
)
def test_silence_is_what_the_model_calls_so_when_its_words_are_unlikely(
    no_speech: float,
    log_probability: float,
    is_silence: bool,  # noqa: FBT001
) -> None:
    heard = replace(PLAIN, no_speech_probability=no_speech, log_probability=log_probability, cut=True)
    assert heard.is_silence == is_silence
    assert (doubts(heard) == set()) == is_silence
    assert (heard.confidence == 0) == is_silence


def test_a_puff_of_wind_is_silence_and_a_short_word_is_not() -> None:
    """What the bundled model makes of them, in the full context."""
    puff = replace(
        PLAIN, text="nine", tokens=(9,), no_speech_probability=0.552, log_probability=math.log(0.391)
    )
    word = replace(
        PLAIN, text="stop", tokens=(7,), no_speech_probability=0.01, log_probability=math.log(0.391)
    )
    assert puff.is_silence
    assert not word.is_silence


THANKS = replace(PLAIN, text="Thank you.", tokens=(7, 8), log_probability=-0.28, no_speech_probability=0.85)
WHISPER = replace(PLAIN, log_probability=-0.3, no_speech_probability=0.2)


@pytest.mark.parametrize(
    ("hypothesis", "voiced", "voice", "invented"),
    [
        (THANKS, True, 0.78, True),  # tiny.en, in music
        (THANKS, True, 0.99, False),  # what somebody may have said, near a radio
        (WHISPER, False, 0.4, False),
        (WHISPER, True, 0.6, False),
        (replace(WHISPER, log_probability=-0.91), False, 0.31, True),
        (replace(WHISPER, log_probability=-0.91), True, 0.6, False),
        (replace(WHISPER, cut=True), False, 0.4, True),
    ],
)
def test_words_are_invented_where_neither_voice_activity_nor_the_model_is_sure(
    hypothesis: Hypothesis,
    voiced: bool,  # noqa: FBT001
    voice: float,
    invented: bool,  # noqa: FBT001
) -> None:
    assert is_invented(hypothesis, voiced=voiced, voice=voice) == invented


def test_no_words_are_silence_and_leave_no_doubt() -> None:
    assert NOTHING.is_silence
    assert doubts(NOTHING) == set()
    assert NOTHING.confidence == 0


def test_confidence_is_a_probability() -> None:
    assert PLAIN.confidence == pytest.approx(math.exp(-0.1))
    assert replace(PLAIN, log_probability=1e-7).confidence == 1.0


# -- loops

SPOKEN = ["", "six", "six six six", "five five five five five", "no no", "one two one two", "a b c a b c d"]
LOOPED = ["go go go go go go", "one two one two one two", "x one two one two one two", "a b c a b c a b c",
          "a b c d a b c d a b c d a b", "well and then and then and then so"]  # fmt: skip


def words(text: str) -> tuple[int, ...]:
    return tuple(sum(map(ord, word)) for word in text.split())


@pytest.mark.parametrize("text", SPOKEN)
def test_what_people_say_is_no_loop(text: str) -> None:
    assert not has_loop(words(text))


@pytest.mark.parametrize("text", LOOPED)
def test_what_models_say_is_one(text: str) -> None:
    assert has_loop(words(text))


ONCE = [*SPOKEN, "it was the best of times it was the worst of times", "one two three one two three",
        "turn on the light turn off the light"]  # fmt: skip
TWICE = ["press one to enter press one to enter", "a b c d a b c d", "four queen of clubs four queen of clubs so",
         "to increase your volume to others , you increase your volume to others ."]  # fmt: skip
"""What stock weights make, in a context of 768 frames, of what was said once."""


@pytest.mark.parametrize(
    ("text", "twice"), [*((one, False) for one in ONCE), *((one, True) for one in TWICE)]
)
def test_a_sentence_is_said_twice_when_nearly_all_of_it_comes_again(text: str, twice: bool) -> None:  # noqa: FBT001
    assert is_said_twice(words(text)) == twice
    assert not has_loop(words(text))


def slow_has_loop(tokens: tuple[int, ...]) -> bool:
    """The definition, word by word."""
    return any(
        tokens[start : start + rounds * size] == rounds * tokens[start : start + size]
        for size in range(1, len(tokens) + 1)
        for rounds in range(3, len(tokens) // size + 1)
        for start in range(len(tokens) - rounds * size + 1)
        if rounds * size >= 6
    )


@given(TOKENS)
def test_a_loop_is_what_the_definition_says(tokens: tuple[int, ...]) -> None:
    assert has_loop(tokens) == slow_has_loop(tokens)


@given(TOKENS, st.lists(st.integers(0, 3), min_size=1, max_size=9).map(tuple), TOKENS)
def test_a_loop_is_found_wherever_it_is(
    before: tuple[int, ...], turn: tuple[int, ...], after: tuple[int, ...]
) -> None:
    assert has_loop(before + 6 * turn + after)


# -- the limit


def test_the_limit_follows_the_length() -> None:
    short = [token_limit(seconds, generous=False) for seconds in (0, 1, 2.51, 27, 30)]
    full = [token_limit(seconds, generous=True) for seconds in (0, 1, 2.51, 27, 30)]
    assert short == [8, 16, 29, 224, 224]
    assert full == [24, 48, 87, 224, 224]


@given(st.floats(0, 30), st.booleans())
def test_the_limit_is_within_whispers_own(seconds: float, generous: bool) -> None:  # noqa: FBT001
    assert 8 <= token_limit(seconds, generous=generous) <= MOST_TOKENS


# -- which of two


def test_the_less_doubtful_one_is_better_however_sure_the_other_is() -> None:
    assert better(LOOPING, PLAIN) is PLAIN
    assert better(PLAIN, LOOPING) is PLAIN
    assert better(replace(PLAIN, cut=True, log_probability=-2.0), LOOPING) is LOOPING


def test_among_equals_the_likelier_then_the_second() -> None:
    likelier, twin = replace(PLAIN, log_probability=-0.05), replace(PLAIN, frames=3000)
    assert better(PLAIN, likelier) is likelier
    assert better(likelier, PLAIN) is likelier
    assert better(PLAIN, twin) is twin


def test_silence_in_the_second_look_is_better_than_a_doubtful_text() -> None:
    assert better(LOOPING, NOTHING) is NOTHING


# -- echoes


@pytest.mark.parametrize(
    ("text", "prompt", "echo"),
    [
        ("Turn on the light.", "please turn on, the light now", True),
        ("turn on the light", "turn on the lights", False),
        ("garage door", "garage door", False),
        ("turn on the kitchen light", "turn on the light", False),
        ("", "", False),
        ("turn on the light", " ", False),
        ("... ... ... ...", "... ... ... ...", False),
    ],
)
def test_an_echo_says_nothing_but_the_prompt(text: str, prompt: str, echo: bool) -> None:  # noqa: FBT001
    assert has_echo(text, prompt) == echo


@given(st.text(max_size=30), st.text(max_size=60))
def test_any_text_has_an_echo_or_none(text: str, prompt: str) -> None:
    assert not has_echo(text, "")
    assert has_echo(text, f"{prompt} {text}") >= has_echo(text, text)
