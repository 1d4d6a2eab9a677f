"""Which word in between the settings mean. Where they mean none, nothing else of this room is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.pipeline.content.port import ContentFilter, NoFilter, Ruling, Way
from gateway.pipeline.sessions.names import UtteranceName
from gateway.settings.content import ContentSettings


def open_filter(
    settings: ContentSettings,
    load: Callable[[str], Callable[..., Any]],
    *,
    note: Callable[[Way, str, Ruling, UtteranceName], None],
    hook_state: Callable[[str], None],
) -> ContentFilter:
    """``load`` finds the function of that name, or raises; the others are told as they are of TextFilter."""
    if not settings.is_on:
        return NoFilter()
    from gateway.pipeline.content.filter import TextFilter  # noqa: PLC0415 - only where something is looked for
    from gateway.pipeline.content.hook import Hook  # noqa: PLC0415

    hook = Hook(load(settings.hook), settings.hook_seconds) if settings.hook else None
    return TextFilter(settings, hook, note=note, hook_state=hook_state)
