"""The section `orchestrator:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from gateway.settings.durations import Seconds


class OrchestratorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who answers, and how long is waited."""

    app: Annotated[
        str,
        Meta(
            description="'module:name' runs your Orchestrator inside the gateway; empty: orchestrators connect "
            "through the broker; 'auto': so, too, but with memory://, which nobody can connect to, the demo's answers. "
            "'builtin': the demo's answers in any case. It switches nothing, and each of its answers says whose it is."
        ),
    ] = "auto"
    timeout_seconds: Annotated[Seconds, Meta(description="A request without a final reply expires then.")] = (
        30.0
    )
    late_seconds: Annotated[
        Seconds, Meta(description="How long an answered or expired request is remembered, for late replies.")
    ] = 300.0
    max_pending: Annotated[int, Meta(ge=1, le=1_000_000, description="Requests remembered at once.")] = 10_000
    fallback_text: Annotated[
        str,
        Meta(max_length=500, description="What a device is told when no answer came in time; may be empty."),
    ] = "Sorry, nobody answered."
