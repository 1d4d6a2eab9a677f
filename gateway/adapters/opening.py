"""The adapters that are configured. What is not is not even imported: each is loaded here, where it is wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from gateway.adapters.parts import AdapterParts


def adapters(parts: AdapterParts) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """The work of each, by its name; each goes on until it is cancelled. It says in health how it is."""
    settings = parts.config.adapters
    if settings.home_assistant.url:
        from gateway.adapters.home_assistant.adapter import NAME, work  # noqa: PLC0415

        yield NAME, work(parts)
    if settings.wyoming.listen:
        from gateway.adapters.wyoming.at_work import serving  # noqa: PLC0415

        yield "wyoming", serving(parts)
    if settings.wyoming.satellites:
        from gateway.adapters.wyoming.satellites import dialling  # noqa: PLC0415

        yield "wyoming satellites", dialling(parts)
