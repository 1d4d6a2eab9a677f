"""Home Assistant's MQTT discovery over a real broker: what a house tells, what it is told, and what is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.simulator.user import ReplyShown
from gateway.adapters.home_assistant import telling
from gateway.contract.events import DeviceEvent
from tests.gateway.adapters.home_assistant.seat import Seat
from tests.record import passes
from tests.servers.certificates import Certificates
from tests.servers.mosquitto import EVERYBODY, Mosquitto, password_options, tls_options
from tests.system.house import RECORDINGS, House, open_house, text

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


async def test_whatever_somebody_else_has_left_at_the_broker_so_much_of_it_is_looked_at(
    tmp_path: Path, mosquitto: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "MOST_LEFT", 2)
    async with Seat.at(mosquitto.url) as seat:
        for name in ("one", "two", "three"):
            await seat.say(CONFIG.format(name), b"{}", kept=True)
            await seat.sees(CONFIG.format(name), b"{}")
    async with open_house(tmp_path, **settings(mosquitto.url, enabled=False)) as house:
        await passes(lambda: _detail(house).startswith("switched off"))
        assert _detail(house).endswith("to forget 2 devices")


async def test_home_assistant_that_comes_anew_is_told_all_again_and_whoever_is_there_what_was_erased(
    tmp_path: Path, mosquitto: Any
) -> None:
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
        house.gateway.hub.forget(lambda _: True)  # as where somebody erases what was said
        await seat.hears(HERE.format("attic", "words"), heard={"text": ""}, replied={"text": ""})


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


async def test_who_does_not_come_back_is_taken_away(
    tmp_path: Path, mosquitto: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Seat.at(mosquitto.url) as seat:
        async with open_house(tmp_path, **settings(mosquitto.url)) as house, house.board("barn"):
            await seat.sees(HERE.format("barn", "available"), b"online")
        monkeypatch.setattr(telling, "LEFT_SECONDS", -1.0)
        async with open_house(tmp_path, **settings(mosquitto.url)):
            await seat.sees(CONFIG.format("barn"), b"")
            await seat.sees(HERE.format("barn", "available"), b"")


async def test_a_broker_that_hangs_holds_nobody_up(tmp_path: Path, mosquitto: Any) -> None:
    async with open_house(tmp_path, **settings(mosquitto.url)) as house, house.board("loft") as board:
        async with Seat.at(mosquitto.url) as seat:
            await seat.sees(HERE.format("loft", "available"), b"online")
        mosquitto.pause()
        await board.say(RECORDINGS["u05"].path)
        await board.told.until(lambda: board.told.of(ReplyShown))
        assert house.gateway.health.report().components["recognizer"].state == "healthy"
        mosquitto.resume()
        async with Seat.at(mosquitto.url) as seat:
            await seat.say("homeassistant/status", b"online")
            told = await seat.hears(HERE.format("loft", "words"))
            assert told["heard"]["text"] == text("u05")


async def test_the_way_to_the_broker_is_guarded(tmp_path: Path, certificates: Certificates) -> None:
    guards = f"{password_options(tmp_path, 'earshot', 'right')}\n" + "\n".join(
        line for line in tls_options(certificates).splitlines() if line != EVERYBODY
    )
    server = Mosquitto(tmp_path, guards).start()
    url = server.tls_url.replace("mqtts://", "mqtts://earshot@")
    password = tmp_path / "password"
    password.write_text("wrong\n")
    guarded = settings(url, ca_file=str(certificates.ca), password_file=str(password))
    try:
        async with open_house(tmp_path, **guarded) as house:
            await passes(lambda: _state(house) == "degraded")
            password.write_text("right\n")  # which is read for each connection
            await passes(lambda: _state(house) == "healthy")
            assert "earshot@" not in _detail(house)
    finally:
        server.kill()


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
        await passes(lambda: "announcements refused: 5" in _detail(house))
        assert "gateway" not in house.gateway.health.report().components, "nothing went wrong inside"


async def test_what_the_broker_has_kept_is_not_announced_whenever_the_gateway_comes(
    tmp_path: Path, keeping_mosquitto: Any
) -> None:
    here = HERE.format("porch", "announce")
    async with (
        open_house(tmp_path, **settings(keeping_mosquitto.url)) as house,
        house.board("porch") as board,
    ):
        async with Seat.at(keeping_mosquitto.url) as seat:
            await seat.sees(HERE.format("porch", "available"), b"online")
            await seat.say(here, b"to whoever is there now", kept=True)
            await board.told.until(lambda: board.told.of(ReplyShown))
        keeping_mosquitto.stop()
        await passes(lambda: _state(house) == "degraded")
        keeping_mosquitto.start()
        await passes(lambda: _state(house) == "healthy")
        async with Seat.at(keeping_mosquitto.url) as seat:
            assert here in seat.kept
            await seat.say(here, b"", kept=True)
            await seat.say(here, b"said just now")
            await board.told.until(lambda: board.told.of(ReplyShown, text="said just now"))
        assert [one.text for one in board.told.of(ReplyShown)] == ["to whoever is there now", "said just now"]


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


def _state(house: House) -> str:
    components = house.gateway.health.report().components
    return components["home_assistant"].state if "home_assistant" in components else ""


def _detail(house: House) -> str:
    components = house.gateway.health.report().components
    return str(components["home_assistant"].detail or "") if "home_assistant" in components else ""
