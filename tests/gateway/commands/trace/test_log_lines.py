"""A log's lines as they are read: ours, journald's, a terminal's; and whatever else a log has."""

from __future__ import annotations

import io
import json

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.trace.log_lines import LONGEST_LINE, MOST_LINES, about, parsed
from gateway.observing.log import configure
from gateway.settings.log import LogSettings

OURS = {
    "timestamp": "2026-12-01T13:45:31.123456Z",
    "level": "warning",
    "event": "messages wait for the broker",
    "correlation_id": "c_1",
    "reason": "it is away",
}


def journald(message: object) -> str:
    return json.dumps({"MESSAGE": message, "_SYSTEMD_UNIT": "earshot.service", "PRIORITY": "4"})


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(OURS),
        f"<4>{json.dumps(OURS)}",
        journald(json.dumps(OURS)),
        journald(f"<4>{json.dumps(OURS)}"),
        journald(list(json.dumps(OURS).encode())),
    ],
)
def test_a_line_of_ours_in_whatever_it_travelled(text: str) -> None:
    line = parsed(text)
    assert line is not None
    assert (line.level, line.event, line.at) == ("warning", "messages wait for the broker", 1796132731.123456)
    assert line.facts == {"correlation_id": "c_1", "reason": "it is away"}


def test_a_terminals_line_as_the_log_writes_it() -> None:
    stream = io.StringIO()
    configure(LogSettings(format="text"), stream, {})
    structlog.get_logger("x").warning("reply waits for its device", correlation_id="c_1", reason="it is away")
    line = parsed(stream.getvalue())
    assert line is not None
    assert (line.level, line.event, line.ids()) == ("warning", "reply waits for its device", {"c_1"})
    assert line.facts["reason"] == "it is away"
    assert line.at > 0


@given(st.text())
def test_whatever_is_in_a_log_is_a_line_or_none(text: str) -> None:
    line = parsed(text)
    assert line is None or line.event is not None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", "{}", '{"event": 7}', journald(None), journald([999]), journald(["x"]), "[" * 5000, '{"a":' * 5000,
     "Traceback (most recent call last):", '{"event": "x", "timestamp": "yesterday"}'],
)  # fmt: skip
def test_what_is_none_of_ours_does_no_harm(text: str) -> None:
    line = parsed(text)
    assert line is None or line.at == 0.0


def log_of(*lines: dict[str, object] | str | bytes) -> io.BytesIO:
    raw = (
        one if isinstance(one, bytes) else (one if isinstance(one, str) else json.dumps(one)).encode()
        for one in lines
    )
    return io.BytesIO(b"".join(one + b"\n" for one in raw))


def test_what_belongs_together_is_found_whatever_came_first() -> None:
    lines = log_of(
        {"event": "before", "utterance_id": "u_1"},
        {"event": "another's", "utterance_id": "u_2", "correlation_id": "c_2"},
        {"event": "both", "utterance_id": "u_1", "correlation_id": "c_1"},
        {"event": "after", "correlation_id": "c_1"},
        {"event": "together", "correlation_id": "c_1 c_3"},
    )
    found, known = about(lines, {"c_1"})
    assert [line.event for line in found] == ["before", "both", "after", "together"]
    assert {"c_1", "u_1"} <= known


def test_a_requests_id_leads_to_what_it_caused_and_its_own_lines() -> None:
    lines = log_of(
        {"event": "upload", "correlation_id": "r_1"},
        {"event": "first", "utterance_id": "u_1", "correlation_id": "c_1", "causation_id": "r_1"},
        {"event": "second", "utterance_id": "u_2", "correlation_id": "c_2", "causation_id": "r_1"},
        {"event": "answered", "correlation_id": "c_2"},
    )
    found, known = about(lines, {"r_1"})
    assert [line.event for line in found] == ["upload", "first", "second", "answered"]
    assert known == {"r_1", "u_1", "c_1", "u_2", "c_2"}
    assert [line.event for line in about(lines, {"c_2"})[0]] == []  # read to its end
    lines.seek(0)
    assert [line.event for line in about(lines, {"c_2"})[0]] == ["second", "answered"]


def test_too_long_a_line_is_passed_over_and_the_next_is_read() -> None:
    long = json.dumps({"event": "x" * LONGEST_LINE, "correlation_id": "c_1"})
    found, _ = about(log_of(long, {"event": "next", "correlation_id": "c_1"}), {"c_1"})
    assert [line.event for line in found] == ["next"]


def test_of_too_many_lines_the_newest_are_shown() -> None:
    lines = ({"event": str(number), "correlation_id": "c_1"} for number in range(MOST_LINES + 5))
    found, _ = about(log_of(*lines), {"c_1"})
    assert (len(found), found[-1].event) == (MOST_LINES, str(MOST_LINES + 4))


def test_bytes_that_are_no_text_are_passed_over() -> None:
    found, _ = about(log_of(b"\xff\xfe\x00{", {"event": "next", "correlation_id": "c_1"}), {"c_1"})
    assert [line.event for line in found] == ["next"]
