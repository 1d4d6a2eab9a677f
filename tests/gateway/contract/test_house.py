"""What gateways and hubs of one house say to each other, as it travels."""

import msgspec
import pytest

from gateway.contract.house import (
    MOST_IN_BATCH,
    EventBatch,
    GatewayPresence,
    decode_batch,
    decode_gateway,
)
from gateway.contract.messages import BadMessage


def test_what_is_written_is_read() -> None:
    batch = EventBatch(gateway="gate-1", epoch="e_1", after=7, events=(msgspec.Raw(b'{"seq":8}'),))
    presence = GatewayPresence(gateway="gate-1", seq=8, url="http://gate-1:8765")
    read = decode_batch(msgspec.json.encode(batch))
    assert [bytes(event) for event in read.events] == [b'{"seq":8}']
    assert read.after == 7
    assert decode_gateway(msgspec.json.encode(presence)) == presence


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b'{"gateway":"a/b","epoch":"e"}',
        b'{"gateway":"a","epoch":"e","after":-1}',
        b'{"gateway":"a","role":"king"}',
        b'{"gateway":"a","epoch":"e","events":[' + b",".join([b"1"] * (MOST_IN_BATCH + 1)) + b"]}",
    ],
)
def test_anything_else_is_refused(payload: bytes) -> None:
    decoders = [decode_batch] if b"role" not in payload else [decode_gateway]
    for decode in decoders:
        with pytest.raises(BadMessage):
            decode(payload)
