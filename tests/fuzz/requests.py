"""A request's head as it comes off the wire: who it is, whose it is, what it asks for. Refused, or understood."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage

from gateway.web.api import reading, utterances
from gateway.web.entrance import guard
from gateway.web.entrance.addresses import Addresses
from gateway.web.entrance.problems import Problem
from gateway.web.entrance.proxies import Proxies
from gateway.web.listeners import event_stream
from gateway.web.operations.table import OPERATIONS

_LOOP = asyncio.new_event_loop()
asyncio.set_event_loop(_LOOP)
_ADDRESSES = Addresses("0.0.0.0", 8080, names=("earshot.house",))
_PROXIES = Proxies(("127.0.0.0/8", "10.0.0.0/8"))
_PATHS = (b"/", b"/events", b"/api/v1/utterances")
_WAV = bytes(1_000)


def fuzz(data: bytes) -> None:
    query, _, rest = data.partition(b"\n")
    head = (
        b"GET "
        + _PATHS[len(query) % 3]
        + b"?"
        + query.replace(b" ", b"+")
        + b" HTTP/1.1\r\n"
        + rest
        + b"\r\n\r\n"
    )
    parser = HttpRequestParser(BaseProtocol(_LOOP), _LOOP, 2**16)
    try:
        messages, _, _ = parser.feed_data(head)
    except (HttpProcessingError, ValueError):
        return  # aiohttp answers with 400
    for message, body in messages:
        _passes(_request(message, body))


def _request(message: RawRequestMessage, body: StreamReader) -> web.BaseRequest:
    protocol = SimpleNamespace(transport=None, ssl_context=None, peername=None, sockname=None)
    request = web.BaseRequest(message, body, protocol, None, None, _LOOP)  # type: ignore[arg-type]
    assert request.version == HttpVersion11 or request.version
    return request


def _passes(request: Any) -> None:
    headers = request.headers
    text, _ = guard._shown(request, "earshot")
    assert isinstance(text, str)
    _ADDRESSES.admits(headers.get("Host"), headers.get("Origin"))
    forwarded = headers.getall("X-Forwarded-For", ())
    _PROXIES.client("127.0.0.1", forwarded)
    _PROXIES.is_https("127.0.0.1", headers.getall("X-Forwarded-Proto", ()))
    with suppress(web.HTTPException):
        guard.Guard._handshake(None, request)  # type: ignore[arg-type]
    with suppress(web.HTTPException):
        event_stream._subscription(request)
    for operation in OPERATIONS:
        with suppress(Problem):
            reading.check_accepted(headers.getall("Accept", ()), operation.produces)
        if operation.query is not None:
            with suppress(Problem):
                reading.from_query(request.query, operation.query)
    with suppress(Problem):
        response = utterances.ranged(request, _WAV)
        assert len(response.body) <= len(_WAV)
