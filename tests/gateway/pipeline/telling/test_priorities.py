"""How urgent a device is: its own class, its room's, or its user's."""

from __future__ import annotations

import msgspec
import pytest

from firmware_bridge.bridge import Bridge
from firmware_bridge.settings import DeviceSettings, PrioritySettings
from gateway.config.outline import expected
from gateway.hub.hub import Hub
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.fallback_texts import FallbackTexts
from gateway.settings.orchestrator import OrchestratorSettings
from gateway.settings.web import WebSettings
from transcription.priority import Priority
from transcription.settings import TranscriptionSettings

TEXTS = FallbackTexts(OrchestratorSettings(), TranscriptionSettings())

U, N, B = Priority
HOUSE = {
    "users": {"bell": "ann", "desk": "ann", "cot": "bob"},
    "rooms": {"bell": "Hall", "desk": "Study", "cot": "Study"},
    "priorities": {
        "devices": {"bell": "urgent", "clock": "normal"},
        "rooms": {"Study": "background", "Hall": "normal"},
        "users": {"ann": "normal", "bob": "urgent", "guest": "background", "home": "background"},
    },
}


def announcer(settings: DeviceSettings) -> Announcer:
    return Announcer(Bridge(settings, lambda _event: None), Hub(WebSettings()), settings, TEXTS)


@pytest.mark.parametrize(
    ("device_id", "priority", "why"),
    [
        ("bell", U, "its own class wins over its room's and its user's"),
        ("cot", B, "its room's class wins over its user's"),
        ("web-ann", B, "a visitor has its user's class"),
        ("attic", B, "so has a device of the default user"),
        ("clock", N, "normal can be said, too"),
    ],
)
async def test_whose_class_it_is(device_id: str, priority: Priority, why: str) -> None:
    told = announcer(msgspec.convert(HOUSE, DeviceSettings))
    told.adopt("web-ann", "guest")
    assert told.priority(device_id) is priority, why


async def test_nothing_said_is_normal_and_a_change_holds_at_once() -> None:
    told = announcer(DeviceSettings())
    assert told.priority("bell") is N
    told.reconfigure(DeviceSettings(priorities=PrioritySettings(devices={"bell": "urgent"})))
    assert told.priority("bell") is U


def test_the_settings_know_the_classes_that_there_are() -> None:
    classes = ", ".join(Priority)
    for field in msgspec.structs.fields(PrioritySettings):
        assert expected(field.type).endswith(f"each value one of {classes}")
