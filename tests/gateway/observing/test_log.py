"""What is logged: one line an event, whatever the event carries; libraries through the same door."""

from __future__ import annotations

import io
import json
import logging
import os
import re
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.observing import log as gateway_log
from gateway.settings.log import LogSettings

SECRET = "turn on the light"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def raise_with(message: str) -> None:
    raise ValueError(message)


def log_failure(event: str, message: str) -> None:
    try:
        raise_with(message)
    except ValueError:
        structlog.get_logger("a").exception(event)


def configured(form: str = "text", level: str = "info", stream: io.StringIO | None = None) -> io.StringIO:
    stream = stream or io.StringIO()
    gateway_log.configure(LogSettings(format=form, level=level), stream, {})  # type: ignore[arg-type]
    return stream


def test_text_on_a_terminal_has_colours() -> None:
    stream = configured("auto", stream=Terminal())
    structlog.get_logger("gateway.x").info("device connected", device="kitchen")
    assert "device connected" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()


def test_an_utterance_is_a_sentence_on_a_terminal_and_whole_at_debug() -> None:
    facts = {
        "device_id": "kitchen",
        "seconds": 1.2,
        "text_ms": 33,
        "answer_ms": 90,
        "outcome": "answered",
        "gaps": 0,
    }
    stream = configured()
    structlog.get_logger("a").info("utterance", **facts)
    assert "kitchen spoke for 1.2 s: text after 33 ms, answered after 90 ms" in stream.getvalue()
    assert "gaps" not in stream.getvalue()
    for form, level in (("text", "debug"), ("json", "info")):
        stream = configured(form, level)
        structlog.get_logger("a").info("utterance", **facts)
        assert "gaps" in stream.getvalue()


def test_elsewhere_each_event_is_a_json_line() -> None:
    stream = configured("auto")
    structlog.get_logger("gateway.x").warning("device lost", device="kitchen", frames=3)
    entry = json.loads(stream.getvalue())
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "device lost", "device": "kitchen", "frames": 3, "level": "warning", "logger": "gateway.x",
    }  # fmt: skip


def test_text_without_a_terminal_has_no_colours() -> None:
    stream = configured("text", stream=io.StringIO())
    structlog.get_logger("a").info("hello", n=1)
    assert re.fullmatch(r"\S+ \S+ \[info +\] hello +\[a\] n=1\n", stream.getvalue())


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_is_the_least_that_is_shown(level: Any, shown: list[str]) -> None:
    stream = configured("json", level)
    for name in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger("a"), name)("event")
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == shown


def test_libraries_speak_through_the_same_door() -> None:
    stream = configured("json")
    logging.getLogger("some.library").warning("it is %s", "late")
    entry = json.loads(stream.getvalue())
    assert (entry["event"], entry["level"], entry["logger"]) == ("it is late", "warning", "some.library")


@pytest.mark.parametrize("name", gateway_log.CHATTY_LIBRARIES)
def test_chatty_libraries_are_heard_at_debug_and_when_they_warn(name: str) -> None:
    stream = configured("json")
    logging.getLogger(name).info("business as usual")
    logging.getLogger(name).warning("something is wrong")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["something is wrong"]
    stream = configured("json", "debug")
    logging.getLogger(name).info("business as usual")
    assert "business as usual" in stream.getvalue()


def test_configuring_again_replaces_what_was_configured() -> None:
    first, second = configured("json"), configured("json")
    structlog.get_logger("a").info("once")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1


def test_what_is_bound_to_the_context_is_in_every_line() -> None:
    stream = configured("json")
    with structlog.contextvars.bound_contextvars(session_id="s_1"):
        structlog.get_logger("a").info("ours")
        logging.getLogger("b").warning("theirs")
    assert [json.loads(line)["session_id"] for line in stream.getvalue().splitlines()] == ["s_1", "s_1"]


# -- forged lines

hostile = st.text(
    st.sampled_from("a \n\r\x1b\x00\x85\u2028\u2029\u202e\x9b\t\"'=\\[") | st.characters(), max_size=20
)


@given(
    event=hostile,
    key=hostile.filter(lambda key: key != "self"),
    value=hostile | st.binary(max_size=8) | st.lists(hostile, max_size=2),
)
def test_no_value_can_forge_a_line_or_steer_a_terminal(event: str, key: str, value: object) -> None:
    stream = io.StringIO()
    gateway_log.configure(LogSettings(format="text"), stream, {})
    structlog.get_logger("a").info(event, **({key: value} if key not in {"event", "timestamp"} else {}))
    logging.getLogger("b").warning("%s", event)
    lines = stream.getvalue().removesuffix("\n").split("\n")
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


@given(message=hostile)
def test_a_traceback_cannot_forge_a_line(message: str) -> None:
    stream = io.StringIO()
    gateway_log.configure(LogSettings(format="text"), stream, {})
    log_failure("it failed", message)
    first, *rest = stream.getvalue().removesuffix("\n").split("\n")
    assert "it failed" in first
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


@given(event=hostile, value=hostile)
def test_a_json_line_is_one_line_and_gives_back_what_was_said(event: str, value: str) -> None:
    stream = io.StringIO()
    gateway_log.configure(LogSettings(format="json"), stream, {})
    structlog.get_logger("a").info(event, value=value)
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().isascii()
    assert json.loads(stream.getvalue())["value"] == value


# -- transcripts


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("level", ["info", "debug"])
@pytest.mark.parametrize("key", sorted(gateway_log.PRIVATE_KEYS))
def test_what_people_said_never_shows_at_info_or_above(form: str, level: str, key: str) -> None:
    stream = configured(form, level)
    for name in ("info", "warning", "error"):
        getattr(structlog.get_logger("a"), name)("utterance done", **{key: SECRET})
    assert SECRET not in stream.getvalue()
    assert f"{len(SECRET)} characters" in stream.getvalue()


def test_what_people_said_shows_at_debug() -> None:
    stream = configured("json", "debug")
    structlog.get_logger("a").debug("utterance done", text=SECRET)
    assert json.loads(stream.getvalue())["text"] == SECRET


# -- the journal


def test_lines_for_the_journal_carry_their_level() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", buffering=1) as stream:
        status = os.fstat(writer)
        gateway_log.configure(
            LogSettings(format="text"), stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        )
        structlog.get_logger("a").info("fine")
        log_failure("broken", "x")
    with os.fdopen(reader) as journal:
        lines = journal.read().splitlines()
    assert lines[0].startswith("<6>")
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines[1:])


def test_another_stream_is_not_the_journal() -> None:
    stream = io.StringIO()
    gateway_log.configure(LogSettings(format="json"), stream, {"JOURNAL_STREAM": "1:2"})
    structlog.get_logger("a").info("fine")
    assert stream.getvalue().startswith("{")


def test_a_json_line_begins_with_when_how_serious_and_what() -> None:
    stream = configured("json")
    structlog.get_logger("a").info("mqtt is healthy", port=1883)
    assert list(json.loads(stream.getvalue())) == ["timestamp", "level", "event", "port", "logger"]
