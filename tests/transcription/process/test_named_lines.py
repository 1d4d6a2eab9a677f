"""Ids before the lines of the recognizer's process: put there, lifted here; whatever an engine prints stays itself."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.transcription import breakable
from tests.transcription.breakable import BreakableEngine
from tests.transcription.speech import utterance
from transcription.errors import EngineFailed
from transcription.names_in_log import LONGEST, NAMED, names_of
from transcription.process.named_lines import NamedLines, NamesTheUtterance, at_work_on, lifted
from transcription.process.process import ProcessTranscriber
from transcription.settings import TranscriptionSettings

NAMES = {"correlation_id": "c_1", "utterance_id": "u_1", "session_id": "s_1", "device_id": "kitchen"}

ids = st.dictionaries(st.sampled_from(NAMED), st.text(min_size=1, max_size=LONGEST), max_size=4)


def line_of(message: str, names: dict[str, str], error: BaseException | None = None) -> str:
    with at_work_on(names):
        exc_info = None if error is None else (type(error), error, error.__traceback__)
        record = logging.LogRecord("somebody", logging.WARNING, "", 1, message, (), exc_info)
        NamesTheUtterance().filter(record)
    return NamedLines("%(name)s: %(message)s").format(record)


@given(ids, st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\x1e\n\r")))
def test_what_is_put_before_a_line_is_lifted(names: dict[str, str], message: str) -> None:
    assert lifted(line_of(message, names)) == (names, f"somebody: {message}")


def test_each_line_of_a_traceback_has_them() -> None:
    try:
        _ = 1 // 0
    except ZeroDivisionError as error:
        text = line_of("it failed", NAMES, error)
    lines = [lifted(line) for line in text.split("\n")]
    assert len(lines) > 3
    assert [names for names, _ in lines] == [NAMES] * len(lines)
    assert lines[-1][1] == "ZeroDivisionError: integer division or modulo by zero"


@given(st.text())
def test_whatever_an_engine_prints_is_a_line(line: str) -> None:
    names, text = lifted(line)
    assert set(names) <= set(NAMED)
    assert text in line


@pytest.mark.parametrize(
    "line", ["\x1e{", "\x1e[1]\x1e text", '\x1e{"correlation_id": 7}\x1e text', "\x1e\x1e", "\x1e{}", "\x1e"]
)
def test_what_only_looks_like_ids_is_none(line: str) -> None:
    assert lifted(line) == ({}, line)


def test_nothing_else_that_is_bound_travels_and_nothing_too_long() -> None:
    bound = {"device_id": "k" * 1000, "user": "anna", "session_id": 5, "correlation_id": ""}
    assert names_of(bound) == {"device_id": "k" * LONGEST}


@pytest.mark.slow
def test_the_process_says_what_it_was_at_when_an_engine_stumbled() -> None:
    """Through the real process: an unforeseen error's traceback comes into the gateway's log under the ids."""
    engine = ProcessTranscriber(BreakableEngine, TranscriptionSettings(model="fine", hang_seconds=20.0))
    with capture_logs() as logs:
        engine.load()
        with structlog.contextvars.bound_contextvars(**NAMES, agent="nobody"), pytest.raises(EngineFailed):
            engine.transcribe(utterance(np.full(breakable.BUG, 7, np.int16)))
        with pytest.raises(EngineFailed):
            engine.transcribe(utterance(np.full(breakable.BUG, 7, np.int16)))
        engine.close()
        engine.ended.result(20.0)
    said = [one for one in logs if one["event"] == "recognizer's process says"]
    named = [one for one in said if one.get("correlation_id") == "c_1"]
    assert named[0]["line"] == "earshot.recognizer: an utterance failed"
    assert named[-1]["line"] == "ZeroDivisionError: a bug of the engine's own"
    assert {name: named[0][name] for name in NAMED} == NAMES
    assert "agent" not in named[0]
    unnamed = [one["line"] for one in said if "correlation_id" not in one]
    assert unnamed[-1] == "ZeroDivisionError: a bug of the engine's own"
