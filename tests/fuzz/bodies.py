"""What stands in a request to the API (body, names in the path, cursors): Problem, or what its operation wants."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol

from gateway.web.api import reading
from gateway.web.api.cursors import from_cursor, to_cursor
from gateway.web.entrance.problems import Problem
from gateway.web.operations.table import OPERATIONS

_LOOP = asyncio.new_event_loop()
_BODIES = [one.body for one in OPERATIONS if one.body is not None]
_PATHS = [one.path_type for one in OPERATIONS if one.path_type is not None]


class _Request:
    """What is read of one."""

    content_type = "application/json"

    def __init__(self, data: bytes) -> None:
        self.content = StreamReader(BaseProtocol(_LOOP), 2**16, loop=_LOOP)
        self.content.feed_data(data)
        self.content.feed_eof()
        self.content_length = len(data)


def fuzz(data: bytes) -> None:
    for wanted in _BODIES:
        try:
            body = _LOOP.run_until_complete(reading.from_body(_request(data), wanted))
        except Problem as problem:
            _told(problem)
        else:
            msgspec.json.encode(body)
    text = data.decode("utf-8", "replace")
    for path in _PATHS:
        with suppress(Problem):
            reading.from_path(dict.fromkeys(path.__struct_fields__, text), path)
    with suppress(Problem):
        number = from_cursor(text)
        assert not text or to_cursor(number) == text


def _request(data: bytes) -> web.Request:
    return _Request(data)  # type: ignore[return-value]


def _told(problem: Problem) -> None:
    details = msgspec.json.encode(problem.details("c_1"))
    assert len(details) < 64 * 1024
