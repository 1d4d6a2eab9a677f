"""The sources of names that are configured. Each is imported where it is wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from gateway.names.house import KnownNames
from gateway.settings.names import NamesSettings


def sources(
    settings: NamesSettings, known: KnownNames
) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """The work of each, by its name; each goes on until it is cancelled. It says in health how it is."""
    if settings.file:
        from gateway.names.file import NamesFile  # noqa: PLC0415

        yield "names of a file", NamesFile(Path(settings.file).expanduser(), known).run
    if settings.home_assistant.url:
        from gateway.names.home_assistant import AssistNames  # noqa: PLC0415

        yield (
            "names of Home Assistant",
            AssistNames(settings.home_assistant, known, settings.refresh_seconds).run,
        )
    if settings.mqtt.url:
        from gateway.names.mqtt import DiscoveredNames  # noqa: PLC0415

        yield "names of MQTT", DiscoveredNames(settings.mqtt, known).run
