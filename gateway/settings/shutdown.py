"""The section `shutdown:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class ShutdownSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the gateway ends."""

    drain_seconds: Annotated[
        float,
        Meta(gt=0, le=60, description="On SIGTERM: time to finish speech in progress and deliver replies."),
    ] = 8.0
