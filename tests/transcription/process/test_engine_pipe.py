"""The messages between the gateway and the recognizer's process."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.transcription.speech import facts, utterance
from transcription.process.engine_pipe import (
    AllDone,
    Answer,
    Beat,
    Done,
    Failed,
    Hurry,
    Load,
    Loaded,
    Missing,
    NumberedAnswer,
    NumberedRequest,
    Progress,
    Request,
    Said,
    Transcribe,
    read_request,
    read_said,
)
from transcription.process.pipe import LONGEST_MESSAGE, CannotSend, Garbled, write
from transcription.settings import TranscriptionSettings
from transcription.transcriber import Hints, Segment, Transcript
from transcription.utterance.segmenter import EndReason

TRANSCRIPT = Transcript("hä", "de", 0.5, 0.25, (Segment(0.0, 1.5, "hä"),), "e", "m", 0.1, 150, retried=True)
ANSWERS: list[Answer] = [
    Loaded("e", "m", lanes=2),
    Missing("gone", "bring it"),
    Done(TRANSCRIPT),
    Failed("no"),
    AllDone((Done(TRANSCRIPT), Failed("no"))),
]
SAID: list[Said] = [
    *(NumberedAnswer(number, answer) for number, answer in enumerate(ANSWERS)),
    Beat(),
    Progress("fetching", 0.5),
]
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Pipe:
    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def close_writer(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close_writer()
    os.close(pipe.reader)


@pytest.mark.parametrize("said", SAID, ids=lambda said: type(getattr(said, "answer", said)).__name__)
def test_what_the_process_says_arrives_as_it_was(pipe: Pipe, said: Said) -> None:
    write(pipe.writer, said)
    assert read_said(pipe.reader) == said


def test_every_field_of_a_transcript_arrives(pipe: Pipe) -> None:
    write(pipe.writer, NumberedAnswer(3, Done(TRANSCRIPT)))
    said = read_said(pipe.reader)
    assert isinstance(said, NumberedAnswer)
    assert isinstance(said.answer, Done)
    assert said.number == 3
    assert astuple(said.answer.transcript) == astuple(TRANSCRIPT)
    assert isinstance(said.answer.transcript.segments[0], Segment)


def test_for_which_nobody_waits_arrives(pipe: Pipe) -> None:
    write(pipe.writer, Hurry(5))
    assert read_request(pipe.reader) == Hurry(5)


def test_the_settings_arrive(pipe: Pipe) -> None:
    load = NumberedRequest(
        0, Load("module:Class", TranscriptionSettings(model="base", context=512, threads=3))
    )
    write(pipe.writer, load)
    assert read_request(pipe.reader) == load


def asked(pipe: Pipe) -> Request:
    """What is asked for next."""
    message = read_request(pipe.reader)
    assert isinstance(message, NumberedRequest)
    return message.request


@FEW
@given(samples=st.binary(max_size=2000), reason=st.sampled_from(EndReason), lost=st.integers(0, 10**9))
def test_an_utterance_arrives_with_all_that_is_known_about_it(
    pipe: Pipe, samples: bytes, reason: EndReason, lost: int
) -> None:
    audio = np.frombuffer(samples[: len(samples) // 2 * 2], np.int16)
    sent = utterance(
        audio, start=lost, end=lost + len(audio), end_reason=reason, lost_samples=lost, peak_probability=0.3
    )
    write(pipe.writer, NumberedRequest(1, Transcribe(sent)))
    got = asked(pipe)
    assert isinstance(got, Transcribe)
    assert facts(got.utterance) == facts(sent)
    assert got.utterance.samples.dtype == np.int16


@FEW
@given(
    hints=st.builds(
        Hints,
        st.none() | st.sampled_from(["en", "auto"]),
        st.text(),
        st.text(),
        word_timestamps=st.booleans(),
    )
)
@pytest.mark.slow
def test_hints_arrive_as_they_were(pipe: Pipe, hints: Hints) -> None:
    write(pipe.writer, NumberedRequest(1, Transcribe(utterance(np.zeros(1, np.int16)), hints)))
    got = asked(pipe)
    assert isinstance(got, Transcribe)
    assert got.hints == hints


def test_an_utterance_larger_than_a_pipe_holds(pipe: Pipe) -> None:
    sent = utterance(np.arange(480_000).astype(np.int16)[::2])  # 15 s, and not contiguous
    writing = threading.Thread(target=write, args=(pipe.writer, NumberedRequest(1, Transcribe(sent))))
    writing.start()
    got = asked(pipe)
    writing.join()
    assert isinstance(got, Transcribe)
    assert facts(got.utterance) == facts(sent)


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        (np.zeros((2, 3), np.int16), r"int16\(2, 3\) is not PCM16"),
        (np.zeros(5), r"float64\(5,\) is not PCM16"),
        (np.zeros(LONGEST_MESSAGE // 2, np.int16), "bytes are more than"),
    ],
)
def test_what_is_no_audio_is_refused_before_anything_is_sent(
    pipe: Pipe, samples: np.ndarray, why: str
) -> None:
    with pytest.raises(CannotSend, match=why):
        write(pipe.writer, NumberedRequest(1, Transcribe(utterance(samples))))
    write(pipe.writer, Beat())
    assert read_said(pipe.reader) == Beat()


def test_an_end_that_is_gone(pipe: Pipe) -> None:
    pipe.close_writer()
    assert read_said(pipe.reader) is None


@FEW
@given(data=st.data(), said=st.sampled_from(SAID))
def test_half_a_message_is_an_end_that_is_gone(data: st.DataObject, said: Said) -> None:
    whole = encoded(said)
    assert said_in(whole[: data.draw(st.integers(0, len(whole) - 1))]) is None
    assert said_in(whole) == said


@FEW
@given(noise=st.binary(min_size=8, max_size=300))
def test_noise_is_garbled_or_incomplete_and_never_a_message(noise: bytes) -> None:
    with pytest.raises(Garbled):
        said_in(b"?" + noise)


@FEW
@given(body=st.binary(max_size=60))
def test_a_header_before_noise_does_not_make_it_a_message(body: bytes) -> None:
    message = b"Ear1" + len(body).to_bytes(4, "little") + body
    with contextlib.suppress(Garbled):
        assert said_in(message) in SAID


def test_a_length_beyond_the_bound_is_not_waited_for() -> None:
    with pytest.raises(Garbled, match="no message begins with"):
        said_in(b"Ear1" + (LONGEST_MESSAGE + 1).to_bytes(4, "little"))


def encoded(said: Said) -> bytes:
    reader, writer = os.pipe()
    try:
        write(writer, said)
        return os.read(reader, 65536)
    finally:
        os.close(reader)
        os.close(writer)


def said_in(data: bytes) -> Said | None:
    """What a process says that sends these bytes and is gone."""
    reader, writer = os.pipe()
    try:
        os.write(writer, data)
        os.close(writer)
        return read_said(reader)
    finally:
        os.close(reader)
