"""MQTT 5's properties, written by hand and read by paho; and sessions' names."""

from __future__ import annotations

import resource
import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.broker.backends import mqtt
from gateway.broker.backends.mqtt import _Place
from gateway.broker.backends.mqtt_client import Publication, _Packed
from gateway.broker.base import BrokerUnavailable

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufeff"), max_size=60)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=8), TEXTS, TEXTS, st.binary(max_size=200))
def test_what_is_packed_is_what_another_reads(
    pairs: list[tuple[str, str]], content_type: str, response_topic: str, correlation: bytes
) -> None:
    packed = _Packed(
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
    packed = _Packed(Publication(topic="t", payload=b"", correlation_data=b"x" * size)).pack()
    read: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    assert read.unpack(packed)[1] == len(packed)


@pytest.mark.parametrize("field", ["content_type", "response_topic"])
def test_a_text_too_long_for_mqtt_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="65535"):
        _Packed(Publication(topic="t", payload=b"", **{field: "ö" * 40_000}))


@pytest.mark.parametrize("length", [1, 90, 98, 99, 100, 101, 120, 1_000])
def test_a_name_of_any_length_has_its_place(length: int) -> None:
    """``broker.client_id`` may have 48 characters and a group 64, and the kernel's names have 108 bytes."""
    base = f"{secrets.token_hex(8)}{'x' * length}"[-length:]
    first, second = _Place(base), _Place(base)
    assert (first.name, second.name) == (f"{base}-0", f"{base}-1")
    first.leave()
    third = _Place(base)
    assert third.name == f"{base}-0"
    third.leave()
    second.leave()


def test_a_machine_without_room_is_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    base = f"earshot-{secrets.token_hex(8)}"
    monkeypatch.setattr(mqtt, "PLACES", 1)
    first = _Place(base)
    with pytest.raises(BrokerUnavailable, match="processes have names like this"):
        _Place(base)
    first.leave()


def test_a_socket_that_is_refused_is_a_broker_that_is_away() -> None:
    """Which was an endless loop; the kernel refuses more names than a process may have files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(BrokerUnavailable, match="no name"):
            _Place("earshot-test")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_two_processes_have_two_names_and_a_free_one_is_taken_again() -> None:
    first, second = _Place("earshot-test"), _Place("earshot-test")
    assert (first.name, second.name) == ("earshot-test-0", "earshot-test-1")
    first.leave()
    first.leave()
    third = _Place("earshot-test")
    assert third.name == "earshot-test-0"
    third.leave()
    second.leave()
