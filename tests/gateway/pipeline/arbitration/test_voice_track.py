"""How a stream sounds and when that was, and whether two streams have heard one voice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pipeline.arbitration.likeness import ALIKE, UNKNOWN, likeness
from gateway.pipeline.arbitration.voice_track import (
    BANDS,
    HOP,
    KEPT_FRAMES,
    MOST_FRAMES,
    QUIETEST,
    WINDOW,
    VoiceTrack,
)
from tests.gateway.pipeline.arbitration.voices import spoken, syllables
from transcription.audio import SAMPLE_RATE, Samples


def heard(samples: Samples, cuts: list[int] | None = None, start: int = 0) -> VoiceTrack:
    track = VoiceTrack()
    position = start
    for piece in np.split(samples, sorted(cuts or [])):
        track.hear(position, piece, 100 + (position + len(piece)) / SAMPLE_RATE)
        position += len(piece)
    return track


@pytest.mark.slow
@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 16_000), max_size=20))
def test_it_is_the_same_however_the_audio_is_cut(cuts: list[int]) -> None:
    samples = syllables(1)
    whole, pieces = heard(samples), heard(samples, cuts)
    assert pieces.heard_to == whole.heard_to
    first, frames = pieces.between(0, len(samples))
    assert first == 0
    np.testing.assert_allclose(frames, whole.between(0, len(samples))[1], rtol=1e-4, atol=1e-9)


def test_it_is_bounded_and_the_last_of_it_is_kept() -> None:
    track = VoiceTrack()
    piece = syllables(1, 0.5)
    for number in range(200):
        track.hear(number * len(piece), piece, 100 + number / 2)
    end = 200 * len(piece)
    first, frames = track.between(0, end)
    assert KEPT_FRAMES <= len(frames) <= KEPT_FRAMES + MOST_FRAMES
    assert first + (len(frames) - 1) * HOP + WINDOW <= end < first + (len(frames) + 1) * HOP + WINDOW


def test_a_hole_is_silence_and_a_long_one_a_new_beginning() -> None:
    track = VoiceTrack()
    track.hear(0, syllables(1), 101)
    track.hear(2 * SAMPLE_RATE, syllables(2), 103)
    _, frames = track.between(SAMPLE_RATE + WINDOW, 2 * SAMPLE_RATE - WINDOW)
    assert len(frames) > 50
    assert not frames.any()
    track.hear(1_000 * SAMPLE_RATE, syllables(3), 1_101)
    assert track.between(0, 1_001 * SAMPLE_RATE)[0] == 1_000 * SAMPLE_RATE


def test_levels_are_those_of_the_room() -> None:
    tone = (
        32_767 * np.sqrt(2) * 0.05 * np.sin(2 * np.pi * 1_000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    ).astype(np.int16)
    track = heard(np.concatenate((tone // 100, tone)))
    assert track.level(SAMPLE_RATE, 2 * SAMPLE_RATE) == pytest.approx(-26, abs=0.3)
    assert track.noise() == pytest.approx(-66, abs=1.5)
    assert heard(np.zeros(SAMPLE_RATE, np.int16)).noise() == QUIETEST
    assert VoiceTrack().noise() == QUIETEST
    assert VoiceTrack().level(0, 100) == -96


@pytest.mark.slow
@settings(max_examples=20)
@given(delays=st.lists(st.floats(0, 3), min_size=5, max_size=40))
def test_audio_that_is_late_is_where_it_belongs_if_any_of_it_came_in_time(delays: list[float]) -> None:
    track, now = VoiceTrack(), 0.0
    for number, delay in enumerate([0.0, *delays], 1):
        now = max(now, 50 + number / 10 + delay)
        track.place(number * 1_600, now)
        assert track.when(0) == pytest.approx(50, abs=0.004)


def test_a_clock_that_is_slow_makes_no_late_audio() -> None:
    track = VoiceTrack()
    for second in range(1, 24 * 3_600, 10):  # 300 ppm: 26 s in a day
        track.place(second * SAMPLE_RATE, second * 1.0003)
    assert track.when(second * SAMPLE_RATE) == pytest.approx(second * 1.0003, abs=0.01)


@pytest.mark.slow
@settings(max_examples=8)
@given(seed=st.integers(0, 300), late=st.floats(0, 0.4), db=st.floats(-12, 3), wrong=st.floats(-0.05, 0.05))
def test_one_voice_is_found_at_its_delay(seed: int, late: float, db: float, wrong: float) -> None:
    one, other = heard(spoken(seed)), heard(spoken(seed, db=db, before=1.0 + late))
    ours, theirs = (each.between(12_000, 40_000 + 8_000)[1] for each in (one, other))
    found = likeness(ours, theirs, wrong, 0.5)
    assert found.is_one_voice
    assert found.lag == pytest.approx(late + wrong, abs=0.02)


@pytest.mark.slow
@settings(max_examples=8)
@given(seeds=st.lists(st.integers(0, 300), min_size=2, max_size=2, unique=True))
def test_two_voices_are_not_alike(seeds: list[int]) -> None:
    ours, theirs = (heard(spoken(seed, seconds=2)).between(12_000, 52_000)[1] for seed in seeds)
    assert likeness(ours, theirs, 0.0, 0.5).score < ALIKE


@pytest.mark.parametrize("frames", [0, 10, 23])
def test_of_too_little_nothing_is_said(frames: int) -> None:
    some = np.ones((frames, BANDS), np.float32)
    assert likeness(some, np.ones((100, BANDS), np.float32), 0, 0.5) is UNKNOWN
    assert likeness(np.ones((60, BANDS), np.float32), some, 0, 0.5) is UNKNOWN


def test_what_does_not_change_is_like_nothing() -> None:
    same = np.ones((60, BANDS), np.float32)
    assert likeness(same, same, 0, 0.5).score == 0
