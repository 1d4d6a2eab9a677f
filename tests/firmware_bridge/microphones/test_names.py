"""Which microphone is meant by which name."""

from __future__ import annotations

import pytest

from firmware_bridge.microphones.names import assign, fits, inputs, lasting, outputs
from firmware_bridge.microphones.records import SoundDevice

DEVICES = (
    SoundDevice("HDA Intel PCH: ALC3246 Analog (hw:0,0)", 2, 2, 44_100, first_output=True),
    SoundDevice("USB PnP Sound Device: Audio (hw:1,0)", 1, 0, 44_100),
    SoundDevice("USB PnP Sound Device: Audio (hw:2,0)", 1, 0, 44_100),
    SoundDevice("HDMI 0", 0, 8, 48_000),
    SoundDevice("pulse", 32, 32, 44_100, first_input=True),
    SoundDevice("Scarlett [2i2]", 2, 2, 48_000),
)
NAMES = [one.name for one in DEVICES]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("usb pnp*", "USB PnP Sound Device: Audio (hw:1,0)"),
        ("*(hw:2,0)", "USB PnP Sound Device: Audio (hw:2,0)"),
        ("Scarlett [2i2]", "Scarlett [2i2]"),
        ("default", "pulse"),
        ("*", "HDA Intel PCH: ALC3246 Analog (hw:0,0)"),
    ],
)
def test_a_name_or_a_pattern_means_a_microphone(wanted: str, name: str) -> None:
    assert inputs(wanted, DEVICES)[0] == name


@pytest.mark.parametrize("wanted", ["HDMI*", "usb", "Audio", ""])
def test_what_hears_nothing_or_is_called_otherwise_is_not_meant(wanted: str) -> None:
    assert inputs(wanted, DEVICES) == []


def test_a_device_that_is_called_default_comes_before_what_portaudio_takes_for_it() -> None:
    named = (*DEVICES, SoundDevice("default", 2, 2, 44_100))
    assert inputs("default", named) == ["default"]
    assert outputs("default", named) == ["default"]
    assert outputs("default", DEVICES) == ["HDA Intel PCH: ALC3246 Analog (hw:0,0)"]


def test_none_is_given_to_two_and_who_has_no_choice_is_served_first() -> None:
    first, second = NAMES[1:3]
    assert assign({"a": [first, second], "b": [first]}, ()) == {"a": second, "b": first}
    assert assign({"a": [first, second], "b": [first, second], "c": [first, second]}, ()).keys() == {"a", "b"}
    assert assign({"a": [first, second]}, {first}) == {"a": second}
    assert assign({"a": []}, ()) == {}


def test_a_lasting_name_has_no_number_of_a_card_unless_that_tells_two_apart() -> None:
    assert lasting(NAMES[0], NAMES) == "HDA Intel PCH: ALC3246 Analog (hw:*,0)"
    assert fits(lasting(NAMES[0], NAMES), "HDA Intel PCH: ALC3246 Analog (hw:3,0)")
    assert lasting(NAMES[1], NAMES) == NAMES[1]
    assert lasting("pulse", NAMES) == "pulse"
    assert lasting("Scarlett [2i2]", NAMES) == "Scarlett [2i2]"
