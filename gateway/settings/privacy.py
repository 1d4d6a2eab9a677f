"""The section `privacy:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class PrivacySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who gets to see what was said."""

    redact: Annotated[
        bool,
        Meta(
            description="true: listeners, the page and the history learn that something was said, when, and how long "
            "each step took, never the words, nor what an orchestrator calls itself or its failure; speech, and what "
            "devices print, is not kept. Devices and the broker get them as ever."
        ),
    ] = False
