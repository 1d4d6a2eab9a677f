"""What ``earshot flash`` tells a board: from its command line, from a file, and asked of who sits there."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from firmware_bridge.flashing.board_settings import checked
from firmware_bridge.flashing.nvs_keys import BY_NAME
from firmware_bridge.flashing.nvs_pages import NvsValue
from firmware_bridge.flashing.trouble import FlashTrouble
from firmware_bridge.named_files import read_guarded
from gateway.config.strict_yaml import YamlProblem, parse

_GOES_WITH = {"wifi_ssid": ("wifi_pass",), "mqtt_url": ("mqtt_user", "mqtt_pass"), "ws_url": ("ws_token",)}
"""Where the first is told anew, the others are too: the old password belongs to another network."""
_ASKED = {
    "wifi_pass": "Wi-Fi password (empty: an open network)",
    "mqtt_pass": "Password at the MQTT broker (empty: none)",
    "ws_token": "Token of the gateway's (empty: none)",
}


def settings_said(options: Mapping[str, Any]) -> dict[str, NvsValue | None]:
    """What was said and asked for. A name without a value is to be gone."""
    said: dict[str, Any] = _from_file(options["settings_file"]) if options["settings_file"] else {}
    said |= {name: options[name] for name in BY_NAME if options.get(name) is not None}
    if options["device_id"] is not None:
        said["id"] = options["device_id"]
    if options["ca_file"]:
        said["ca_pem"] = _text_of(options["ca_file"])[0]
    gone = {name for name, value in said.items() if value is None}
    for name in (name for first in _GOES_WITH if said.get(first) for name in _GOES_WITH[first]):
        if name not in said:
            said[name] = _asked_for(name)
            gone |= {name} if not said[name] else set()
    return {**checked({name: said[name] for name in said.keys() - gone}), **dict.fromkeys(gone)}


def _asked_for(name: str) -> str:
    if name not in _ASKED or not sys.stdin.isatty():
        return ""
    said: str = click.prompt(_ASKED[name], default="", hide_input=True, show_default=False, err=True)
    return said


def _from_file(path: Path) -> dict[str, Any]:
    """Raises FlashTrouble; no line of it is quoted."""
    text, is_private = _text_of(path)
    try:
        data = parse(text).data
    except YamlProblem as error:
        raise FlashTrouble(f"{path}:{error.line} cannot be read", "lines of `name: value`") from error
    if not isinstance(data, dict) or any(isinstance(value, dict | list) for value in data.values()):
        raise FlashTrouble(f"{path} holds no settings", "lines of `name: value`")
    for name, value in data.items():
        if not isinstance(value, str | None) and name in BY_NAME and BY_NAME[name].type != "u32":
            raise FlashTrouble(  # 0123 is not 123, and nobody would see it
                f"{path}: {name} is a number or a yes or no as it stands there", f'in quotes: {name}: "..."'
            )
    secret = any(BY_NAME[name].secret for name in data.keys() & BY_NAME.keys())
    if secret and not is_private:
        raise FlashTrouble(f"{path} holds secrets and others may look into it", f"chmod 600 {path}")
    return data


def _text_of(path: Path) -> tuple[str, bool]:
    """And whether nobody else may look into it."""
    try:
        data, is_private = read_guarded(path)
        return data.decode("utf-8"), is_private
    except OSError as error:
        raise FlashTrouble(
            f"{path} cannot be read: {error.strerror}", "look whose it is, and what"
        ) from error
    except UnicodeDecodeError as error:
        raise FlashTrouble(f"{path} is no text", "UTF-8") from error
