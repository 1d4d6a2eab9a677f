"""What travels of an utterance, and what comes back: nothing is lost on the way, and nothing is believed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.recognition import (
    AudioCodec,
    ClaimCheck,
    Failure,
    RecognitionResult,
    ResultSegment,
    ResultText,
    ResultWord,
    Urgency,
    decode_job,
    encode_recognition,
)
from gateway.recognizers.pool.jobs import (
    LONGEST_SECONDS,
    PackedAudio,
    error_of,
    finite,
    job_of,
    need_of,
    transcript_of,
)
from gateway.recognizers.pool.workers import Need
from tests.gateway.recognizers.pool.workers import spoken
from transcription.errors import EngineFailed, GivenUp, ModelUnavailable, TranscriptionError, WaitedTooLong
from transcription.priority import Priority
from transcription.settings import TranscriptionSettings
from transcription.transcriber import NO_HINTS, Hints, Segment, Word

WORDS = st.text(max_size=40)
HINTS = st.builds(
    Hints,
    language=st.none() | st.sampled_from(["de", "en", "auto"]),
    prompt=WORDS,
    hotwords=WORDS,
    word_timestamps=st.booleans(),
    draft=st.booleans(),
    task=st.sampled_from(["transcribe", "translate"]),
    names=st.lists(WORDS, max_size=3).map(tuple),
)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


def job(hints: Hints = NO_HINTS, *, seconds: float | None = 30.0, audio: PackedAudio | None = None) -> object:
    return job_of(
        spoken(0.1), hints, audio or PackedAudio(AudioCodec.FLAC, b"fLaC"), job_id="j_1", gateway="gate",
        model="base", urgency=Urgency.GUESS, priority=Priority.BACKGROUND, owner="o", asked_at=7.0, seconds=seconds,
        ids={"correlation_id": "c_1"},
    )  # fmt: skip


@given(HINTS)
def test_hints_travel_whole(hints: Hints) -> None:
    sent = decode_job(encode_recognition(job(hints)))  # type: ignore[arg-type]
    assert {name: getattr(sent.hints, name) for name in Hints.__slots__} == {
        name: getattr(hints, name) for name in Hints.__slots__
    }


@pytest.mark.parametrize(
    ("patience", "told"), [(None, LONGEST_SECONDS), (30.0, 30.0), (0.0, 0.1), (1e9, LONGEST_SECONDS)]
)
def test_patience_is_what_a_job_may_have(patience: float | None, told: float) -> None:
    assert decode_job(encode_recognition(job(seconds=patience))).seconds == told  # type: ignore[arg-type]


def test_audio_lies_inside_or_where_the_claim_check_says() -> None:
    inside = decode_job(encode_recognition(job()))  # type: ignore[arg-type]
    assert (inside.codec, inside.audio, inside.claim) == (AudioCodec.FLAC, b"fLaC", None)
    claim = ClaimCheck(place="store", key="k", bytes=4, sha256="0" * 64)
    outside = decode_job(encode_recognition(job(audio=PackedAudio(AudioCodec.OPUS, claim=claim))))  # type: ignore[arg-type]
    assert (outside.codec, outside.audio, outside.claim) == (AudioCodec.OPUS, b"", claim)


@pytest.mark.parametrize(
    ("hints", "need"),
    [
        (NO_HINTS, Need("small", "de")),
        (Hints(language="fr"), Need("small", "fr")),
        (Hints(language="auto"), Need("small", "auto")),
        (Hints(task="translate"), Need("small", "de", translate=True)),
    ],
)
def test_what_a_worker_must_have(hints: Hints, need: Need) -> None:
    assert need_of("small", hints, TranscriptionSettings(model="small", language="de")) == need


def test_a_text_is_taken_as_it_is() -> None:
    text = ResultText(
        text="turn it on", language="en", confidence=0.5, no_speech_probability=0.25, engine="e", model="m",
        segments=(ResultSegment(start=0.0, end=1.0, text="turn it on"),), seconds=0.3, context_frames=768,
        retried=True, language_probability=0.75, doubtful=True, names_told=3,
        words=(ResultWord(word="turn", start=0.0, end=0.5, probability=0.9),),
    )  # fmt: skip
    transcript = transcript_of(text)
    assert (transcript.text, transcript.language, transcript.engine, transcript.model) == (
        "turn it on", "en", "e", "m",
    )  # fmt: skip
    assert transcript.segments == (Segment(0.0, 1.0, "turn it on"),)
    assert transcript.words == (Word("turn", 0.0, 0.5, 0.9),)
    assert (transcript.confidence, transcript.no_speech_probability, transcript.seconds) == (0.5, 0.25, 0.3)
    assert (transcript.context_frames, transcript.retried, transcript.language_probability) == (
        768, True, 0.75,
    )  # fmt: skip
    assert (transcript.doubtful, transcript.names_told) == (True, 3)


@given(NUMBERS, NUMBERS, NUMBERS, st.integers(-(2**40), 2**40))
def test_no_number_from_elsewhere_is_absurd(one: float, two: float, three: float, count: int) -> None:
    text = ResultText(
        text="", language="", confidence=one, no_speech_probability=two, seconds=three, language_probability=three,
        segments=(ResultSegment(start=one, end=two, text=""),), context_frames=count, names_told=count,
        words=(ResultWord(word="", start=one, end=two, probability=three),),
    )  # fmt: skip
    transcript = transcript_of(text)
    shares = (
        transcript.confidence,
        transcript.no_speech_probability,
        transcript.language_probability,
        transcript.words[0].probability,
    )
    assert all(0 <= share <= 1 for share in shares)
    times = (
        transcript.seconds,
        transcript.segments[0].start,
        transcript.segments[0].end,
        transcript.words[0].start,
        transcript.words[0].end,
    )
    assert all(0 <= time < math.inf for time in times)
    assert min(transcript.context_frames, transcript.names_told) >= 0


@given(NUMBERS)
def test_seconds_are_some_or_none(number: float) -> None:
    assert finite(number) in (number, 0.0)


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        (Failure.FAILED, EngineFailed, "w1: out of luck"),
        (Failure.POISON, GivenUp, "tried 3 times, and each time out of luck"),
        (Failure.LATE, WaitedTooLong, "no recognizer began with it in time"),
        (Failure.UNAVAILABLE, ModelUnavailable, "out of luck"),
        (Failure.NO_AUDIO, EngineFailed, "w1: out of luck"),
        (None, EngineFailed, "w1: out of luck"),
    ],
)
def test_each_failure_is_an_error_of_ours(
    failure: Failure | None, kind: type[TranscriptionError], words: str
) -> None:
    error = error_of(RecognitionResult(job_id="j", worker="w1", failure=failure, reason="out of luck"), 3)
    assert type(error) is kind
    assert str(error) == words


def test_a_failure_without_a_reason_has_one() -> None:
    error = error_of(RecognitionResult(job_id="j", worker="w1", failure=Failure.FAILED), 3)
    assert "the recognizer w1 does not say why" in str(error)


def test_what_a_recognizer_lacks_is_said_with_where_to_look() -> None:
    error = error_of(RecognitionResult(job_id="j", worker="w1", failure=Failure.UNAVAILABLE), 3)
    assert isinstance(error, ModelUnavailable)
    assert "w1" in error.remedy
