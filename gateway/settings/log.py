"""The section `log:` of config.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is logged, and how. Transcripts are personal data and never logged at info."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least serious level shown.")
    ] = "info"
    format: Annotated[
        Literal["auto", "text", "json"], Meta(description="auto: text on a terminal, else JSON lines.")
    ] = "auto"
