"""Where speech is cut into utterances, asked for in OpenAI's words (``server_vad``)."""

from __future__ import annotations

import msgspec
from msgspec import structs

from transcription.settings import SegmenterSettings


def cut_as_asked(
    configured: SegmenterSettings,
    threshold: float | None,
    prefix_padding_ms: int | None,
    silence_duration_ms: int | None,
) -> SegmenterSettings:
    """As configured, but for what was said. Raises msgspec.ValidationError for what is out of bounds."""
    asked = {"threshold": threshold, "preroll_ms": prefix_padding_ms, "silence_ms": silence_duration_ms}
    said = {name: value for name, value in asked.items() if value is not None}
    return msgspec.convert(msgspec.to_builtins(structs.replace(configured, **said)), SegmenterSettings)
