"""Speech that goes on and on: text steadily, every sample once, no cut inside a word that has a dip beside it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from benchmarks.dictation import LONGEST_REST, STEADY, dictate
from benchmarks.instruments.words import words
from tests.transcription.speech import LevelVad, chunks, facts, segment, signal, started, utterances
from transcription.audio import AudioChunk, Samples
from transcription.settings import SegmenterSettings
from transcription.utterance.segmenter import (
    DIP,
    JOINT,
    WINDOW,
    EndReason,
    SegmenterEvent,
    SpeechPaused,
    UtteranceSegmenter,
)

LONG = 30 * WINDOW
LONGEST = 60 * WINDOW
SETTINGS = SegmenterSettings(
    silence_ms=640, pause_ms=160, preroll_ms=100, long_seconds=LONG / 16_000, max_seconds=LONGEST / 16_000
)


def heard(
    audio: Samples, *, end_on_silence: bool = False, settings: SegmenterSettings = SETTINGS
) -> list[SegmenterEvent]:
    segmenter = UtteranceSegmenter(LevelVad(), settings, end_on_silence=end_on_silence)
    return segment(segmenter, [AudioChunk(0, audio)])


def told(events: list[SegmenterEvent]) -> list[tuple[int, int, EndReason]]:
    return [(u.start // WINDOW, u.end // WINDOW, u.end_reason) for u in utterances(events)]


def spoken(*windows: int) -> Samples:
    """Speech and pauses in turns, each so many windows long."""
    return signal(*((number % 2 == 0, count * WINDOW) for number, count in enumerate(windows)))


# -- pauses


@pytest.mark.parametrize("end_on_silence", [True, False])
def test_long_speech_is_cut_in_the_middle_of_its_next_pause(*, end_on_silence: bool) -> None:
    events = heard(spoken(20, 7, 20, 7, 5), end_on_silence=end_on_silence)
    assert told(events) == [(0, 49, EndReason.PAUSE), (49, 59, EndReason.STOP)]
    assert started(events) == [0, 54 * WINDOW]


def test_short_speech_is_not_cut_in_its_pauses() -> None:
    assert told(heard(spoken(5, 10, 5))) == [(0, 20, EndReason.STOP)]


def test_a_dip_shorter_than_a_pause_does_not_end_long_speech() -> None:
    dip = JOINT // WINDOW - 1
    assert told(heard(spoken(32 - dip, dip, 5))) == [(0, 37, EndReason.STOP)]


@pytest.mark.parametrize(("speech", "pause"), [(24, 8), (32, 7), (44, 5), (55, 3)])
def test_the_longer_it_goes_on_the_shorter_a_pause_will_do(speech: int, pause: int) -> None:
    enough = heard(spoken(speech, pause, 1))
    too_short = heard(spoken(speech, pause - 1, 1))
    assert [u.end_reason for u in utterances(enough)] == [EndReason.PAUSE, EndReason.STOP]
    assert [u.end_reason for u in utterances(too_short)] == [EndReason.STOP]
    assert pause * WINDOW >= DIP


def test_the_silence_before_the_speech_does_not_make_it_long() -> None:
    audio = signal((False, 25 * WINDOW), (True, 10 * WINDOW), (False, 8 * WINDOW), (True, 5 * WINDOW))
    assert told(heard(audio)) == [(0, 48, EndReason.STOP)]


def test_the_text_that_was_begun_in_the_pause_fits() -> None:
    events = heard(spoken(40, 8, 5))
    [paused] = [event.so_far for event in events if isinstance(event, SpeechPaused)]
    first, _ = utterances(events)
    assert (paused.start, paused.speech_end) == (first.start, first.speech_end) == (0, 40 * WINDOW)


def test_text_comes_steadily_while_the_button_is_held() -> None:
    events = heard(spoken(*[20, 8] * 40))
    assert max(u.seconds for u in utterances(events)) < 1.2 * (20 + 8 + 20 + 8) * WINDOW / 16_000


# -- without a pause


@pytest.mark.parametrize("end_on_silence", [True, False])
def test_speech_without_a_pause_is_cut_in_its_longest_dip(*, end_on_silence: bool) -> None:
    events = heard(spoken(35, 1, 5, 3, 5, 1, 30), end_on_silence=end_on_silence)
    assert told(events)[0] == (0, 43, EndReason.MAX_LENGTH)
    assert started(events)[:2] == [0, 44 * WINDOW]


def test_a_dip_too_far_back_is_not_waited_for() -> None:
    events = heard(spoken(10, 5, 60))
    [first, *_] = utterances(events)
    assert first.end > LONGEST // 2


def test_speech_without_any_dip_is_cut_where_it_is_quietest() -> None:
    audio = spoken(90)
    audio[50 * WINDOW : 52 * WINDOW] //= 2
    assert told(heard(audio))[0] == (0, 51, EndReason.MAX_LENGTH)


def test_a_pause_that_was_told_stays_the_end() -> None:
    """Whoever began with the text in the pause shall be able to use it."""
    settings = SegmenterSettings(silence_ms=640, pause_ms=96, long_seconds=30, max_seconds=LONGEST / 16_000)
    events = heard(spoken(40, 7, 9, 4, 10), settings=settings)
    paused = [event.so_far.speech_end for event in events if isinstance(event, SpeechPaused)]
    first = utterances(events)[0]
    assert paused == [40 * WINDOW, 56 * WINDOW]
    assert (first.speech_end, first.end_reason) == (56 * WINDOW, EndReason.MAX_LENGTH)


# -- silence around the cuts


def test_a_button_held_on_in_silence_gives_no_more_than_was_said() -> None:
    events = heard(spoken(40, 300))
    assert told(events) == [(0, 43, EndReason.PAUSE)]


def test_a_button_held_in_silence_for_long_gives_one_utterance_without_speech_at_its_end() -> None:
    [u] = utterances(heard(signal((False, 300 * WINDOW))))
    assert (u.has_speech, u.end, u.end_reason) == (False, 300 * WINDOW, EndReason.STOP)


def test_a_whisper_behind_a_cut_is_heard() -> None:
    script = [0.9] * 40 + [0.0] * 10 + [0.3] * 5
    left = iter(script)
    segmenter = UtteranceSegmenter(lambda _: next(left), SETTINGS, end_on_silence=False)
    found = utterances(segment(segmenter, [AudioChunk(0, spoken(len(script)))]))
    assert [(u.has_speech, u.peak_probability) for u in found] == [(True, 0.9), (False, 0.3)]


def test_silence_behind_a_cut_is_no_utterance_and_still_the_next_ones_preroll() -> None:
    first, second = utterances(heard(spoken(40, 40, 5), end_on_silence=True))
    assert first.end == 43 * WINDOW
    assert second.start == 80 * WINDOW - 1600


def test_speech_late_in_a_long_silence_keeps_its_beginning() -> None:
    audio = signal((False, 58 * WINDOW), (True, 5 * WINDOW))
    [u] = utterances(heard(audio))
    assert u.has_speech
    assert u.start < 58 * WINDOW - 1600


def test_a_hole_too_long_to_conceal_is_told_even_without_speech_before_it() -> None:
    segmenter = UtteranceSegmenter(LevelVad(), SETTINGS, end_on_silence=False)
    hole = 2 * LONGEST
    stream = [AudioChunk(0, spoken(40, 20)), AudioChunk(60 * WINDOW + hole, spoken(5), hole)]
    first, second, third = utterances(segment(segmenter, stream))
    assert (first.end_reason, second.lost_samples, second.has_speech) == (EndReason.PAUSE, hole, False)
    assert third.start == 60 * WINDOW + hole


# -- properties


@examples(deadline=None)
@given(
    stretches=st.lists(st.tuples(st.booleans(), st.integers(1, 25_000)), max_size=20),
    cuts=st.lists(st.integers(1, 200_000), max_size=30),
    start=st.integers(0, 10**12),
    end_on_silence=st.booleans(),
)
def test_any_chunking_gives_the_same_and_every_loud_sample_once(
    stretches: list[tuple[bool, int]], cuts: list[int], start: int, *, end_on_silence: bool
) -> None:
    audio = signal(*stretches)
    pieces = list(chunks(audio, cuts, start))
    segmenter = UtteranceSegmenter(LevelVad(), SETTINGS, end_on_silence=end_on_silence)
    events, held = [], 0
    for chunk in pieces:
        needed = segmenter.needed_from
        events += segmenter.feed(chunk)
        assert segmenter.needed_from >= needed
        held = max(held, chunk.position + len(chunk.samples) - segmenter.needed_from)
    events += segmenter.finish(EndReason.STOP)
    at_once = segment(
        UtteranceSegmenter(LevelVad(), SETTINGS, end_on_silence=end_on_silence), [AudioChunk(start, audio)]
    )
    found = utterances(events)
    assert [facts(u) for u in found] == [facts(u) for u in utterances(at_once)]
    assert started(events) == started(at_once)
    assert held <= LONGEST + WINDOW
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert all(np.array_equal(u.samples, audio[u.start - start : u.end - start]) for u in found)
    assert all(len(u.samples) <= LONGEST and u.speech_end <= u.end for u in found)
    assert sum(u.has_speech for u in found) == len(started(events))
    loud = {i for i in range(0, len(audio), WINDOW) if np.abs(audio[i : i + WINDOW].astype(int)).max() > 3277}
    assert all(any(u.has_speech and u.start <= start + i < u.end for u in found) for i in loud)


@examples(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 80), st.integers(1, 12)), min_size=1, max_size=12), st.booleans())
def test_a_cut_is_in_a_dip_wherever_one_was_in_reach(
    speech: list[tuple[int, int]],
    end_on_silence: bool,  # noqa: FBT001
) -> None:
    audio = spoken(*(count for pair in speech for count in pair))
    quiet = [np.abs(audio[i : i + WINDOW].astype(int)).max() < 3277 for i in range(0, len(audio), WINDOW)]
    for u in utterances(heard(audio, end_on_silence=end_on_silence)):
        if u.end_reason in {EndReason.PAUSE, EndReason.MAX_LENGTH}:
            last = u.end // WINDOW
            in_reach = quiet[
                u.start // WINDOW + LONGEST // WINDOW // 2 + 1 : u.start // WINDOW + LONGEST // WINDOW - 1
            ]
            assert quiet[last - 1] or not any(in_reach)


# -- the real thing


@pytest.mark.slow
def test_two_minutes_of_dictation_give_every_word_once() -> None:
    done = dictate(120, STEADY)
    said, heard_ = (words(" ".join(texts)) for texts in (done.said, done.heard))
    errors, alone = done.errors_percent()
    assert done.torn == 0, "a sample was lost or doubled"
    assert done.rest_seconds <= LONGEST_REST
    assert max(done.lengths) <= STEADY.max_seconds
    assert abs(len(said) - len(heard_)) <= 0.02 * len(said)
    assert errors - alone <= 2.0
