"""Devices in topics, when each is told of, and what is told of whom."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.home_assistant.discovery import DeviceFacts, Discovery
from gateway.adapters.home_assistant.orders import text_of
from gateway.adapters.home_assistant.pace import TellingPace
from gateway.adapters.home_assistant.topics import GATEWAY, HomeTopics, thing
from gateway.pipeline.asking.typed_text import MAX_CHARACTERS

TOPICS = HomeTopics("homeassistant", "earshot")
HOME_ASSISTANTS = re.compile(r"(\w+)/(?:([a-zA-Z0-9_-]+)/)?([a-zA-Z0-9_-]+)/config")
"""As it takes a discovery topic apart (components/mqtt/discovery.py)."""


@given(st.text(min_size=1, max_size=70))
def test_whatever_a_device_is_called_it_has_a_topic(device_id: str) -> None:
    here = thing(device_id)
    config = TOPICS.config(here)
    assert HOME_ASSISTANTS.fullmatch(config.removeprefix("homeassistant/"))
    assert TOPICS.configured(config) == here != GATEWAY
    assert TOPICS.ordered(TOPICS.announce(here)) == here
    assert json.loads(Discovery(TOPICS, "1").device(DeviceFacts(device_id=device_id)))["components"]


@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_no_two_devices_share_one(one: str, other: str) -> None:
    assert (thing(one) == thing(other)) == (one == other)


@given(st.one_of(st.binary(max_size=64), st.text(max_size=5000).map(str.encode)))
def test_an_order_is_text_or_nothing(payload: bytes) -> None:
    text = text_of(payload)
    assert text == text.strip()
    assert len(text) <= MAX_CHARACTERS
    assert not text or text in payload.decode()


@given(st.text(max_size=40))
def test_no_topic_but_its_own_names_a_device(topic: str) -> None:
    assert TOPICS.ordered(topic) == ""
    assert TOPICS.configured(topic) == ""


def test_a_birth_is_told_at_home_assistants_own_prefix_whatever_its_discovery_goes_by() -> None:
    assert TOPICS.births == ("homeassistant/status",)
    assert HomeTopics("ha", "earshot").births == ("homeassistant/status", "ha/status")


def test_odd_ones_that_look_alike_are_told_apart() -> None:
    alike = {"a.b", "a_b", "a/b", "a b", "device-a", "odd-a", "x" * 64, "x" * 65, "gateway", "earshot"}
    assert len({thing(one) for one in alike}) == len(alike)


def test_all_of_a_device_has_an_id_of_its_own() -> None:
    origin = Discovery(TOPICS, "1")
    told = [origin.gateway(), *(origin.device(DeviceFacts(device_id=one)) for one in ("a", "b"))]
    ids = [one["unique_id"] for message in told for one in json.loads(message)["components"].values()]
    assert len(ids) == len(set(ids)) == 3 + 2 * 8


def test_each_is_told_at_once_and_then_no_more_often_than_that() -> None:
    pace = TellingPace(1.0)
    assert pace.rest(0.0) is None
    pace.changed("a", 10.0)
    assert [*pace.due(10.0)] == ["a"]
    pace.changed("a", 10.1)
    pace.changed("b", 10.2)
    pace.changed("a", 10.3)
    assert [*pace.due(10.3)] == ["b"]
    assert pace.rest(10.5) == 0.5
    assert [*pace.due(11.0)] == ["a"]
    assert pace.rest(11.0) is None
    pace.changed("b", 11.0)
    pace.forget("b")
    assert [*pace.due(99.0)] == []
