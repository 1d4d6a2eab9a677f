"""Audio into utterances, in audio time: endings, pre-roll, cuts, holes, and any chunking."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.transcription.speech import (
    LevelVad,
    chunks,
    facts,
    segment,
    signal,
    started,
    utterances,
)
from transcription.audio import AudioChunk, Samples
from transcription.settings import SegmenterSettings
from transcription.utterance.segmenter import (
    WINDOW,
    EndReason,
    SegmenterEvent,
    SpeechGoesOn,
    SpeechPaused,
    SpeechResumed,
    Utterance,
    UtteranceSegmenter,
)

SETTINGS = SegmenterSettings(silence_ms=160, preroll_ms=100, max_seconds=1.2)
SILENCE = 2560
PREROLL = 1600
LOUD = 8000
LONGEST = 19_200


def segmenter(settings: SegmenterSettings = SETTINGS, *, end_on_silence: bool = True) -> UtteranceSegmenter:
    return UtteranceSegmenter(LevelVad(), settings, end_on_silence=end_on_silence)


def whole(samples: Samples, position: int = 0) -> list[AudioChunk]:
    return [AudioChunk(position=position, samples=samples)]


# What ends an utterance


def test_silence_ends_an_utterance_that_begins_with_its_preroll() -> None:
    audio = signal((False, 20 * WINDOW), (True, 5 * WINDOW), (False, 20 * WINDOW))
    events = segment(segmenter(), whole(audio))
    [u] = utterances(events)
    assert started(events) == [20 * WINDOW]
    assert (u.start, u.speech_end, u.end) == (20 * WINDOW - PREROLL, 25 * WINDOW, 30 * WINDOW)
    assert u.end - u.speech_end == SILENCE
    assert (u.end_reason, u.has_speech, u.gaps, u.lost_samples) == (EndReason.SILENCE, True, 0, 0)
    assert u.peak_probability == 0.9
    assert np.array_equal(u.samples, audio[u.start : u.end])
    assert u.seconds == (u.end - u.start) / 16_000


def test_the_utterance_is_told_as_soon_as_the_silence_is_long_enough() -> None:
    s = segmenter()
    assert utterances(s.feed(AudioChunk(0, signal((True, WINDOW), (False, SILENCE - 1))))) == []
    assert len(utterances(s.feed(AudioChunk(WINDOW + SILENCE - 1, signal((False, 1)))))) == 1


def test_a_short_pause_does_not_end_it() -> None:
    audio = signal((True, 2 * WINDOW), (False, 4 * WINDOW), (True, WINDOW), (False, 9 * WINDOW))
    [u] = utterances(segment(segmenter(), whole(audio)))
    assert u.speech_end == 7 * WINDOW


@pytest.mark.parametrize("samples", [1, 100, WINDOW, WINDOW + 1])
@pytest.mark.parametrize("end_on_silence", [True, False])
def test_the_shortest_word_is_an_utterance(samples: int, *, end_on_silence: bool) -> None:
    audio = np.full(samples, 20_000, np.int16)
    [u] = utterances(segment(segmenter(end_on_silence=end_on_silence), whole(audio)))
    assert u.has_speech
    assert (u.start, u.speech_end, u.end) == (0, samples, samples)


@pytest.mark.parametrize("reason", [EndReason.STOP, EndReason.DISCONNECT, EndReason.SHUTDOWN])
@pytest.mark.parametrize("end_on_silence", [True, False])
def test_finish_in_the_middle_of_speech_gives_it_with_the_reason(
    reason: EndReason, *, end_on_silence: bool
) -> None:
    audio = signal((False, WINDOW), (True, 1000))
    [u] = utterances(segment(segmenter(end_on_silence=end_on_silence), whole(audio), reason))
    assert (u.start, u.end, u.end_reason) == (0, len(audio), reason)


def test_two_utterances_share_no_sample_even_where_the_preroll_reaches_back() -> None:
    audio = signal((True, WINDOW), (False, SILENCE), (True, WINDOW))
    first, second = utterances(segment(segmenter(), whole(audio)))
    assert second.start == first.end == WINDOW + SILENCE


def test_silence_alone_gives_nothing_and_keeps_only_the_preroll() -> None:
    s = segmenter()
    for chunk in chunks(signal((False, 400 * WINDOW)), range(0, 400 * WINDOW, 777)):
        assert s.feed(chunk) == []
    assert s.needed_from == 400 * WINDOW - PREROLL
    assert s.finish(EndReason.STOP) == []


def test_speech_goes_on_a_little_below_the_threshold_that_started_it() -> None:
    script = iter([0.4, 0.5, 0.4, 0.36, 0.34, 0.4])
    s = UtteranceSegmenter(lambda _: next(script), SETTINGS, end_on_silence=True)
    [u] = utterances(segment(s, whole(signal((True, 6 * WINDOW)))))
    assert u.speech_end == 4 * WINDOW


# Push-to-talk


def test_push_to_talk_is_one_utterance_through_all_pauses() -> None:
    audio = signal((False, 3000), (True, 2000), (False, 2 * SILENCE), (True, 2000), (False, 1234))
    events = segment(segmenter(end_on_silence=False), whole(audio))
    [u] = utterances(events)
    assert len(started(events)) == 1
    assert (u.start, u.end, u.end_reason) == (0, len(audio), EndReason.STOP)
    assert np.array_equal(u.samples, audio)


def test_push_to_talk_without_a_voice_is_an_utterance_without_speech() -> None:
    [u] = utterances(segment(segmenter(end_on_silence=False), whole(signal((False, 5000)), 3)))
    assert (u.start, u.end, u.speech_end, u.has_speech, u.peak_probability) == (3, 5003, 3, False, 0.1)


@pytest.mark.parametrize("end_on_silence", [True, False])
@pytest.mark.parametrize("stream", [[], whole(signal())])
def test_a_stream_without_audio_gives_nothing(stream: list[AudioChunk], *, end_on_silence: bool) -> None:
    assert segment(segmenter(end_on_silence=end_on_silence), stream) == []


# The maximum length


@pytest.mark.parametrize("end_on_silence", [True, False])
def test_endless_speech_is_cut_for_ever_without_a_sample_lost_or_doubled(*, end_on_silence: bool) -> None:
    s = segmenter(end_on_silence=end_on_silence)
    audio = signal((True, 30 * LONGEST))
    found = utterances(segment(s, chunks(audio, range(0, len(audio), 4321)), EndReason.STOP))
    assert [u.end for u in found[:-1]] == [u.start for u in found[1:]]
    assert np.array_equal(np.concatenate([u.samples for u in found]), audio)
    assert {u.end_reason for u in found[:-1]} == {EndReason.MAX_LENGTH}
    assert found[-1].end_reason is EndReason.STOP
    assert all(LONGEST // 2 - WINDOW < len(u.samples) <= LONGEST for u in found[:-1])


def test_the_preroll_never_fills_the_utterance() -> None:
    settings = SegmenterSettings(silence_ms=160, preroll_ms=2000, max_seconds=1.2)
    audio = signal((False, 120 * WINDOW), (True, WINDOW), (False, SILENCE))
    [u] = utterances(segment(segmenter(settings), whole(audio)))
    assert (u.end_reason, u.start) == (EndReason.SILENCE, 120 * WINDOW - LONGEST // 2)


# Holes


def test_a_hole_is_concealed_with_silence_and_counted() -> None:
    audio = signal((True, 4000))
    stream = [
        AudioChunk(0, audio[:1000]),
        AudioChunk(1300, audio[1300:2000], 300),
        AudioChunk(2001, audio[2001:], 1),
    ]
    [u] = utterances(segment(segmenter(end_on_silence=False), stream))
    expected = audio.copy()
    expected[1000:1300] = expected[2000] = 0
    assert np.array_equal(u.samples, expected)
    assert (u.gaps, u.lost_samples) == (2, 301)


def test_only_the_holes_inside_an_utterance_are_counted_there() -> None:
    audio = signal((False, 20 * WINDOW), (True, WINDOW))
    stream = [AudioChunk(100, audio[100:8600], 100), AudioChunk(8740, audio[8740:], 140)]
    [u] = utterances(segment(segmenter(), stream))
    assert u.start == 20 * WINDOW - PREROLL == 8640
    assert (u.gaps, u.lost_samples) == (1, 100)


def test_holes_that_touch_are_one_gap_also_at_the_streams_ends() -> None:
    stream = [
        AudioChunk(10, signal(), 10),
        AudioChunk(30, signal((True, 500)), 20),
        AudioChunk(600, signal(), 70),
    ]
    [u] = utterances(segment(segmenter(end_on_silence=False), stream))
    assert (u.start, u.end, u.gaps, u.lost_samples) == (0, 600, 2, 100)


def test_a_hole_is_not_worth_the_models_time() -> None:
    vad = LevelVad()
    s = UtteranceSegmenter(vad, SETTINGS, end_on_silence=False)
    s.feed(AudioChunk(0, signal((True, WINDOW))))
    s.feed(AudioChunk(11 * WINDOW, signal((True, WINDOW)), 10 * WINDOW))
    assert vad.windows == 2


@pytest.mark.parametrize("hole", [LONGEST + 1, 10**6, 2**62])
@pytest.mark.parametrize("end_on_silence", [True, False])
def test_an_absurd_hole_ends_the_utterance_and_is_not_filled(hole: int, *, end_on_silence: bool) -> None:
    s = segmenter(end_on_silence=end_on_silence)
    before, after = signal((True, 700)), signal((True, 300))
    stream = [AudioChunk(0, before), AudioChunk(700 + hole, after, hole)]
    first, second = utterances(segment(s, stream))
    assert (first.start, first.end, first.end_reason) == (0, 700, EndReason.MAX_LENGTH)
    assert (first.gaps, first.lost_samples) == (1, hole)
    assert (second.start, second.end, second.gaps) == (700 + hole, 1000 + hole, 0)
    assert np.array_equal(second.samples, after)


def test_an_absurd_hole_before_anything_just_moves_the_start() -> None:
    stream = [AudioChunk(10**9, signal((True, 300)), 10**9)]
    [u] = utterances(segment(segmenter(end_on_silence=False), stream))
    assert (u.start, u.end) == (10**9, 10**9 + 300)


# A caller's mistakes change nothing


@pytest.mark.parametrize(
    ("position", "lost"),
    [(99, 0), (101, 0), (101, 2), (0, 0), (50, -50)],
    ids=["overlap", "jump", "wrong hole", "again", "negative hole"],
)
def test_a_chunk_that_does_not_follow_is_refused_and_changes_nothing(position: int, lost: int) -> None:
    s = segmenter(end_on_silence=False)
    audio = signal((True, 200))
    s.feed(AudioChunk(0, audio[:100]))
    with pytest.raises(ValueError, match=r"expected audio from position 100|a hole of -50"):
        s.feed(AudioChunk(position, audio[100:], lost))
    s.feed(AudioChunk(100, audio[100:]))
    [u] = utterances(s.finish(EndReason.STOP))
    assert np.array_equal(u.samples, audio)


def test_a_hole_before_position_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="a hole of 5 samples before position 4"):
        segmenter().feed(AudioChunk(4, signal(), 5))


def test_finish_is_idempotent_and_final() -> None:
    s = segmenter(end_on_silence=False)
    s.feed(AudioChunk(0, signal((True, 100))))
    assert len(utterances(s.finish(EndReason.STOP))) == 1
    assert s.finish(EndReason.DISCONNECT) == []
    assert s.needed_from == 100
    with pytest.raises(ValueError, match="after the end"):
        s.feed(AudioChunk(100, signal((True, 100))))


# Properties

STRETCHES = st.lists(st.tuples(st.booleans(), st.integers(1, 9000)), max_size=8)
CUTS = st.lists(st.integers(1, 60_000), max_size=30)


@settings(deadline=None)
@given(stretches=STRETCHES, cuts=CUTS, start=st.integers(0, 10**12), end_on_silence=st.booleans())
def test_any_chunking_gives_the_same_utterances(
    stretches: list[tuple[bool, int]], cuts: list[int], start: int, *, end_on_silence: bool
) -> None:
    audio = signal(*stretches)
    at_once = segment(segmenter(end_on_silence=end_on_silence), whole(audio, start))
    in_pieces = segment(segmenter(end_on_silence=end_on_silence), chunks(audio, cuts, start))
    assert started(at_once) == started(in_pieces)
    assert [facts(u) for u in utterances(at_once)] == [facts(u) for u in utterances(in_pieces)]


@settings(deadline=None)
@given(stretches=STRETCHES, cuts=CUTS, lost=st.sets(st.integers(0, 30)), end_on_silence=st.booleans())
def test_what_is_always_true_of_utterances(
    stretches: list[tuple[bool, int]], cuts: list[int], lost: set[int], *, end_on_silence: bool
) -> None:
    audio = signal(*stretches)
    heard = audio.copy()
    stream: list[AudioChunk] = []
    hole = 0
    for index, chunk in enumerate(chunks(audio, cuts)):
        length = len(chunk.samples)
        if index in lost and hole + length <= LONGEST:
            heard[chunk.position : chunk.position + length] = 0
            hole += length
        else:
            stream.append(AudioChunk(chunk.position, chunk.samples, hole))
            hole = 0
    stream.append(AudioChunk(len(audio), signal(), hole))

    s = segmenter(end_on_silence=end_on_silence)
    events, held = [], 0
    for chunk in stream:
        before = s.needed_from
        events += s.feed(chunk)
        held = max(held, chunk.position + len(chunk.samples) - s.needed_from)
        assert s.needed_from >= before
    events += s.finish(EndReason.STOP)
    found = utterances(events)

    assert held < LONGEST + WINDOW
    for u in found:
        assert np.array_equal(u.samples, heard[u.start : u.end])
        assert u.start <= u.speech_end <= u.end
        assert 0 < len(u.samples) <= LONGEST
        assert 0 <= u.lost_samples <= np.count_nonzero(u.samples == 0)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert sum(u.has_speech for u in found) == len(started(events))
    loud = {i for i in range(0, len(heard), WINDOW) if np.abs(heard[i : i + WINDOW].astype(int)).max() > 3277}
    assert loud <= {i for i in loud for u in found if u.start <= i < u.end and u.has_speech}
    assert end_on_silence or found or not len(audio)
    assert all(u.has_speech for u in found) or (len(found) == 1 and not end_on_silence)
    if not end_on_silence and len(audio) <= LONGEST - WINDOW:
        assert sum(len(u.samples) for u in found) == len(audio)


# Pauses, in which the text is worked out ahead


def pauses(events: list[SegmenterEvent]) -> list[Utterance]:
    return [event.so_far for event in events if isinstance(event, SpeechPaused)]


def resumed(events: list[SegmenterEvent]) -> list[int]:
    return [event.position for event in events if isinstance(event, SpeechResumed)]


PAUSING = SegmenterSettings(pause_ms=96, silence_ms=320, preroll_ms=100, max_seconds=3)
PAUSE = 3 * WINDOW


@pytest.mark.parametrize("end_on_silence", [True, False])
def test_a_pause_shows_what_there_is_so_far(*, end_on_silence: bool) -> None:
    s = segmenter(PAUSING, end_on_silence=end_on_silence)
    audio = signal((True, 4 * WINDOW), (False, PAUSE))
    events = segment(s, whole(audio), EndReason.STOP)
    [so_far], [u] = pauses(events), utterances(events)
    assert (so_far.start, so_far.speech_end, so_far.end) == (0, 4 * WINDOW, 4 * WINDOW + PAUSE)
    assert (so_far.start, so_far.speech_end) == (u.start, u.speech_end)
    assert np.array_equal(so_far.samples, audio)


def test_a_pause_is_told_once_and_its_end_too() -> None:
    audio = signal((True, WINDOW), (False, 2 * PAUSE), (True, WINDOW), (False, 2 * PAUSE), (True, WINDOW))
    events = segment(segmenter(PAUSING), whole(audio))
    assert [so_far.speech_end for so_far in pauses(events)] == [WINDOW, 2 * WINDOW + 2 * PAUSE]
    assert resumed(events) == [WINDOW + 2 * PAUSE, 2 * WINDOW + 4 * PAUSE]
    [u] = utterances(events)
    assert u.speech_end > pauses(events)[-1].speech_end


def test_a_breath_is_no_pause_and_neither_is_silence_before_the_first_word() -> None:
    audio = signal((False, 9 * WINDOW), (True, WINDOW), (False, PAUSE - 1), (True, WINDOW))
    assert pauses(segment(segmenter(PAUSING, end_on_silence=False), whole(audio))) == []


def test_pauses_can_be_switched_off() -> None:
    audio = signal((True, WINDOW), (False, 9 * WINDOW))
    off = SegmenterSettings(pause_ms=0, silence_ms=320)
    assert pauses(segment(segmenter(off), whole(audio))) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 8)), max_size=12), st.booleans())
def test_pauses_and_resumptions_take_turns(stretches: list[tuple[bool, int]], on_silence: bool) -> None:  # noqa: FBT001
    audio = signal(*((loud, count * WINDOW) for loud, count in stretches))
    paused: Utterance | None = None
    for event in segment(segmenter(PAUSING, end_on_silence=on_silence), whole(audio)):
        match event:
            case SpeechPaused(so_far):
                assert paused is None
                paused = so_far
            case SpeechResumed(position):
                assert paused is not None
                assert position >= paused.end
                paused = None
            case Utterance():
                assert paused is None or (paused.start, paused.speech_end) == (event.start, event.speech_end)
                paused = None


# Speech that goes on


def looks(events: list[SegmenterEvent]) -> list[Utterance]:
    return [event.so_far for event in events if isinstance(event, SpeechGoesOn)]


def telling(every: int, *, end_on_silence: bool = True) -> UtteranceSegmenter:
    return UtteranceSegmenter(
        LevelVad(), PAUSING, end_on_silence=end_on_silence, partial_ms=every * WINDOW // 16
    )


@pytest.mark.parametrize("end_on_silence", [True, False])
def test_speech_is_shown_after_so_much_more_of_it(*, end_on_silence: bool) -> None:
    audio = signal((True, 10 * WINDOW))
    events = segment(telling(3, end_on_silence=end_on_silence), whole(audio))
    assert [look.end // WINDOW for look in looks(events)] == [3, 6, 9]
    for look in looks(events):
        assert (look.start, look.speech_end, look.has_speech) == (0, look.end, True)
        assert np.array_equal(look.samples, audio[: look.end])


def test_silence_does_not_count_and_a_pause_begins_anew() -> None:
    breath, pause = PAUSE - WINDOW, PAUSE
    audio = signal(
        (True, 2 * WINDOW), (False, breath), (True, 3 * WINDOW), (False, pause), (True, 4 * WINDOW)
    )
    events = segment(telling(3), whole(audio))
    assert [look.end // WINDOW for look in looks(events)] == [5, 13]
    at = [type(event).__name__ for event in events]
    assert at == [
        "SpeechStarted", "SpeechGoesOn", "SpeechPaused", "SpeechResumed", "SpeechGoesOn", "Utterance",
    ]  # fmt: skip


def test_nothing_is_shown_unless_it_is_wanted() -> None:
    assert looks(segment(segmenter(PAUSING), whole(signal((True, 30 * WINDOW))))) == []


def test_every_window_can_be_shown() -> None:
    events = segment(telling(1), whole(signal((False, WINDOW), (True, 2 * WINDOW), (False, 1))))
    assert [type(event).__name__ for event in events] == [
        "SpeechStarted", "SpeechGoesOn", "SpeechGoesOn", "Utterance",
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(stretches=STRETCHES, cuts=CUTS, every=st.integers(1, 9), end_on_silence=st.booleans())
@example(  # cut before what was shown last
    stretches=[
        (False, 1),
        (False, 2_615),
        *[(False, 9_000)] * 2,
        (True, 9_000),
        (False, 9_000),
        (True, 9_000),
    ],
    cuts=[],
    every=1,
    end_on_silence=False,
)
@example(  # and what was cut off is the silence before it
    stretches=[(False, 1), (False, 2_615), *[(False, 9_000)] * 4, (True, 9_000)],
    cuts=[],
    every=1,
    end_on_silence=False,
)
def test_what_is_shown_is_the_beginning_of_what_follows(
    stretches: list[tuple[bool, int]], cuts: list[int], every: int, *, end_on_silence: bool
) -> None:
    audio = signal(*stretches)
    at_once = segment(telling(every, end_on_silence=end_on_silence), whole(audio))
    in_pieces = segment(telling(every, end_on_silence=end_on_silence), chunks(audio, cuts))
    assert [facts(look) for look in looks(at_once)] == [facts(look) for look in looks(in_pieces)]
    shown: list[Utterance] = []
    for event in at_once:
        match event:
            case SpeechGoesOn(so_far):
                assert all(look.speech_end < so_far.speech_end == so_far.end for look in shown)
                shown.append(so_far)
            case Utterance():
                for look in shown:
                    assert np.array_equal(look.samples, audio[look.start : look.end])
                    left_out = audio[look.start : event.start]
                    assert np.count_nonzero(left_out >= LOUD) < WINDOW, "nothing but silence before a cut"
                    if event.end_reason in {EndReason.SILENCE, EndReason.STOP}:
                        assert look.speech_end <= event.speech_end
                    else:  # speech without a pause is cut where it is quiet, which may lie before what was shown last
                        assert look.start < event.end
                shown = []
    assert shown == []
