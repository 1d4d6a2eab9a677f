"""An engine in a process of its own: what it says, how it dies, and that it never outlives its owner."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from tests.transcription import breakable
from tests.transcription.breakable import BreakableEngine
from tests.transcription.speech import TEXTS, recording, utterance
from transcription.errors import EngineDied, EngineFailed, ModelUnavailable
from transcription.process import process
from transcription.process.process import LINE_BYTES, LINES, ProcessTranscriber
from transcription.settings import TranscriptionSettings
from transcription.transcriber import Hints, Segment
from transcription.utterance.segmenter import EndReason, Utterance
from transcription.whisper.engine import WhisperTranscriber

pytestmark = pytest.mark.slow

SOON = 20.0


def of_length(samples: int) -> Utterance:
    return utterance(np.full(samples, 7, np.int16))


def proxy(
    model: str = "fine", *, hang_seconds: float = SOON, silence_seconds: float = SOON
) -> ProcessTranscriber:
    settings = TranscriptionSettings(model=model, hang_seconds=hang_seconds)
    return ProcessTranscriber(BreakableEngine, settings, silence_seconds=silence_seconds)


@pytest.fixture(scope="module")
def engine() -> Iterator[ProcessTranscriber]:
    """For whoever does not mind that another test killed it: ``load`` brings it back."""
    engine = proxy()
    yield engine
    engine.close()
    engine.ended.result(SOON)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# What it says


def test_it_is_the_engine_and_says_what_the_engine_says(engine: ProcessTranscriber) -> None:
    engine.load()
    assert (engine.engine, engine.model) == ("breakable", "fine")
    assert engine.pid != os.getpid()
    done = engine.transcribe(utterance(np.full(300, -5, np.int16), end_reason=EndReason.SILENCE))
    facts = "300 -5 silence True"
    assert (done.text, done.segments) == (facts, (Segment(0.0, 1.0, facts),))
    assert (done.engine, done.model, done.context_frames, done.retried) == ("breakable", "fine", 1, True)
    assert engine.transcribe(of_length(0)).text == "0 0 stop True"
    assert engine.transcribe(of_length(5), Hints(prompt="so")).text == "5 7 stop True so"


def test_load_again_changes_nothing(engine: ProcessTranscriber) -> None:
    engine.load()
    pid = engine.pid
    engine.load()
    assert engine.pid == pid


@pytest.mark.parametrize(
    ("length", "why"),
    [(breakable.FAIL, "^unlucky$"), (breakable.BUG, "^ZeroDivisionError: a bug of the engine")],
)
def test_a_failure_is_the_utterances_own(engine: ProcessTranscriber, length: int, why: str) -> None:
    engine.load()
    pid = engine.pid
    with pytest.raises(EngineFailed, match=why) as caught:
        engine.transcribe(of_length(length))
    assert type(caught.value) is EngineFailed
    assert engine.transcribe(of_length(5)).text == "5 7 stop True"
    assert engine.pid == pid


def test_it_is_told_that_nobody_waits_for_what_it_is_at(engine: ProcessTranscriber) -> None:
    unwanted = of_length(breakable.PATIENT)
    engine.hurry(unwanted)
    engine.load()
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(engine.transcribe, unwanted)
        engine.hurry(unwanted)  # however far the request has come
    assert done.result().text.startswith(f"{breakable.PATIENT} ")
    engine.hurry(unwanted)
    assert engine.transcribe(of_length(5)).text == "5 7 stop True"
    engine.close()
    engine.ended.result(SOON)
    engine.hurry(unwanted)


def test_what_is_no_audio_does_not_reach_it(engine: ProcessTranscriber) -> None:
    engine.load()
    with pytest.raises(EngineFailed, match="is not PCM16 audio"):
        engine.transcribe(utterance(np.zeros((2, 3), np.int16)))
    assert engine.transcribe(of_length(5)).text == "5 7 stop True"


def test_an_utterance_before_load_is_a_failure() -> None:
    with pytest.raises(EngineFailed, match="not loaded"):
        proxy().transcribe(of_length(5))
    proxy().close()


def test_whisper_says_the_same_in_a_process() -> None:
    engine = ProcessTranscriber(WhisperTranscriber, TranscriptionSettings())
    engine.load()
    try:
        done = engine.transcribe(utterance(recording("u05")))
        assert (done.text, done.engine, done.model) == (TEXTS["u05"], "faster-whisper", "bundled")
    finally:
        engine.close()


# A model that is not to be had


def test_a_missing_model_comes_with_its_remedy() -> None:
    engine = proxy("missing")
    with pytest.raises(ModelUnavailable, match="it is not here") as caught:
        engine.load()
    assert caught.value.remedy == "bring it"
    assert engine.ended.result(SOON) == "the recognizer's process ended with status 0"
    with pytest.raises(ModelUnavailable, match="it is not here"):
        engine.load()


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("killed", r"process was killed \(SIGKILL\), perhaps because memory ran out"),
        ("broken", "process ended with status 1: ZeroDivisionError: a bug in load"),
        ("stopped", r"process was not heard for 0\.\d+ s"),
    ],
)
def test_a_process_that_dies_while_loading_says_why(model: str, why: str) -> None:
    engine = proxy(model, silence_seconds=0.7 if model == "stopped" else SOON)
    with pytest.raises(EngineDied, match=why):
        engine.load()
    assert not is_alive(engine.pid)


# Its deaths


@pytest.mark.parametrize(
    ("length", "why"),
    [
        (breakable.KILL, r"was killed \(SIGKILL\)"),
        (breakable.CRASH, r"crashed \(Segmentation fault\)"),
        (breakable.EXIT, "ended with status 3: the last words"),
        (breakable.GARBAGE, "talked garbage: "),
        (breakable.PRATTLE, "talked garbage: no message begins with"),
    ],
)
def test_a_death_is_noticed_at_once_and_load_brings_it_back(
    engine: ProcessTranscriber, length: int, why: str
) -> None:
    engine.load()
    pid = engine.pid
    with pytest.raises(EngineDied, match=why):
        engine.transcribe(of_length(length))
    assert not is_alive(pid)
    with pytest.raises(EngineDied, match=why):  # still
        engine.transcribe(of_length(5))
    engine.load()
    assert engine.pid != pid
    assert engine.transcribe(of_length(5)).text == "5 7 stop True"


@pytest.mark.parametrize("length", [breakable.HANG, breakable.STOP])
def test_who_hangs_at_an_utterance_is_killed(length: int) -> None:
    engine = proxy(hang_seconds=0.2)
    engine.load()
    with pytest.raises(EngineDied, match=r"gave no answer for 0\.2 s \(transcription.hang_seconds\)"):
        engine.transcribe(of_length(length))
    assert not is_alive(engine.pid)


def test_a_long_utterance_to_a_stopped_process_does_not_block_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "SECONDS_PER_SECOND", 0.0)
    engine = proxy(hang_seconds=0.2)
    engine.load()
    os.kill(engine.pid, signal.SIGSTOP)
    with pytest.raises(EngineDied, match="gave no answer"):
        engine.transcribe(of_length(64_000))  # more than a pipe holds


def test_a_death_without_work_is_told_too() -> None:
    engine = proxy()
    engine.load()
    os.kill(engine.pid, signal.SIGKILL)
    assert "was killed (SIGKILL)" in engine.ended.result(SOON)


@pytest.mark.slow
def test_a_process_without_work_that_is_not_heard_is_ended() -> None:
    engine = proxy(silence_seconds=5.0)
    engine.load()
    os.kill(engine.pid, signal.SIGSTOP)
    assert engine.ended.result(SOON) == "the recognizer's process was not heard for 5.0 s"


def test_close_ends_what_is_under_way() -> None:
    engine = proxy()
    engine.load()
    closing = threading.Timer(0.1, engine.close)
    closing.start()
    with pytest.raises(EngineDied, match="was closed"):
        engine.transcribe(of_length(breakable.HANG))
    engine.close()
    assert not is_alive(engine.pid)


# Its log


def test_what_it_prints_goes_to_the_log_within_bounds() -> None:
    with capture_logs() as logs:
        engine = proxy("noisy")
        engine.load()
        assert engine.transcribe(of_length(5)).text == "5 7 stop True"
        engine.close()
        engine.ended.result(SOON)
    said = [entry["line"] for entry in logs if entry["event"] == "recognizer's process says"]
    assert said[0] == "this is no message"
    assert [len(line) for line in said[1:3]] == [LINE_BYTES] * 2
    assert len(said) == LINES
    assert [e["log_level"] for e in logs if e["event"].startswith("recognizer's process says too")] == [
        "warning"
    ]


# Its life is its owner's


OWNER = """
import sys
from tests.transcription.breakable import BreakableEngine
from transcription.process.process import ProcessTranscriber
from transcription.settings import TranscriptionSettings
from tests.transcription.process.test_process import of_length
engine = ProcessTranscriber(BreakableEngine, TranscriptionSettings())
engine.load()
print(engine.pid, flush=True)
engine.transcribe(of_length(int(sys.argv[1])))
"""


def test_it_ends_with_an_owner_that_is_killed_even_in_the_middle_of_an_utterance() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", OWNER, str(breakable.HANG)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        watched = os.pidfd_open(pid)
        owner.kill()
    try:
        assert select.select([watched], [], [], SOON)[0]
    finally:
        os.close(watched)


def test_it_does_not_hear_the_terminal_and_is_the_first_to_go_when_memory_runs_out(
    engine: ProcessTranscriber,
) -> None:
    engine.load()
    assert os.getsid(engine.pid) == engine.pid
    assert int(Path(f"/proc/{engine.pid}/oom_score_adj").read_text()) == 500
