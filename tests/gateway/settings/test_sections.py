"""Settings: a section of config.yaml is found under its own name."""

from __future__ import annotations

from typing import get_args, get_type_hints

from gateway.config.configuration import GatewayConfig


def test_a_section_of_the_gateways_own_lies_in_the_file_of_its_name() -> None:
    sections = get_type_hints(GatewayConfig)
    homes = {name: (get_args(section) or (section,))[-1].__module__ for name, section in sections.items()}
    assert homes.pop("devices") == "firmware_bridge.settings"
    assert homes.pop("transcription") == "transcription.settings"
    in_a_room = dict.fromkeys(("alerts", "tracing"), "observing.")
    assert homes == {name: f"gateway.settings.{in_a_room.get(name, '')}{name}" for name in homes}
