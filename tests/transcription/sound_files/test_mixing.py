"""Many channels into one: all of them heard, as loud as the loudest, never against each other."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transcription.sound_files.mixing import Mixer, Mono, Planes

RATE = 16_000
TIMES = np.arange(2 * RATE) / RATE
VOICE = (0.3 * np.sin(2 * np.pi * 210 * TIMES) * np.sin(2 * np.pi * 1.3 * TIMES)).astype(np.float32)
OTHER = (0.2 * np.sin(2 * np.pi * 570 * TIMES) * np.sin(2 * np.pi * 0.7 * TIMES)).astype(np.float32)
QUIET = np.zeros_like(VOICE)
HUM = (0.2 * np.sin(2 * np.pi * 50 * TIMES)).astype(np.float32)
HISS = np.random.default_rng(1).normal(0, 0.001, (2, len(VOICE))).astype(np.float32)


def mixed(*channels: Planes | Mono, pieces: int = 1_000) -> Mono:
    planes = np.stack(channels)
    mixer = Mixer(len(channels), RATE)
    parts = [mixer.mixed(planes[:, at : at + pieces]) for at in range(0, planes.shape[1], pieces)]
    return np.concatenate([*parts, mixer.rest()])


def level(samples: Mono) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def likeness(one: Mono, other: Mono) -> float:
    return float(abs(np.corrcoef(one, other)[0, 1]))


@pytest.mark.parametrize(
    "channels",
    [
        [VOICE], [VOICE, VOICE],
        [VOICE, QUIET], [QUIET, VOICE], [VOICE, -VOICE], [-VOICE, VOICE], [VOICE, -0.5 * VOICE],
        [QUIET, QUIET, VOICE], [VOICE, -VOICE, -VOICE], [VOICE, -VOICE, VOICE, -VOICE],
        *([QUIET] * at + [VOICE] + [QUIET] * (7 - at) for at in range(8)),
        [VOICE + HISS[0], -VOICE + HISS[1]], [VOICE + 0.1, -VOICE + 0.1],
    ],
    ids=range(20),
)  # fmt: skip
def test_one_voice_comes_out_as_it_was_on_whichever_channels(channels: list[Mono]) -> None:
    heard = mixed(*channels)
    assert len(heard) == len(VOICE)
    assert likeness(heard, VOICE) > 0.99
    assert level(heard - heard.mean()) == pytest.approx(level(VOICE), rel=0.05)


def test_two_voices_on_two_channels_are_both_heard() -> None:
    heard = mixed(np.concatenate([VOICE, QUIET]), np.concatenate([QUIET, 0.1 * OTHER]))
    assert likeness(heard[: len(VOICE)], VOICE) > 0.99
    assert level(heard[len(VOICE) :]) == pytest.approx(level(0.1 * OTHER), rel=0.05)


def test_hum_that_is_the_same_on_both_does_not_hide_that_a_voice_is_inverted() -> None:
    heard = mixed(VOICE + HUM, -VOICE + HUM)
    assert likeness(heard, VOICE) > 0.95


def test_wires_that_are_changed_on_the_way_are_noticed() -> None:
    heard = mixed(np.concatenate([VOICE] * 4), np.concatenate([VOICE, VOICE, -VOICE, VOICE]))
    assert level(heard[2 * len(VOICE) :]) == pytest.approx(level(VOICE), rel=0.1)


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_it_holds_back_a_tenth_of_a_second_at_most(rate: int) -> None:
    mixer, given_, got = Mixer(2, rate), 0, 0
    for _ in range(50):
        piece = np.ones((2, random.Random(rate).randrange(1, 5_000)), np.float32)
        given_ += piece.shape[1]
        got += len(mixer.mixed(piece))
        assert given_ - got < 0.1 * rate + 1
    assert got + len(mixer.rest()) == given_


@given(st.integers(2, 8), st.integers(0, 2**32 - 1), st.integers(1, 7_000))
@settings(max_examples=40, deadline=None)
def test_nothing_gets_louder_than_the_loudest_channel(channels: int, seed: int, pieces: int) -> None:
    rng = np.random.default_rng(seed)
    planes = rng.uniform(-1, 1, (channels, 5_000)).astype(np.float32) * rng.uniform(0, 1, (channels, 1))
    heard = mixed(*planes.astype(np.float32), pieces=pieces)
    assert heard.shape == (5_000,)
    assert np.isfinite(heard).all()
    assert np.abs(heard).max() <= 2 * np.abs(planes).max(), "where one weighting goes over into the next"


def test_silence_stays_silence() -> None:
    assert not mixed(QUIET, QUIET, QUIET).any()
