"""What a board is told: each setting within its bounds, and no secret in an error."""

from __future__ import annotations

import pytest

from firmware_bridge.flashing.board_settings import check_together, checked
from firmware_bridge.flashing.nvs_keys import NVS_KEYS
from firmware_bridge.flashing.trouble import FlashTrouble

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
SOUND: dict[str, str | int] = {
    "id": "kitchen-1",
    "room": "Küche",
    "user": "ann",
    "carrier": "mqtt",
    "baud": 921_600,
    "wifi_ssid": "Home",
    "wifi_pass": "correct horse",
    "mqtt_url": "mqtts://box.local:8883",
    "mqtt_user": "kitchen",
    "mqtt_pass": "x",
    "mqtt_prefix": "earshot/v1",
    "ws_url": "wss://[fe80::1]:8080/",
    "ws_token": "earshot_0123",
    "key": "0f" * 32,
    "ca_pem": PEM,
    "image_key": "ab" * 64,
}


def test_sound_ones_are_taken_as_they_are() -> None:
    assert SOUND.keys() == {key.name for key in NVS_KEYS}
    assert checked(SOUND) == {**SOUND, "image_key": b"\xab" * 64}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "kitchen table"),
        ("id", ""),
        ("id", "x" * 65),
        ("room", ""),
        ("room", "x" * 65),
        ("room", "ü" * 33),
        ("room", "a\0b"),
        ("carrier", "smoke"),
        ("baud", "fast"),
        ("baud", 300),
        ("baud", 5_000_000),
        ("wifi_ssid", "x" * 33),
        ("wifi_pass", "short"),
        ("wifi_pass", "x" * 65),
        ("mqtt_url", "http://box"),
        ("mqtt_url", "mqtt://"),
        ("mqtt_url", "mqtt://box:port"),
        ("mqtt_url", "mqtt://kitchen:hunter2@box"),
        ("mqtt_url", "mqtt://[box"),
        ("mqtt_prefix", "/earshot"),
        ("mqtt_prefix", "earshot/#"),
        ("ws_url", "https://box"),
        ("key", "0f" * 31),
        ("key", "zz" * 32),
        ("image_key", "ab" * 63),
        ("image_key", "ab" * 63 + "a "),
        ("ca_pem", "MIIB"),
        ("ca_pem", PEM + "x" * 4000),
    ],
)
def test_others_are_refused_by_name_and_not_by_value(name: str, value: str | int) -> None:
    with pytest.raises(FlashTrouble, match=f"^{name} is not") as error:
        checked({name: value})
    assert error.value.remedy.startswith(f"{name}: ")
    assert "hunter2" not in f"{error.value.reason} {error.value.remedy}"


def test_a_setting_that_there_is_not_is_told_with_those_there_are() -> None:
    with pytest.raises(FlashTrouble, match="no setting 'wifi_password'") as error:
        checked({"wifi_password": "x"})
    assert "wifi_pass" in error.value.remedy


@pytest.mark.parametrize(
    ("settings", "missing", "options"),
    [
        ({"carrier": "mqtt"}, "wifi_ssid and mqtt_url", "--wifi and --broker"),
        ({"carrier": "mqtt", "wifi_ssid": "x"}, "mqtt_url", "--broker"),
        ({"carrier": "websocket", "mqtt_url": "x", "wifi_ssid": "x"}, "ws_url", "--gateway"),
    ],
)
def test_a_carrier_without_its_way_is_told(settings: dict[str, str], missing: str, options: str) -> None:
    with pytest.raises(FlashTrouble, match=f"needs {missing}, too") as told:
        check_together(settings)
    assert told.value.remedy == f"say so by {options}, or in the --settings file"


@pytest.mark.parametrize("settings", [{}, {"carrier": "serial"}, SOUND, {"wifi_ssid": "x"}])
def test_what_is_enough_is_enough(settings: dict[str, str | int]) -> None:
    check_together(settings)
