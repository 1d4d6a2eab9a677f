"""Every benchmark can be found and says what it measures; what they share does what it says."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import module_named, names, summary
from benchmarks.dictation import Dictated, speech
from benchmarks.instruments.cache import cached
from benchmarks.instruments.memory import Course, resident_mb
from benchmarks.instruments.report import Bar, percentile
from tests.transcription.speech import utterance
from transcription.audio import SAMPLE_RATE, Samples


@pytest.mark.parametrize("name", names())
def test_a_benchmark_can_be_run_and_says_what_it_is(name: str) -> None:
    assert callable(importlib.import_module(f"benchmarks.{name}").run)
    assert 20 < len(summary(name)) <= 120


@pytest.mark.parametrize("name", ["recognizer_soak", "recognizer-soak", "[recognizer-soak]"])
def test_a_benchmark_goes_by_the_name_that_it_is_called(name: str) -> None:
    assert module_named(name) in names()


def test_what_is_slow_to_make_is_made_once_and_whoever_is_quicker_beside_us_has_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "model.bin").touch()

    def make_beside_another(folder: Path) -> None:
        cached("model", make)
        make(folder)

    place = cached("model", make_beside_another)
    assert cached("model", make) == place
    assert len(made) == 2
    assert [path.name for path in place.parent.iterdir()] == ["model"]
    assert [path.name for path in place.iterdir()] == ["model.bin"]


def ended(command: list[str]) -> tuple[int, str]:
    """Its status and what it complained of. What takes too long ends with all that it started.

    A gateway that was left behind would take the terminals of boards in other tests.
    """
    with subprocess.Popen(
        command, text=True, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            _, errors = process.communicate(timeout=110)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, errors


@pytest.mark.slow
@pytest.mark.parametrize("name", ["startup"])
def test_a_result_is_a_document_of_figures_and_bars(name: str, tmp_path: Path) -> None:
    written = tmp_path / "result.json"
    command = [sys.executable, "-m", "benchmarks", name, "--quick", "--json", str(written)]
    status, errors = ended(command)
    assert status in {0, 1}, errors
    document = json.loads(written.read_text())
    assert (document["name"], document["quick"]) == (name, True)
    assert set(document) == {"name", "machine", "quick", "metrics", "bars"}
    assert all(isinstance(value, int | float | str) for value in document["metrics"].values())
    assert document["bars"]
    assert all(set(bar) == {"what", "value", "limit", "sense", "unit", "ok"} for bar in document["bars"])
    assert all(bar["value"] > 0 for bar in document["bars"])


def test_the_slope_is_that_of_what_came_after_the_warm_up() -> None:
    course = Course()
    for minute in range(120):
        course.note(60 * minute, 500 - minute if minute < 30 else 100 + minute / 30)
    assert course.slope_per_hour(since=30 * 60) == pytest.approx(2)


def test_a_course_is_told_by_what_was_usual_around_a_time() -> None:
    course = Course()
    for minute, megabytes in enumerate([1, 100, 2, 3, 9, 9]):
        course.note(60 * minute, megabytes)
    assert course.around(120, width=240) == 3


def test_memory_of_this_process_is_some_megabytes() -> None:
    assert 10 < resident_mb() < 10_000


def test_a_bar_is_met_at_its_limit() -> None:
    assert Bar("", 1.0, 1.0, "at most").ok
    assert not Bar("", 1.01, 1.0, "at most").ok
    assert Bar("", 1.0, 1.0, "at least").ok


def test_percentiles_are_inclusive() -> None:
    assert percentile([7.0], 95) == 7.0
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0


def test_dictation_is_the_same_every_time_and_ends_in_speech() -> None:
    once, again = (list(speech(60, without_gap=0.0)) for _ in range(2))
    assert [text for text, _ in once] == [text for text, _ in again]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(once, again, strict=True))
    assert sum(len(samples) for _, samples in once) >= 60 * 16_000
    assert len({text for text, _ in once}) > 10
    assert any(a[0] != b[0] for a, b in pairwise(once))


SAID = np.arange(1_000, dtype=np.int16)


@pytest.mark.parametrize(
    ("heard", "torn", "rest"),
    [
        ([SAID[:600], SAID[600:]], 0, 0),
        ([SAID[:600]], 0, 400),
        ([SAID[:600], SAID[601:]], 1, 1),  # lost
        ([SAID[:600], SAID[599:]], 1, 0),  # doubled
        ([SAID, SAID[:1]], 1, 0),  # from nowhere
    ],
)
def test_dictation_sees_a_sample_lost_or_doubled(heard: list[Samples], torn: int, rest: int) -> None:
    done = Dictated()
    done.take(SAID)
    for samples in heard:
        done.hear(utterance(samples))
    assert done.torn == torn
    assert done.rest_seconds == rest / SAMPLE_RATE
