"""What NATS answers to a message: in the stream, or one of our errors."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Struct

from gateway.broker.address import Scheme, resolve
from gateway.broker.backends.nats import NatsWire
from gateway.broker.base import BrokerError, BrokerRefused, BrokerUnavailable, BufferFull
from gateway.settings.broker import BrokerSettings

TOPIC = "pigeon.post"


class Answer(Struct):
    """As much of a message of nats-py as is read."""

    data: bytes
    headers: dict[str, str] | None = None


def nats_wire() -> NatsWire:
    address = resolve("nats://ann:hidden@host", Scheme(4222), BrokerSettings())
    return NatsWire(address, lambda _reason: None)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 400, "err_code": 10060, "description": "expected stream does not match"}, BrokerRefused),
        ({"code": 400, "err_code": 10054, "description": "message size exceeds maximum allowed"}, BufferFull),
        ({"code": 404, "err_code": 10059, "description": "stream not found"}, BrokerRefused),
        ({"code": 500, "err_code": 10047, "description": "insufficient storage"}, BrokerUnavailable),
        ({"code": 503, "err_code": 10077, "description": "maximum messages exceeded"}, BrokerUnavailable),
        ({"code": 429}, BrokerUnavailable),
        ({}, BrokerUnavailable),
        ({"code": 400, "new": "field", "description": "because"}, BrokerRefused),
    ],
)
async def test_whatever_a_stream_does_not_take_is_one_of_our_errors(
    error: dict[str, Any], kind: type[BrokerError]
) -> None:
    with pytest.raises(kind) as caught:
        nats_wire()._check(TOPIC, Answer(msgspec.json.encode({"error": error, "stream": "", "seq": 0})))
    assert "hidden" not in str(caught.value)


async def test_a_stream_that_took_it_says_no_more() -> None:
    nats_wire()._check(TOPIC, Answer(b'{"stream": "earshot=pigeon=post", "seq": 1, "duplicate": true}'))


async def test_nobody_there_to_take_it_is_a_stream_that_is_gone() -> None:
    with pytest.raises(BrokerUnavailable, match="no stream"):
        nats_wire()._check(TOPIC, Answer(b"", {"Status": "503"}))
