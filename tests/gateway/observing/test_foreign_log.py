"""What libraries say in the log: no secret of anybody's, no more than somebody reads."""

from __future__ import annotations

import io
import json
import logging

import pytest
from aiohttp.http_exceptions import BadStatusLine
from hypothesis import given
from hypothesis import strategies as st

from gateway.observing import log as gateway_log
from gateway.observing.foreign_log import BURST, MOST_CHARACTERS, Pace, without_secrets
from gateway.settings.log import LogSettings

TOKENS = (
    "earshot_xbknqw-hzplmv_rtyasdfgcjoieuwmzlqpbnvkxhtrsdgawy",  # one in 20,000 has no digit, or no capital
    "eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiJ0XzEyMyJ9.c2lnbmF0dXJlLW9mLWEtdG9rZW4tdGhhdC1pcy1nb29k",
)
_PIECES = st.sampled_from(
    ["GET / HTTP/1.1", "\\r\\n", ": ", "Cookie: a=", "\x00", "b'", "'", ", ", "Authorization: Bearer "]
)


def logged(name: str, *lines: str, level: str = "warning") -> list[dict[str, str]]:
    stream = io.StringIO()
    gateway_log.configure(LogSettings(level="debug", format="json"), stream)
    for line in lines:
        logging.getLogger(name).log(logging.getLevelName(level.upper()), line)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@given(st.lists(_PIECES), st.sampled_from(TOKENS), st.lists(_PIECES))
def test_a_token_is_found_wherever_it_stands(before: list[str], token: str, after: list[str]) -> None:
    shown = without_secrets("".join(before) + token + "".join(after))
    assert not any(part in shown for part in token.split("."))


@pytest.mark.parametrize(
    ("said", "secret"),
    [
        ("Invalid protocol: earshot.token.eyJhbG", "eyJhbG"),
        ("Client protocols ['realtime', 'openai-insecure-api-key.abc']", "abc"),
        ("Authorization: Bearer abc", "abc"),
        ("b'Cookie: earshot=short; other=1\\r\\n'", "short"),
        ("key Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5 refused", "Zm9v"),
        ("cannot connect to amqp://gateway:p@ss:word@host/", "p@ss"),
        ("cannot connect to redis://:pw@host", "pw@"),
    ],
)
def test_what_is_secret_is_taken_out(said: str, secret: str) -> None:
    assert secret not in without_secrets(said)


def test_what_is_none_stays() -> None:
    said = "Error handling request from 127.0.0.1, port 8080: Bad status line 'EHLO mail.example'"
    assert without_secrets(said) == said


def test_a_traceback_has_none_either() -> None:
    stream = io.StringIO()
    gateway_log.configure(LogSettings(level="info", format="json"), stream)
    try:
        int(f"Invalid header: {TOKENS[1]}")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Error handling request with %s", TOKENS[0])
    assert "Error handling request" in stream.getvalue()
    assert not any(part in stream.getvalue() for token in TOKENS for part in token.split("."))


def test_a_long_line_is_cut_and_many_are_counted() -> None:
    (line,) = logged("aiohttp.server", "x y " * 10_000)
    assert len(line["event"]) < MOST_CHARACTERS + 50
    assert "40000 characters" in line["event"]
    assert len(logged("aiohttp.server", *["again"] * 1_000)) == BURST
    assert len(logged("gateway.web", *["ours"] * 200)) == 200


def test_after_a_while_it_says_how_many_were_left_out() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    record = logging.LogRecord("aiohttp.server", logging.WARNING, "", 1, "oh", (), None)
    assert [pace.filter(record) for _ in range(BURST + 3)].count(True) == BURST
    now = 60.0
    assert pace.filter(record)
    assert record.getMessage() == "oh (and 3 more before it)"


def test_a_malformed_request_is_a_line() -> None:
    stream = io.StringIO()
    gateway_log.configure(LogSettings(level="info", format="json"), stream)
    error = BadStatusLine("EHLO mail.example")
    logging.getLogger("aiohttp.server").error("Error handling request from %s", "127.0.0.1", exc_info=error)
    line = json.loads(stream.getvalue())
    assert (line["level"], "exception" in line) == ("info", False)
    assert "EHLO mail.example" in line["event"]
