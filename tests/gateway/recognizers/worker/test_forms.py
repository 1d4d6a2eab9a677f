"""Jobs and texts as they travel, and as the recognizer has them."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec import structs

from gateway.contract.recognition import (
    ClaimCheck,
    JobHints,
    RecognitionJob,
    RecognitionResult,
    Urgency,
    decode_result,
    encode_recognition,
)
from gateway.recognizers.worker.forms import NotForUs, as_hints, as_result, as_utterance, check
from transcription.transcriber import Hints, Segment, Transcript, Word
from transcription.utterance.segmenter import EndReason

JOB = RecognitionJob(
    job_id="j_1", gateway="kitchen-box", urgency=Urgency.FINAL, model="base", samples=1_600, audio=b"x",
    start=32_000, speech_end=33_000, has_speech=True, end_reason="silence", gaps=1, lost_samples=20,
    peak_probability=0.75, clipped=3,
)  # fmt: skip


def test_an_utterance_is_what_its_gateway_cut() -> None:
    utterance = as_utterance(JOB, np.zeros(1_600, np.int16))
    assert (utterance.start, utterance.end, utterance.speech_end) == (32_000, 33_600, 33_000)
    assert (utterance.end_reason, utterance.has_speech, utterance.seconds) == (EndReason.SILENCE, True, 0.1)
    assert (utterance.gaps, utterance.lost_samples, utterance.clipped) == (1, 20, 3)
    assert utterance.peak_probability == 0.75


@pytest.mark.parametrize("reason", [*EndReason, "of a later time"])
def test_a_reason_of_a_later_time_harms_nobody(reason: str) -> None:
    found = as_utterance(structs.replace(JOB, end_reason=reason), np.zeros(0, np.int16)).end_reason
    assert found == (reason if reason in [*EndReason] else EndReason.STOP)


def test_hints_travel_whole() -> None:
    told = JobHints(
        language="de", prompt="Sehr geehrte", hotwords="Herd", word_timestamps=True, draft=True,
        task="translate", names=("Kitchen", "Hall"),
    )  # fmt: skip
    assert as_hints(told) == Hints(
        language="de", prompt="Sehr geehrte", hotwords="Herd", word_timestamps=True, draft=True,
        task="translate", names=("Kitchen", "Hall"),
    )  # fmt: skip
    assert as_hints(JobHints()) == Hints()


def test_a_text_travels_whole() -> None:
    text = Transcript(
        text="Turn on the light", language="en", confidence=0.9, no_speech_probability=0.01,
        segments=(Segment(0.0, 1.2, "Turn on"), Segment(1.2, 2.0, "the light")), engine="faster-whisper",
        model="base", seconds=0.4, context_frames=300, retried=True, language_probability=0.99,
        words=(Word("Turn", 0.0, 0.3, 0.97),), doubtful=True, names_told=4,
    )  # fmt: skip
    result = RecognitionResult(job_id="j_1", worker="w", transcript=as_result(text))
    told = decode_result(encode_recognition(result)).transcript
    assert told is not None
    for name in ("text", "language", "confidence", "no_speech_probability", "engine", "model", "seconds",
                 "context_frames", "retried", "language_probability", "doubtful", "names_told"):  # fmt: skip
        assert getattr(told, name) == getattr(text, name), name
    assert [(one.start, one.end, one.text) for one in told.segments] == [
        (0.0, 1.2, "Turn on"),
        (1.2, 2.0, "the light"),
    ]
    assert [(one.word, one.start, one.end, one.probability) for one in told.words] == [
        ("Turn", 0.0, 0.3, 0.97)
    ]


def test_what_can_be_done_is_taken() -> None:
    check(JOB, "base")
    check(structs.replace(JOB, samples=0, audio=b""), "base")
    claim = ClaimCheck(place="store", key="k", bytes=1, sha256="0" * 64)
    check(structs.replace(JOB, audio=b"", claim=claim), "base")
    check(structs.replace(JOB, model="a folder/of mine"), "a folder/of mine")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": "small"}, "for the model 'small'"),
        ({"job_id": ""}, "routing key"),
        ({"job_id": "a.b"}, "routing key"),
        ({"job_id": "x" * 65}, "routing key"),
        ({"samples": 16_000 * 60 + 1}, "60 are the most"),
        ({"audio": b""}, "neither audio nor"),
    ],
)
def test_what_nobody_can_do_is_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(NotForUs, match=why):
        check(structs.replace(JOB, **changes), "base")
