"""The yardstick of [wer]: word errors, and the clips it listens to."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.instruments.paired import difference
from benchmarks.instruments.words import spoken, word_errors, words
from benchmarks.load.clips import in_noise, noises
from benchmarks.load.synthesized import synthesized

WORDS = st.lists(st.sampled_from(["one", "two", "three"]), max_size=8)


@pytest.mark.parametrize(
    ("expected", "heard", "errors"),
    [
        ("", "", 0),
        ("turn on the light", "turn on the light", 0),
        ("turn on the light", "turn off the light", 1),
        ("turn on the light", "turn on light", 1),
        ("turn on the light", "turn on on the light", 1),
        ("turn on the light", "", 4),
        ("", "thank you", 2),
        ("six six", "six six six six", 2),
        ("a b c", "b c d", 2),
    ],
)
def test_errors_are_words_changed_left_out_or_added(expected: str, heard: str, errors: int) -> None:
    assert word_errors(words(expected), words(heard)) == errors


@given(WORDS, WORDS, WORDS)
def test_errors_are_a_distance(a: list[str], b: list[str], c: list[str]) -> None:
    assert word_errors(a, b) == word_errors(b, a)
    assert (word_errors(a, b) == 0) == (a == b)
    assert abs(len(a) - len(b)) <= word_errors(a, b) <= max(len(a), len(b))
    assert word_errors(a, c) <= word_errors(a, b) + word_errors(b, c)


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert words(" Turn on the light, please. It's 10!") == [
        "turn",
        "on",
        "the",
        "light",
        "please",
        "it's",
        "10",
    ]


def test_the_noises_are_the_same_every_time_and_as_loud_as_meant() -> None:
    once, again = list(noises()), list(noises())
    assert len(once) == 4 * 7 * 3
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert {len(noise) for noise in once} == {4_800, 16_000, 48_000, 160_000}
    assert max(np.abs(noise).max() for noise in once) == 15_000


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")
def test_synthesized_speech_is_the_same_every_time_and_full_of_voice() -> None:
    once, again = ([next(made) for _ in range(3)] for made in (synthesized(), synthesized()))
    for (text, samples), (_, twin) in zip(once, again, strict=True):
        assert np.array_equal(samples, twin), text
        assert 8_000 < len(samples) < 80_000
        assert np.abs(samples.astype(int)).max() > 3_000


def test_without_espeak_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert list(synthesized()) == []


def test_noise_is_as_far_below_the_speech_as_asked() -> None:
    speech = (10_000 * np.sin(np.arange(16_000))).astype(np.int16)
    noise = in_noise(speech, 20, np.random.default_rng(0)).astype(float) - speech
    assert 20 * np.log10(speech.std() / noise.std()) == pytest.approx(20, abs=0.3)


@pytest.mark.parametrize(
    ("language", "one", "same"),
    [
        ("en", "Press 1, or the pound-key!", "press one or the pound key"),
        ("en", "M I S D N, or A.B. what?", "misdn or ab what"),
        ("en", "M-I-S-D-N or AB what", "misdn or ab what"),
        ("en", "Is a plan a plan? I'm", "is a plan a plan i'm"),
        ("es", "Autenticación: marque el 2.", "autenticacion marque el dos"),
        ("fr", "Numéro d\N{RIGHT SINGLE QUOTATION MARK}agent : 0", "numero d'agent zéro"),
        ("ru", "Нажмите решётку ещё 3 раза.", "нажмите решетку еще три раза"),
    ],
)
def test_speech_is_compared_without_accents_and_with_small_numbers_in_words(
    language: str, one: str, same: str
) -> None:
    assert spoken(one, language) == spoken(same, language)
    assert len(spoken(one, language)) == len(same.split())


def test_the_interval_of_a_difference_holds_it_and_shrinks_with_more_clips() -> None:
    rng = np.random.default_rng(1)
    errors, others = rng.integers(0, 3, 400), rng.integers(0, 3, 400)
    few = difference(errors[:40], others[:40], [8] * 40)
    many = difference(errors, others, [8] * 400)
    assert few.low < few.points < few.high
    assert many.high - many.low < (few.high - few.low) / 2
    alike = difference(others, others, [8] * 400)
    assert (alike.low, alike.points, alike.high) == (0, 0, 0)
    assert str(difference([2, 1], [1, 1], [50, 50])) == "+1.00 (+0.00 to +2.00)"
