"""MQTT 5's properties, written by hand and read by paho."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from firmware_bridge.carriers.mqtt_publication import Packed, Publication

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufeff"), max_size=60)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=8), TEXTS, TEXTS, st.binary(max_size=200))
def test_what_is_packed_is_what_another_reads(
    pairs: list[tuple[str, str]], content_type: str, response_topic: str, correlation: bytes
) -> None:
    packed = Packed(
        Publication(
            topic="t",
            payload=b"",
            user_properties=tuple(pairs),
            content_type=content_type,
            response_topic=response_topic,
            correlation_data=correlation,
        )
    ).pack()
    read: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    _, length = read.unpack(packed)
    assert length == len(packed)
    assert getattr(read, "UserProperty", []) == pairs
    assert getattr(read, "ContentType", "") == content_type
    assert getattr(read, "ResponseTopic", "") == response_topic
    assert getattr(read, "CorrelationData", b"") == correlation


@pytest.mark.parametrize("size", [0, 1, 119, 120, 121, 16_000, 16_375, 16_376, 16_377, 65_535])
def test_every_length_is_written_as_mqtt_has_it(size: int) -> None:
    packed = Packed(Publication(topic="t", payload=b"", correlation_data=b"x" * size)).pack()
    read: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    assert read.unpack(packed)[1] == len(packed)


@pytest.mark.parametrize("field", ["content_type", "response_topic"])
def test_a_text_too_long_for_mqtt_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="65535"):
        Packed(Publication(topic="t", payload=b"", **{field: "ö" * 40_000}))
