"""The bundled model, asked about the names that are near: what it weighs, what it says, and how often it is asked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.transcription.speech import TEXTS, recording
from transcription.audio import to_float32
from transcription.models.models import BUNDLED
from transcription.settings import TranscriptionSettings
from transcription.whisper import naming
from transcription.whisper.computing import place
from transcription.whisper.context import context_frames
from transcription.whisper.decoding import Take, WhisperDecoder
from transcription.whisper.prompts import MOST_TOKENS, POSITIONS

SAID = ("u05", "u06", "u34")


@pytest.fixture(scope="module")
def decoder() -> WhisperDecoder:
    return WhisperDecoder(BUNDLED, place(TranscriptionSettings()), beam_size=1, threads=1)


def take(decoder: WhisperDecoder, name: str, *names: str, prompt: str = "") -> Take:
    features = decoder.features(to_float32(recording(name)))
    frames = context_frames(features.shape[1], floor=300, mels=decoder.mels)
    return Take(features, frames, 60, "en", prompt=prompt, names=names)


@pytest.mark.parametrize("name", SAID)
def test_what_was_said_weighs_more_than_anything_else(decoder: WhisperDecoder, name: str) -> None:
    one = take(decoder, name)
    encoded = decoder._encode([one])
    own = decoder.weigh(one, encoded, decoder.tokens(one, TEXTS[name]))
    assert all(each <= 0 for each in own)
    assert sum(own) > math.log(0.5)
    for other in set(SAID) - {name}:
        assert (
            sum(decoder.weigh(one, encoded, decoder.tokens(one, TEXTS[other]))) < sum(own) - naming.HEAD_START
        )


def test_each_token_is_weighed(decoder: WhisperDecoder) -> None:
    one = take(decoder, "u05")
    encoded = decoder._encode([one])
    tokens = decoder.tokens(one, TEXTS["u05"])
    assert len(decoder.weigh(one, encoded, tokens)) == len(tokens)
    wrong = [*tokens[:-1], tokens[0]]
    weights = decoder.weigh(one, encoded, wrong)
    assert weights[-1] == min(weights)


@pytest.mark.parametrize("count", [1, 20, POSITIONS - 3, POSITIONS, 2 * POSITIONS])
def test_more_tokens_than_there_is_room_for_are_less_likely_than_any(
    decoder: WhisperDecoder, count: int
) -> None:
    """Nothing is cut off, for then it would weigh as little as what is left of it."""
    one = take(decoder, "u05", prompt="one " * MOST_TOKENS)
    [token, *_] = decoder.tokens(one, TEXTS["u05"])
    weights = decoder.weigh(one, decoder._encode([one]), [token] * count)
    fits = count + MOST_TOKENS + 10 < POSITIONS
    assert len(weights) == count
    assert all(math.isfinite(each) == fits for each in weights)


@pytest.mark.parametrize("name", SAID)
def test_told_of_no_names_it_says_what_it_said(decoder: WhisperDecoder, name: str) -> None:
    one = take(decoder, name)
    assert decoder.say_told(one, decoder._encode([one])) == TEXTS[name] == decoder.decode(one).text


def test_what_it_says_is_bounded_behind_a_long_prompt_and_many_names(decoder: WhisperDecoder) -> None:
    one = take(decoder, "u05", *(f"name{number}" for number in range(200)), prompt="one " * MOST_TOKENS)
    said = decoder.say_told(replace(one, most_tokens=3), decoder._encode([one]))
    assert len(decoder.tokens(one, said)) <= 3


def test_a_row_of_what_was_encoded_together_is_that_ones_own(decoder: WhisperDecoder) -> None:
    takes = [replace(take(decoder, name), frames=300) for name in SAID]
    together = decoder._encode(takes)
    for number, name in enumerate(SAID):
        row = decoder._of_one(takes, together, number)
        assert row.shape[0] == 1
        assert decoder.say_told(takes[number], row) == TEXTS[name]
        tokens = decoder.tokens(takes[number], TEXTS[name])
        alone = decoder.weigh(takes[number], decoder._encode([takes[number]]), tokens)
        assert decoder.weigh(takes[number], row, tokens) == pytest.approx(alone, abs=0.05)


def test_the_only_one_is_not_copied(decoder: WhisperDecoder) -> None:
    one = take(decoder, "u05")
    encoded = decoder._encode([one])
    assert decoder._of_one([one], encoded, 0) is encoded


@dataclass
class Counted:
    """A model that notes what it is asked."""

    model: Any
    asked: list[str]

    def generate(self, *args: Any, **options: Any) -> Any:
        self.asked.append("generate")
        return self.model.generate(*args, **options)

    def align(self, *args: Any, **options: Any) -> Any:
        self.asked.append("align")
        return self.model.align(*args, **options)

    def encode(self, *args: Any) -> Any:
        self.asked.append("encode")
        return self.model.encode(*args)


@pytest.fixture
def asked(decoder: WhisperDecoder) -> Iterator[list[str]]:
    counted = Counted(decoder._model, [])
    decoder._model = counted
    yield counted.asked
    decoder._model = counted.model


FAR = ("Xq", "Zzyzx")
NEAR = tuple(f"{word[:-1]}{letter}" for word in TEXTS["u05"].split() for letter in "qxz")


def test_where_no_name_is_near_it_costs_nothing(decoder: WhisperDecoder, asked: list[str]) -> None:
    decoder.decode(take(decoder, "u05", *FAR))
    with_them = list(asked)
    asked.clear()
    decoder.decode(take(decoder, "u05"))
    assert with_them == asked


def test_where_it_is_sure_one_look_says_so(decoder: WhisperDecoder, asked: list[str]) -> None:
    assert decoder.decode(take(decoder, "u05", *NEAR)).text == TEXTS["u05"]
    assert (asked.count("encode"), asked.count("align")) == (1, 1)


def test_where_it_is_unsure_of_all_the_looks_are_bounded(
    decoder: WhisperDecoder, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that weighs what was heard, one for each of six names, one that weighs what comes of it."""
    monkeypatch.setattr(naming, "_EVEN", math.inf)
    decoder.decode(take(decoder, "u05"))
    plain = asked.count("generate")
    asked.clear()
    decoder.decode(take(decoder, "u05", *NEAR))
    assert asked.count("encode") == 1
    assert asked.count("generate") == plain + 1
    assert 1 < asked.count("align") <= 8


def test_of_several_only_those_that_are_near_a_name_are_asked_again(
    decoder: WhisperDecoder, asked: list[str]
) -> None:
    lists = zip(SAID, (NEAR, FAR, ()), strict=True)
    several = [replace(take(decoder, name, *names), frames=300) for name, names in lists]
    said = decoder.decode_all(several)
    assert [one.text for one in said] == [TEXTS[name] for name in SAID]
    assert (asked.count("encode"), asked.count("align")) == (1, 1)
