"""From a stream with a wake word in it to the utterance behind it, with the real ear, voice activity and model."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transcription.speech import TEXTS, LevelVad, chunks, recording
from tests.transcription.wake.spoken import in_a_room, needs_espeak, pause, say, word
from transcription.audio import SAMPLE_RATE, AudioChunk, Samples
from transcription.settings import SegmenterSettings, TranscriptionSettings
from transcription.utterance.segmenter import EndReason, SpeechStarted, Utterance, UtteranceSegmenter
from transcription.utterance.vad import SileroModel
from transcription.wake.ear import Ear, Spotted
from transcription.wake.gate import KEPT, FellAsleep, GateEvent, NothingSaid, WakeGate, Woken
from transcription.whisper.engine import WhisperTranscriber

pytestmark = needs_espeak
SECONDS = 4.0


@functools.cache
def silero() -> SileroModel:
    return SileroModel()


@pytest.fixture(scope="module")
def engine() -> Iterable[WhisperTranscriber]:
    made = WhisperTranscriber(TranscriptionSettings(threads=1))
    made.load()
    yield made
    made.close()


def gate(*names: str, seconds: float = SECONDS) -> WakeGate:
    return WakeGate(lambda: Ear([word(name) for name in names]), segmenter, seconds)


def segmenter() -> UtteranceSegmenter:
    return UtteranceSegmenter(silero().stream(), SegmenterSettings(), end_on_silence=True)


def hear(what: WakeGate, samples: Samples, frame: int = 320) -> list[GateEvent]:
    cuts = range(0, len(samples), frame)
    return [event for chunk in chunks(samples, cuts) for event in what.feed(chunk)]


def kinds(events: Sequence[GateEvent]) -> list[type]:
    return [
        type(event) for event in events if isinstance(event, Woken | FellAsleep | NothingSaid | Utterance)
    ]


def only(events: Sequence[GateEvent]) -> Utterance:
    (one,) = [event for event in events if isinstance(event, Utterance)]
    return one


def command(name: str = "u00") -> Samples:
    samples = recording(name)
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 600)
    return samples[loud[0] : loud[-1] + 1]


@pytest.mark.parametrize("voice", ["en-us", "en-gb", "en-us+m3"])
@pytest.mark.parametrize("seconds", [0.15, 1.0])
def test_what_follows_the_wake_word_is_the_utterance(
    engine: WhisperTranscriber, voice: str, seconds: float
) -> None:
    samples = in_a_room(pause(1.5), say("okay nabu", voice), pause(seconds), command("u03"), pause(1.5))
    events = hear(gate("okay_nabu"), samples)
    assert kinds(events) == [Woken, Utterance, FellAsleep]
    assert engine.transcribe(only(events)).text == TEXTS["u03"]
    assert events[-1] == FellAsleep(in_vain=False)


@pytest.mark.parametrize("said", ["turn on the light", "what time is it", "stop"])
def test_in_one_breath_the_first_word_is_whole_and_the_wake_word_is_not_there(said: str) -> None:
    whole, alone = say(f"okay nabu {said}"), say(said)
    events = hear(gate("okay_nabu"), in_a_room(pause(1.5), whole, pause(1.5)))
    assert kinds(events) == [Woken, Utterance, FellAsleep]
    expected = int(1.5 * SAMPLE_RATE) + len(whole) - len(alone)
    assert abs(only(events).start - expected) < SAMPLE_RATE // 5, (
        only(events).start - expected
    ) / SAMPLE_RATE


def test_without_the_wake_word_nothing_is_an_utterance() -> None:
    one = gate("okay_nabu")
    events = hear(one, in_a_room(*(recording(name) for name in ("u00", "u01", "u02", "u03"))))
    assert events == []
    assert one.is_asleep
    assert not one.in_utterance
    assert one.finish(EndReason.STOP) == []


def test_another_wake_word_is_none() -> None:
    samples = in_a_room(pause(1.5), say("okay nabu"), pause(0.3), command(), pause(1.5))
    assert hear(gate("hey_jarvis", "alexa"), samples) == []


def test_any_of_several_will_do() -> None:
    samples = in_a_room(pause(1.5), say("alexa"), pause(0.3), command(), pause(1.5))
    events = hear(gate("okay_nabu", "alexa"), samples)
    assert [event.phrase for event in events if isinstance(event, Woken)] == ["Alexa"]
    assert kinds(events) == [Woken, Utterance, FellAsleep]


def test_the_wake_word_alone_is_in_vain_after_some_seconds() -> None:
    one = gate("okay_nabu")
    events = hear(one, in_a_room(pause(1.5), say("okay nabu"), pause(SECONDS - 0.2)))
    assert kinds(events) == [Woken]
    assert not one.is_asleep
    rest = in_a_room(pause(1.0), command(), pause(1.5))
    later = [
        event
        for chunk in chunks(rest, range(0, len(rest), 320), start=one._received)
        for event in one.feed(chunk)
    ]
    assert later == [FellAsleep(in_vain=True)]


def test_said_twice_the_second_counts(engine: WhisperTranscriber) -> None:
    samples = in_a_room(
        pause(1.5), say("okay nabu"), pause(0.4), say("okay nabu"), pause(0.3), command("u03"), pause(1.5)
    )
    events = hear(gate("okay_nabu"), samples)
    assert engine.transcribe(only(events)).text == TEXTS["u03"]


def test_each_utterance_wants_a_wake_word_of_its_own() -> None:
    turn = [pause(1.5), say("okay nabu"), pause(0.3), command(), pause(1.5)]
    events = hear(gate("okay_nabu"), in_a_room(*turn, command("u03"), *turn))
    assert kinds(events) == 2 * [Woken, Utterance, FellAsleep]


@pytest.mark.parametrize("frame", [pytest.param(1, marks=pytest.mark.slow), 160, 333, 960, 4096])
def test_the_size_of_the_chunks_changes_nothing(frame: int) -> None:
    samples = in_a_room(pause(1.5), say("okay nabu"), pause(0.3), command()[:16_000], pause(1.0))
    expected = only(hear(gate("okay_nabu"), samples))
    found = only(hear(gate("okay_nabu"), samples, frame))
    assert (found.start, found.end) == (expected.start, expected.end)
    assert (found.samples == expected.samples).all()


def test_a_stream_that_ends_in_the_middle_gives_what_was_said_until_then() -> None:
    one = gate("okay_nabu")
    events = hear(one, in_a_room(pause(1.5), say("okay nabu"), pause(0.3), command()[:16_000]))
    assert kinds(events) == [Woken]
    assert one.in_utterance
    assert only(one.finish(EndReason.STOP)).end_reason is EndReason.STOP
    assert one.finish(EndReason.STOP) == []


def test_until_the_utterance_is_complete_all_from_the_wake_word_on_is_needed() -> None:
    one = gate("okay_nabu")
    assert hear(one, in_a_room(pause(5.0))) == []
    assert one.needed_from == 5 * SAMPLE_RATE - KEPT
    word_from = one._received
    samples = in_a_room(say("okay nabu"), pause(0.3), command())
    for chunk in chunks(samples, range(0, len(samples), 320), start=word_from):
        one.feed(chunk)
        assert one.needed_from <= word_from
    assert one.in_utterance
    for chunk in chunks(in_a_room(pause(2.0)), range(0, 32_000, 320), start=one._received):
        one.feed(chunk)
    assert one.is_asleep
    assert one.needed_from == one._received - KEPT


@pytest.mark.parametrize("hole", [320, SAMPLE_RATE, 40 * SAMPLE_RATE])
def test_a_hole_is_silence(hole: int) -> None:
    one = gate("okay_nabu")
    hear(one, in_a_room(pause(1.0)))
    samples = in_a_room(pause(0.5), say("okay nabu"), pause(0.3), command(), pause(1.5))
    start = SAMPLE_RATE + hole
    events = one.feed(AudioChunk(start, samples[:320], hole))
    events += [
        e for c in chunks(samples[320:], range(0, len(samples), 320), start + 320) for e in one.feed(c)
    ]
    assert kinds(events) == [Woken, Utterance, FellAsleep]
    assert start < only(events).start < start + len(samples)


def test_audio_that_does_not_follow_is_refused_and_changes_nothing() -> None:
    one = gate("okay_nabu")
    one.feed(AudioChunk(0, pause(0.02)))
    for wrong in (AudioChunk(100, pause(0.02)), AudioChunk(0, pause(0.02)), AudioChunk(320, pause(0.02), -1)):
        with pytest.raises(ValueError, match="expected audio from position 320"):
            one.feed(wrong)
    assert one.feed(AudioChunk(320, pause(0.02))) == []


def test_as_long_as_nothing_can_listen_nothing_is_heard_and_then_it_is() -> None:
    ears: list[Ear | None] = [None]
    one = WakeGate(lambda: ears[0], segmenter, SECONDS)
    samples = in_a_room(pause(1.5), say("okay nabu"), pause(0.3), command(), pause(1.5))
    assert hear(one, samples) == []
    ears[0] = Ear([word()])
    later = chunks(samples, range(0, len(samples), 320), start=len(samples))
    assert kinds([event for chunk in later for event in one.feed(chunk)]) == [Woken, Utterance, FellAsleep]


# -- a wake word that the device has heard


def test_a_device_may_say_that_it_was_woken() -> None:
    one = gate("okay_nabu")
    assert hear(one, in_a_room(pause(1.5), say("hello there"), pause(0.2))) == []
    assert one.wake("hello there") == [Woken("hello there")]
    samples = in_a_room(pause(0.5), command(), pause(1.5))
    later = chunks(samples, range(0, len(samples), 320), start=one._received)
    events = [event for chunk in later for event in one.feed(chunk)]
    assert kinds(events) == [Utterance, FellAsleep]


def test_a_device_may_say_so_before_its_first_audio() -> None:
    one = gate("okay_nabu")
    assert one.wake("alexa") == [Woken("alexa")]
    events = hear(one, in_a_room(pause(0.3), command(), pause(1.5)))
    assert kinds(events) == [Utterance, FellAsleep]
    assert isinstance(events[0], SpeechStarted)


def test_a_word_that_both_hear_wakes_once() -> None:
    one = gate("okay_nabu")
    samples = in_a_room(pause(1.5), say("okay nabu"), pause(0.6))
    assert kinds(hear(one, samples)) == [Woken]
    assert one.wake("okay nabu") == []


def test_from_the_wake_word_on_an_utterance_is_awaited() -> None:
    """Who ends a gateway just then leaves it to the next one, with the wake word."""
    one = gate("okay_nabu")
    hear(one, in_a_room(pause(1.5), say("okay nabu"), pause(0.6)))
    assert one.in_utterance
    assert one.needed_from <= int(1.5 * SAMPLE_RATE)


# -- whatever comes


class Nervous:
    """Hears a wake word every so many samples, in whatever it is given."""

    def __init__(self, every: int) -> None:
        self.heard = 0
        self._every = every

    def feed(self, samples: Samples) -> Spotted | None:
        before, self.heard = self.heard, self.heard + len(samples)
        at = self.heard // self._every * self._every
        return Spotted(word(), max(0, at - 1600), at, 0.9) if at > before else None


@given(
    st.integers(500, 40_000),
    st.lists(st.tuples(st.integers(0, 9_000), st.integers(0, 40_000), st.integers(0, 30_000)), max_size=12),
)
@settings(max_examples=40, deadline=None)
def test_whatever_comes_each_sample_is_in_one_utterance_at_most(
    every: int, stretches: list[tuple[int, int, int]]
) -> None:
    ear = Nervous(every)
    one = WakeGate(lambda: ear, loud_segmenter, 1.0)
    rng = np.random.default_rng(every)
    position, events = 0, list[GateEvent]()
    for hole, loud, quiet in stretches:
        samples = np.concatenate([rng.integers(8_000, 30_000, loud), rng.integers(1, 300, quiet)]).astype(
            np.int16
        )
        events += one.feed(AudioChunk(position + hole, samples, hole))
        position += hole + len(samples)
        assert 0 <= one.needed_from <= position
        assert position - one.needed_from <= 2 * KEPT + 31 * SAMPLE_RATE
    events += one.finish(EndReason.STOP)
    said = [event for event in events if isinstance(event, Utterance)]
    assert all(before.end <= after.start for before, after in pairwise(said))
    assert all(0 <= event.start < event.end <= position for event in said)
    assert one.needed_from == position


def loud_segmenter() -> UtteranceSegmenter:
    return UtteranceSegmenter(LevelVad(), SegmenterSettings(), end_on_silence=True)
