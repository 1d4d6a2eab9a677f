"""Names out of what Home Assistant answers: its exposed entities with their aliases, its areas and floors. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from gateway.names.tiers import Likely, Named

ASSISTANT = "conversation"
"""The assistant whose entities count: those that voice may command."""

_MEASURED = {
    "air_quality", "binary_sensor", "device_tracker", "event", "image", "number", "select", "sensor", "sun", "update",
    "weather", "zone",
}  # fmt: skip
"""Kinds of entities that hardly anybody calls by their names."""


class AnEntity(Struct, frozen=True):
    """Of ``config/entity_registry/get_entries``."""

    name: str | None = None
    original_name: str | None = None
    area_id: str | None = None
    device_id: str | None = None
    disabled_by: str | None = None
    aliases: tuple[str | None, ...] = ()


class ADevice(Struct, frozen=True):
    """Of ``config/device_registry/list``."""

    id: str
    area_id: str | None = None


class AnArea(Struct, frozen=True):
    """Of ``config/area_registry/list``."""

    area_id: str
    name: str
    aliases: tuple[str, ...] = ()


class AFloor(Struct, frozen=True):
    """Of ``config/floor_registry/list``."""

    name: str
    aliases: tuple[str, ...] = ()


class Exposed(Struct, frozen=True):
    """Of ``homeassistant/expose_entity/list``: which assistants see an entity."""

    exposed_entities: dict[str, dict[str, bool]]

    @property
    def entities(self) -> list[str]:
        """Those that voice may command."""
        return sorted(one for one, seen in self.exposed_entities.items() if seen.get(ASSISTANT))


class Attributes(Struct, frozen=True):
    """Of a state."""

    friendly_name: Any = ""


class AState(Struct, frozen=True):
    """Of ``get_states``."""

    entity_id: str
    attributes: Attributes = Attributes()


class AssistHouse(Struct, frozen=True, kw_only=True):
    """All that it answered."""

    exposed: Exposed
    states: tuple[AState, ...]
    entities: Mapping[str, AnEntity | None]
    devices: tuple[ADevice, ...]
    areas: tuple[AnArea, ...]
    floors: tuple[AFloor, ...]

    def names(self) -> Iterator[Named]:
        """Each entity's name, and behind it its aliases, in its room; then rooms and floors."""
        shown = {one.entity_id: one.attributes.friendly_name for one in self.states}
        rooms = {one.area_id: one.name for one in self.areas}
        of_device = {one.id: one.area_id for one in self.devices}
        for entity_id in self.exposed.entities:
            entry = self.entities.get(entity_id) or AnEntity()
            if entry.disabled_by is not None:
                continue
            room = rooms.get(entry.area_id or of_device.get(entry.device_id or "") or "", "")
            spoken = Likely.MEASURED if entity_id.partition(".")[0] in _MEASURED else Likely.COMMANDED
            name = shown.get(entity_id) or entry.name or entry.original_name
            for each in (name, *entry.aliases):
                if isinstance(each, str):
                    yield Named(each, room, spoken)
        for area in self.areas:
            yield from (Named(each, area.name, Likely.PLACE) for each in (area.name, *area.aliases))
        for floor in self.floors:
            yield from (Named(each, "", Likely.PLACE) for each in (floor.name, *floor.aliases))
