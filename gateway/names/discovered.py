"""Names out of messages of Home Assistant's MQTT discovery, as devices publish them. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.names.tiers import Likely, Named

OURS = "Earshot"
"""The origin of what we tell of microphones: nobody commands them by name."""

_MEASURED = {
    "binary_sensor", "device_automation", "device_tracker", "event", "image", "number", "select", "sensor", "tag",
    "text", "update",
}  # fmt: skip


def names_in(topic: str, payload: bytes, prefix: str) -> Iterator[Named]:
    """The names that a discovery message tells; none for one that is empty, no JSON, or of ours."""
    try:
        told = msgspec.json.decode(payload) if payload else None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        told = None
    if not isinstance(told, dict) or _text(_part(told, "origin", "o"), "name") == OURS:
        return
    device = _part(told, "device", "dev")
    room, called = _text(device, "suggested_area", "sa"), _text(device, "name")
    kind = topic.removeprefix(f"{prefix}/").partition("/")[0]
    if kind == "device":
        parts = told.get("components") or told.get("cmps")
        parts = parts if isinstance(parts, dict) else {}
        entities = [(_text(one, "platform", "p"), one) for one in parts.values() if isinstance(one, dict)]
    else:
        entities = [(kind, told)]
    commanded = any(each not in _MEASURED for each, _ in entities)
    if called:
        yield Named(called, room, Likely.COMMANDED if commanded else Likely.MEASURED)
    if room:
        yield Named(room, room, Likely.PLACE)
    for each, entity in entities:
        name = _text(entity, "name")
        spoken = Likely.MEASURED if each in _MEASURED else Likely.COMMANDED
        if name:
            yield Named(f"{called} {name}" if called else name, room, spoken)


def _part(told: dict[str, Any], *keys: str) -> dict[str, Any]:
    found: dict[str, Any] = next((told[key] for key in keys if isinstance(told.get(key), dict)), {})
    return found


def _text(told: dict[str, Any], *keys: str) -> str:
    return next((told[key] for key in keys if isinstance(told.get(key), str)), "")
