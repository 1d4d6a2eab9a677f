"""What is said of servers that cannot be had."""

from __future__ import annotations

import errno

import pytest
from aiohttp import ClientConnectorError
from aiohttp.client_reqrep import ConnectionKey

from firmware_bridge.servers import in_words

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)")
HERE = ConnectionKey(
    "127.0.0.1", 1, is_ssl=False, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
)


@pytest.mark.parametrize(
    "error",
    [
        REFUSED,
        OSError(f"Multiple exceptions: [Errno 101] Connect call failed ('::1', 1, 0, 0), {REFUSED}"),
        ClientConnectorError(HERE, REFUSED),
    ],
    ids=["one address", "several addresses", "a library that says it in its own words"],
)
def test_a_call_that_nobody_takes_is_told_as_the_system_says_it(error: Exception) -> None:
    assert in_words(error) == "Connection refused"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"), "No such file or directory"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "it is no text"),
        (ValueError("the key is protected by a passphrase"), "the key is protected by a passphrase"),
        (ConnectionError("Connect call failed, somehow"), "Connect call failed, somehow"),
        (TimeoutError(), ""),
    ],
    ids=["a file", "no text", "a value", "a call without a number", "nothing said"],
)
def test_whatever_else_it_is_there_are_no_numbers_in_it(error: Exception, words: str) -> None:
    assert in_words(error) == words
