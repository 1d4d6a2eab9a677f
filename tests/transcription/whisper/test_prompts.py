"""What the model reads first, with the real tokenizer of the bundled model."""

from __future__ import annotations

from typing import Any

import pytest
import tokenizers
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from transcription.models.models import BUNDLED
from transcription.whisper.prompts import MOST_TOKENS, POSITIONS, listed, start_tokens, told_names


def _tokenizer() -> Any:
    return Tokenizer(
        tokenizers.Tokenizer.from_file(str(BUNDLED / "tokenizer.json")), multilingual=False, language="en"
    )


TOKENIZER = _tokenizer()
TASK = [*TOKENIZER.sot_sequence, TOKENIZER.no_timestamps]


def words(text: str) -> list[int]:
    tokens: list[int] = TOKENIZER.encode(f" {text}")
    return tokens


@pytest.mark.parametrize(("prompt", "hotwords"), [("", ""), (" \n", "\t ")])
def test_without_hints_the_model_is_shown_no_past(prompt: str, hotwords: str) -> None:
    assert start_tokens(TOKENIZER, prompt, hotwords) == TASK


@pytest.mark.parametrize(
    ("prompt", "hotwords", "before"),
    [
        ("turn on", "", words("turn on")),
        ("", "garage door", words("garage door")),
        (" turn on\n", "garage", [*words("garage"), *words("turn on")]),
    ],
)
def test_hotwords_then_prompt_then_the_task(prompt: str, hotwords: str, before: list[int]) -> None:
    assert start_tokens(TOKENIZER, prompt, hotwords) == [TOKENIZER.sot_prev, *before, *TASK]


def test_it_is_built_as_faster_whisper_builds_it() -> None:
    model = WhisperModel(str(BUNDLED))
    theirs = model.get_prompt(TOKENIZER, words("turn on"), without_timestamps=True, hotwords="garage")
    assert start_tokens(TOKENIZER, "turn on", "garage") == theirs


def test_of_a_long_prompt_the_end_is_read_and_of_many_hotwords_the_beginning() -> None:
    [one], [two] = words("one"), words("two")
    long = "one " * 10 + "two " * MOST_TOKENS
    assert start_tokens(TOKENIZER, long, "")[1 : -len(TASK)] == [two] * MOST_TOKENS
    assert start_tokens(TOKENIZER, "", "one " * 100 + "two " * 200)[1:-2] == [one] * 100 + [two] * 123
    assert start_tokens(TOKENIZER, "two " * 300, "one " * 3)[1:-2] == [one] * 3 + [two] * 220
    assert two not in start_tokens(TOKENIZER, "two", "one " * 300)


TEXT = st.text(max_size=300) | st.lists(
    st.sampled_from(["<|endoftext|>", "<|startoftranscript|>", "<|0.00|>", "one", "ß", "🎤"]), max_size=300
).map(" ".join)


@settings(deadline=None)
@given(prompt=TEXT, hotwords=TEXT)
def test_no_text_is_too_long_or_spells_a_special_token(prompt: str, hotwords: str) -> None:
    tokens = start_tokens(TOKENIZER, prompt, hotwords)
    assert tokens[-len(TASK) :] == TASK
    before = tokens[: -len(TASK)]
    assert not before or before[0] == TOKENIZER.sot_prev
    assert len(before) <= 1 + MOST_TOKENS < POSITIONS / 2 + 1
    assert all(token < TOKENIZER.eot for token in before[1:])


NAMES = st.lists(st.text(max_size=12), max_size=60).map(tuple)


def test_names_stand_behind_hotwords_as_a_list_that_has_ended() -> None:
    tokens = start_tokens(TOKENIZER, "turn on", "garage", names=("kitchen", "garden door"))
    read = [*words("garage"), *words("kitchen, garden door."), *words("turn on")]
    assert tokens == [TOKENIZER.sot_prev, *read, *TASK]


@given(NAMES, st.integers(0, 100))
@settings(max_examples=50, deadline=None)
def test_as_many_names_as_are_worth_the_tokens_and_not_one_more(names: tuple[str, ...], most: int) -> None:
    told = told_names(TOKENIZER, names, most)
    assert told == names[: len(told)]
    assert not told or len(words(listed(told))) <= most
    assert told == names or len(words(listed(names[: len(told) + 1]))) > most


def test_a_conversations_own_words_come_before_the_names_of_the_house() -> None:
    one = words("one")
    full = start_tokens(TOKENIZER, "", "one " * MOST_TOKENS, names=("kitchen",))
    assert full[1 : -len(TASK)] == one * MOST_TOKENS
    nearly = start_tokens(TOKENIZER, "", "one " * (MOST_TOKENS - 2), names=("kitchen", "garden"))
    assert nearly[1 : -len(TASK)] == [*one * (MOST_TOKENS - 2), *words("kitchen.")]
