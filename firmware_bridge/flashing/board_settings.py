"""What a board is told of itself and its house: each setting looked at, and whether together they make sense."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from firmware_bridge.flashing.nvs_keys import BY_NAME, NvsKey
from firmware_bridge.flashing.nvs_pages import NvsValue
from firmware_bridge.flashing.trouble import FlashTrouble
from firmware_bridge.link.frames import is_device_id

CARRIERS: Final = ("serial", "mqtt", "websocket")

_TOPIC: Final = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")
_LEAST_BAUD: Final = 9_600
_KEY_DIGITS: Final = 64
_IMAGE_KEY_BYTES: Final = 64
_WPA_LEAST: Final = 8
_OPTIONS: Final = {"wifi_ssid": "--wifi", "mqtt_url": "--broker", "ws_url": "--gateway"}


def checked(values: Mapping[str, str | int]) -> dict[str, NvsValue]:
    """The settings as they are to stand in NVS. Raises FlashTrouble, which quotes no secret."""
    return {name: _checked(name, value) for name, value in values.items()}


def check_together(settings: Mapping[str, NvsValue]) -> None:
    """Whether a board with exactly these can reach its gateway. Raises FlashTrouble."""
    carrier = str(settings.get("carrier", ""))
    needed = {"mqtt": ("wifi_ssid", "mqtt_url"), "websocket": ("wifi_ssid", "ws_url")}.get(carrier, ())
    missing = [name for name in needed if name not in settings]
    if missing:
        raise FlashTrouble(
            f"a board whose carrier is {carrier} needs {' and '.join(missing)}, too",
            f"say so by {' and '.join(_OPTIONS[name] for name in missing)}, or in the --settings file",
        )


def _checked(name: str, value: str | int) -> NvsValue:
    key = BY_NAME.get(name)
    if key is None:
        raise FlashTrouble(f"a board has no setting {name!r}", f"one of {', '.join(BY_NAME)}")
    if key.type == "u32":
        return _number(key, value)
    text = str(value)
    _REFUSE.get(name, _nothing)(text)
    if key.type == "blob":
        return bytes.fromhex(text)
    size = len(text.encode())
    if not 0 < size <= key.most or "\0" in text:
        raise _bad(name, f"1 to {key.most} bytes of text, not {size}")
    return text


def _number(key: NvsKey, value: str | int) -> int:
    try:
        number = int(value)
    except ValueError as error:
        raise _bad(key.name, "a whole number") from error
    if not _LEAST_BAUD <= number <= key.most:
        raise _bad(key.name, f"{_LEAST_BAUD} to {key.most}")
    return number


def _nothing(_text: str) -> None:
    pass


def _id(text: str) -> None:
    if not is_device_id(text):
        raise _bad("id", "1 to 64 of A-Z a-z 0-9 _ -, single dots between")


def _carrier(text: str) -> None:
    if text not in CARRIERS:
        raise _bad("carrier", f"one of {', '.join(CARRIERS)}")


def _wifi_pass(text: str) -> None:
    if len(text.encode()) < _WPA_LEAST:
        raise _bad(
            "wifi_pass", "8 to 63 characters, as WPA asks for, or 64 hex digits; an open network has none"
        )


def _url_with(name: str, *schemes: str) -> Callable[[str], None]:
    def refuse(text: str) -> None:
        try:
            url = urlsplit(text)
            sound = url.scheme in schemes and bool(url.hostname) and (url.port is None or url.port > 0)
            has_login = url.username is not None or url.password is not None
        except ValueError:
            sound, has_login = False, False
        if not sound:
            raise _bad(
                name, f"{' or '.join(f'{scheme}://' for scheme in schemes)}, a host, and :port where needed"
            )
        if has_login:
            raise _bad(name, "without user and password: those have settings of their own")

    return refuse


def _prefix(text: str) -> None:
    if not _TOPIC.fullmatch(text):
        raise _bad("mqtt_prefix", "levels of A-Z a-z 0-9 _ - with / between")


def _key(text: str) -> None:
    if len(text) != _KEY_DIGITS or not _HEX.fullmatch(text):
        raise _bad("key", f"{_KEY_DIGITS} hex digits")


def _image_key(text: str) -> None:
    if len(text) != 2 * _IMAGE_KEY_BYTES or not _HEX.fullmatch(text):
        raise _bad("image_key", f"{2 * _IMAGE_KEY_BYTES} hex digits: X and Y of a P-256 public key")


def _certificate(text: str) -> None:
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise _bad("ca_pem", "a certificate in PEM")


_REFUSE: Final[Mapping[str, Callable[[str], None]]] = {
    "id": _id,
    "carrier": _carrier,
    "wifi_pass": _wifi_pass,
    "mqtt_url": _url_with("mqtt_url", "mqtt", "mqtts"),
    "ws_url": _url_with("ws_url", "ws", "wss"),
    "mqtt_prefix": _prefix,
    "key": _key,
    "image_key": _image_key,
    "ca_pem": _certificate,
}


def _bad(name: str, wanted: str) -> FlashTrouble:
    return FlashTrouble(f"{name} is not what it has to be", f"{name}: {wanted}")
