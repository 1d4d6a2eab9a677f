"""The names in NVS: one table, and everybody who goes by it."""

from __future__ import annotations

import re

import pytest

from docs.plan.house import ROOT
from firmware_bridge.flashing.nvs_keys import (
    DOCUMENT_PATH,
    HEADER_PATH,
    NAME_LENGTH,
    NAMESPACE,
    NVS_KEYS,
    filled,
    header,
    table,
)

STRING_BYTES = 3968
"""Of a string in NVS, with the zero at its end: 4000 for the firmware's library, and less for the generator."""


def test_the_firmwares_header_is_the_table() -> None:
    text = (ROOT / HEADER_PATH).read_text(encoding="utf-8")
    assert text == header(), "run python -m firmware_bridge.flashing.nvs_keys"


def test_the_document_shows_the_table() -> None:
    text = (ROOT / DOCUMENT_PATH).read_text(encoding="utf-8")
    assert table() in text
    assert text == filled(text), "run python -m firmware_bridge.flashing.nvs_keys"


@pytest.mark.parametrize("name", [NAMESPACE, *(key.name for key in NVS_KEYS)])
def test_nvs_takes_the_name(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9_]+", name)
    assert len(name) <= NAME_LENGTH


def test_every_key_stands_once() -> None:
    assert len({key.name for key in NVS_KEYS}) == len(NVS_KEYS)


def test_nvs_holds_the_longest_string() -> None:
    assert all(key.most < STRING_BYTES for key in NVS_KEYS if key.type == "string")


def test_what_is_called_a_password_a_token_or_a_key_is_secret() -> None:
    secret = {key.name for key in NVS_KEYS if key.secret}
    assert secret == {"wifi_pass", "mqtt_pass", "ws_token", "key"}
