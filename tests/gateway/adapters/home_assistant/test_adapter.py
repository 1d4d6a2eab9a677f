"""Home Assistant's MQTT discovery over a real broker: what a house tells, what it is told, and what is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.carriers.mqtt_publication import Publication
from firmware_bridge.simulator.user import ReplyShown
from gateway.contract.events import DeviceEvent
from tests.gateway.adapters.home_assistant.seat import Seat
from tests.record import passes
from tests.system.house import RECORDINGS, House, open_house, text
from tests.system.house import board as board_in

pytestmark = pytest.mark.slow

CONFIG = "homeassistant/device/earshot/device-{}/config"
GATEWAY_CONFIG = "homeassistant/device/earshot/gateway/config"
HERE = "earshot-ha/earshot/device-{}/{}"
AVAILABLE = "earshot-ha/earshot/gateway/available"
OFF = {"transcription": {"enabled": False}}


def settings(url: str, **more: Any) -> dict[str, Any]:
    return {"adapters": {"home_assistant": {"url": url, "seconds": 0.1, **more}}}


async def test_a_device_is_a_device_there_and_is_told_what_is_announced(
    tmp_path: Path, mosquitto: Any
) -> None:
    kitchen = HERE.format("kitchen", "{}")
    said, name = text("u28"), {"devices": {"known": {"kitchen": {"name": "Küche", "room": "Küche"}}}}
    async with Seat.at(mosquitto.url) as seat:
        async with (
            open_house(tmp_path, **settings(mosquitto.url), **name) as house,
            house.board("kitchen") as board,
        ):
            config = await seat.hears(CONFIG.format("kitchen"))
            assert config["device"]["name"] == config["device"]["suggested_area"] == "Küche"
            await seat.hears(GATEWAY_CONFIG)
            await seat.sees(AVAILABLE, b"online")
            await seat.sees(kitchen.format("available"), b"online")
            await board.say(RECORDINGS["u28"].path)
            await seat.said.until(
                lambda: (
                    [one["event_type"] for one in seat.happened(kitchen.format("event"))][:2]
                    == ["heard", "replied"]
                )
            )
            heard, replied = seat.happened(kitchen.format("event"))[:2]
            assert heard["text"] == said
            assert replied["text"]
            await seat.hears(
                kitchen.format("words"), heard=_without_type(heard), replied=_without_type(replied)
            )
            state = await seat.hears(kitchen.format("state"), state="idle")
            assert state["answer_ms"] is None or state["answer_ms"] > 0
            await seat.say(kitchen.format("announce"), b"Das Essen ist fertig")
            await board.told.until(lambda: board.told.of(ReplyShown, text="Das Essen ist fertig"))
            board.unplug()
            await seat.sees(kitchen.format("available"), b"offline")
            assert house.gateway.pipeline.forget("kitchen")
            await seat.sees(CONFIG.format("kitchen"), b"")
            await seat.sees(kitchen.format("state"), b"")
        await seat.sees(AVAILABLE, b"offline")
    async with Seat.at(mosquitto.url) as later:
        assert set(later.kept) == {GATEWAY_CONFIG, AVAILABLE, "earshot-ha/earshot/gateway/state"}
        assert not any(said.encode() in payload for payload in later.kept.values())


def _without_type(happened: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in happened.items() if name != "event_type"}


async def test_what_an_earlier_run_has_told_is_away_and_taken_away_when_it_is_switched_off(
    tmp_path: Path, mosquitto: Any
) -> None:
    async with Seat.at(mosquitto.url) as seat:
        async with open_house(tmp_path, **settings(mosquitto.url)) as house, house.board("hall"):
            await seat.sees(HERE.format("hall", "available"), b"online")
        async with open_house(tmp_path, **settings(mosquitto.url)):
            await seat.sees(HERE.format("hall", "available"), b"offline")
        async with open_house(tmp_path, **settings(mosquitto.url, enabled=False)) as house:
            await seat.sees(CONFIG.format("hall"), b"")
            await passes(lambda: _detail(house).startswith("switched off"))
    async with Seat.at(mosquitto.url) as later:
        assert later.kept == {}


async def test_home_assistant_that_comes_anew_is_told_all_again(tmp_path: Path, mosquitto: Any) -> None:
    async with (
        Seat.at(mosquitto.url) as seat,
        open_house(tmp_path, **settings(mosquitto.url)) as house,
        house.board("attic") as board,
    ):
        await seat.sees(HERE.format("attic", "available"), b"online")
        await board.say(RECORDINGS["u05"].path)
        heard = {"text": text("u05")}
        await seat.said.until(
            lambda: any(
                one.get("text") == text("u05") for one in seat.happened(HERE.format("attic", "event"))
            )
        )
        seat.latest.clear()
        await seat.say("homeassistant/status", b"online")
        told = await seat.hears(HERE.format("attic", "words"))
        assert told["heard"]["text"] == heard["text"]
        for topic in (CONFIG.format("attic"), GATEWAY_CONFIG, HERE.format("attic", "state")):
            await seat.hears(topic)


async def test_a_broker_that_was_away_is_told_all_again_and_health_says_so(
    tmp_path: Path, mosquitto: Any
) -> None:
    async with open_house(tmp_path, **settings(mosquitto.url)) as house, house.board("cellar"):
        await passes(lambda: "1 device" in _detail(house))
        mosquitto.kill()
        await passes(lambda: house.gateway.health.report().components["home_assistant"].state == "degraded")
        mosquitto.start()
        async with Seat.at(mosquitto.url) as seat:
            await seat.sees(HERE.format("cellar", "available"), b"online")
            await seat.hears(CONFIG.format("cellar"))


async def test_orders_that_are_none_are_refused_and_counted(tmp_path: Path, mosquitto: Any) -> None:
    async with (
        Seat.at(mosquitto.url) as seat,
        open_house(tmp_path, **settings(mosquitto.url)) as house,
        house.board("porch") as board,
    ):
        await seat.sees(HERE.format("porch", "available"), b"online")
        here = HERE.format("porch", "announce")
        for payload in (b"", b"   ", b"\xff\xfe", b"x" * 4001, b"y" * 70_000):
            await seat.say(here, payload)
        await seat.say(HERE.format("nobody", "announce"), b"hello")
        await seat.say("earshot-ha/earshot/a/b/c/announce", b"hello")
        await seat.say("earshot-ha/earshot//announce", b"hello")
        await seat.say(here, b"kept by the broker", kept=True)
        await seat.say(here, b"{{ 7 * 7 }}\x00<b>")
        await board.told.until(lambda: len(board.told.of(ReplyShown)) >= 2)
        told = [one.text for one in board.told.of(ReplyShown)]
        assert told == [
            "kept by the broker",
            "{{ 7 * 7 }}\x00<b>",
        ]  # said to whoever was there; not to who comes later
        assert "gateway" not in house.gateway.health.report().components, "nothing went wrong inside"
    (tmp_path / "later").mkdir()
    async with (
        Seat.at(mosquitto.url) as seat,
        open_house(tmp_path / "later", **settings(mosquitto.url)),
        board_in(tmp_path / "later", "porch") as board,
    ):
        await seat.said.until(lambda: seat.said.of(Publication, topic=HERE.format("porch", "words")))
        await seat.say(here, b"said just now")
        await board.told.until(lambda: board.told.of(ReplyShown))
        assert board.told.of(ReplyShown)[0].text == "said just now"


async def test_no_word_of_what_is_said_leaves_a_house_that_redacts(tmp_path: Path, mosquitto: Any) -> None:
    redacting = settings(mosquitto.url) | {"privacy": {"redact": True}}
    async with (
        Seat.at(mosquitto.url) as seat,
        open_house(tmp_path, **redacting) as house,
        house.board("den") as board,
    ):
        config = await seat.hears(CONFIG.format("den"))
        assert config["components"]["transcript"] == {"platform": "sensor"}
        await board.say(RECORDINGS["u28"].path)
        await seat.said.until(lambda: len(seat.happened(HERE.format("den", "event"))) >= 2)
        ours = [
            one.payload for one in seat.said.items if one.topic.startswith(("earshot-ha", "homeassistant"))
        ]
        assert not any(word in payload.lower() for payload in ours for word in (b"living room", b"turn on"))


async def test_thousands_of_devices(tmp_path: Path, mosquitto: Any) -> None:
    most = 2000
    async with Seat.at(mosquitto.url) as seat, open_house(tmp_path, **settings(mosquitto.url)) as house:
        await seat.hears(GATEWAY_CONFIG)
        for number in range(most):
            house.gateway.hub.publish(DeviceEvent(device_id=f"d{number}", user_id="u", state="connected"))
            if number % 200 == 0:
                await _breathe(house, number)
        await seat.hears("earshot-ha/earshot/gateway/state", devices=most)
        await seat.said.until(
            lambda: sum(topic.startswith("homeassistant/device") for topic in seat.latest) == most + 1
        )
        assert house.gateway.hub.stats().slow_consumers == 0


async def _breathe(house: House, number: int) -> None:
    await passes(lambda: house.gateway.hub.stats().published >= number)


async def test_a_broker_wants_a_password_and_the_word_is_helpful(
    tmp_path: Path, guarded_mosquitto: Any
) -> None:
    async with open_house(tmp_path, **settings(guarded_mosquitto.url)) as house:
        await passes(lambda: "home_assistant" in house.gateway.health.report().components)
        component = house.gateway.health.report().components["home_assistant"]
        assert (component.state, component.works) == ("degraded", False)
        assert "adapters.home_assistant" in component.remedy


def _detail(house: House) -> str:
    components = house.gateway.health.report().components
    return str(components["home_assistant"].detail or "") if "home_assistant" in components else ""
