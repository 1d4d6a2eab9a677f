"""Names in discovery messages, and how they are read at a broker."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.carriers.mqtt_address import BrokerAddress
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession
from firmware_bridge.carriers.mqtt_publication import Publication
from gateway.names import mqtt
from gateway.names.discovered import names_in
from gateway.names.mqtt import DiscoveredNames
from gateway.names.tiers import LONGEST_NAME, Likely, Named
from gateway.settings.names import DiscoveredNamesSettings
from tests.gateway.names.found import Known
from tests.record import PATIENCE

LAMP = {"name": None, "device": {"name": "Tolomeo", "suggested_area": "Study"}}
ROBOT = {
    "dev": {"name": "Roborock", "sa": "Hall"},
    "o": {"name": "valetudo"},
    "cmps": {"v": {"p": "vacuum"}, "b": {"p": "sensor", "name": "battery"}},
}


def place(room: str) -> Named:
    return Named(room, room, Likely.PLACE)


@pytest.mark.parametrize(
    ("topic", "told", "names"),
    [
        ("light/x/config", LAMP, [Named("Tolomeo", "Study"), place("Study")]),
        ("light/node/x/config", {"name": "Nanoleaf"}, [Named("Nanoleaf")]),
        ("sensor/x/config", {"name": "power", "dev": {"name": "Zappi"}},
         [Named("Zappi", "", Likely.MEASURED), Named("Zappi power", "", Likely.MEASURED)]),
        ("device/x/config", ROBOT,
         [Named("Roborock", "Hall"), place("Hall"), Named("Roborock battery", "Hall", Likely.MEASURED)]),
        ("device/x/config", {"origin": {"name": "Earshot"}, "device": {"name": "Kitchen board"}}, []),
        ("light/x/config", {"name": 12, "device": "?"}, []),
        ("device/x/config", {"components": [1], "device": {"name": "Odd"}}, [Named("Odd", "", Likely.MEASURED)]),
        ("light/x/config", [1, 2], []),
    ],
)  # fmt: skip
def test_what_a_message_names(topic: str, told: object, names: list[Named]) -> None:
    assert list(names_in(f"homeassistant/{topic}", json.dumps(told).encode(), "homeassistant")) == names


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["name", "device", "dev", "cmps", "components", "p", "sa", "o"]), inner),
).map(lambda told: json.dumps(told).encode()))  # fmt: skip
def test_whatever_comes_is_names_or_none(payload: bytes) -> None:
    for topic in ("homeassistant/light/x/config", "homeassistant/device/x/config", "homeassistant/"):
        assert all(isinstance(one.name, str) for one in names_in(topic, payload, "homeassistant"))


def test_of_one_message_only_so_much_is_kept() -> None:
    source = DiscoveredNames(msgspec.convert({"url": "mqtt://127.0.0.1"}, DiscoveredNamesSettings), Known())
    parts = {f"{n}": {"p": "light", "name": f"Lamp {n}" + "x" * 60_000 * (n % 2)} for n in range(400)}
    payload = json.dumps({"cmps": parts, "dev": {"sa": "y" * 60_000}}).encode()
    source._received(Publication(topic="homeassistant/device/x/config", payload=payload))
    (kept,) = source._named.values()
    assert len(kept) == mqtt.MOST_OF_ONE
    assert {one.room for one in kept} == {""}
    assert max(len(one.name) for one in kept) <= LONGEST_NAME


async def told_by(known: Known, names: tuple[str, ...]) -> None:
    async with asyncio.timeout(PATIENCE):
        while known.told("") != names:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.005)


@pytest.mark.slow
async def test_what_a_broker_keeps_is_read_and_followed_and_stays_while_it_is_away(
    mosquitto: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(mqtt, "MOST_TOPICS", 2)
    publisher = await MqttConnection.open(
        BrokerAddress.parse(mosquitto.url), MqttSession(client_id="devices"), lambda _: None
    )
    publisher.publish("homeassistant/light/x/config", json.dumps(LAMP).encode(), retain=True)
    await publisher.ping()
    known = Known()
    settings = msgspec.convert({"url": mosquitto.url}, DiscoveredNamesSettings)
    work = asyncio.create_task(DiscoveredNames(settings, known, settled_seconds=0.01).run())
    try:
        await told_by(known, ("Study", "Tolomeo"))
        publisher.publish("homeassistant/light/n/y/config", b'{"name": "Nanoleaf"}', retain=True)
        await told_by(known, ("Study", "Tolomeo", "Nanoleaf"))
        publisher.publish("homeassistant/light/n/z/config", b'{"name": "Too much"}', retain=True)
        publisher.publish("homeassistant/light/x/config", b"", retain=True)
        await told_by(known, ("Nanoleaf",))
        await publisher.close()
        mosquitto.kill()
        async with asyncio.timeout(PATIENCE):
            while known.how("MQTT").state != "degraded":  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert known.told("") == ("Nanoleaf",)
        assert "names.mqtt.url" in known.how("MQTT").remedy or not known.how("MQTT").remedy
    finally:
        work.cancel()
