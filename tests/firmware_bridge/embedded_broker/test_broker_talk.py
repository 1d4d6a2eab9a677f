"""What the embedded broker's process says, and how much of it: its pipes, without the process."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge.embedded_broker import broker as embedded_broker
from firmware_bridge.embedded_broker.broker import EmbeddedBroker, EmbeddedBrokerFailed
from firmware_bridge.embedded_broker.passwords import Passwords

PASSWORDS = Passwords(bytes(32))


def said(data: bytes) -> Any:
    """As much of a process as is looked at, which has said ``data`` and ended."""
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    return SimpleNamespace(stdout=stream)


async def test_a_port_is_a_port() -> None:
    assert await EmbeddedBroker(0, PASSWORDS, "a")._announced_port(said(b'{"port": 1883}\n')) == 1883


async def test_a_reason_comes_with_its_remedy() -> None:
    with pytest.raises(EmbeddedBrokerFailed, match="in use") as failed:
        await EmbeddedBroker(0, PASSWORDS, "a")._announced_port(
            said(b'{"reason": "in use", "remedy": "take another"}\n')
        )
    assert failed.value.remedy == "take another"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"5\n",
        b"[]\n",
        b"{}\n",
        b"null\n",
        b'{"port": "many"}\n',
        b'{"port": 0}\n',
        b'{"reason": 7}\n',
        b'{"reason": "no remedy"}\n',
        b"\xff\xfe\n",
        b"[" * 5000 + b"\n",
        b'{"new": ' + b"[" * 5000 + b"\n",
        b"x" * 100_000,
    ],
)
async def test_anything_else_is_a_failure_in_words(data: bytes) -> None:
    with pytest.raises(EmbeddedBrokerFailed) as failed:
        await EmbeddedBroker(0, PASSWORDS, "a")._announced_port(said(data))
    assert failed.value.reason


@given(st.binary(max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_line_is_worse_than_a_failure(data: bytes) -> None:
    with suppress(EmbeddedBrokerFailed):
        assert isinstance(await EmbeddedBroker(0, PASSWORDS, "a")._announced_port(said(data)), int)


async def test_a_child_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_broker, "START_SECONDS", 0.02)
    silent: Any = SimpleNamespace(stdout=asyncio.StreamReader())
    with pytest.raises(EmbeddedBrokerFailed, match="did not start"):
        await EmbeddedBroker(0, PASSWORDS, "a")._announced_port(silent)
