"""The section `sessions:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from gateway.settings.durations import Seconds


class SessionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a conversation outlives its wire."""

    resume_seconds: Annotated[
        Seconds,
        Meta(
            description="A stream whose device vanished is ended after so long; until then it can be resumed."
        ),
    ] = 10.0
    hints_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="A device's conversation goes on until nothing was said or answered for so long. What an "
            "orchestrator asked for (hints), and a detected language, hold for the device's next stream too if it "
            "begins within so long after the last speech or reply.",
        ),
    ] = 60.0
    conversation_turns: Annotated[
        int,
        Meta(
            ge=0,
            le=32,
            description="So many of the last turns of a conversation are remembered and handed to agents with the "
            "next one. 0: none.",
        ),
    ] = 8
    conversation_kb: Annotated[
        int,
        Meta(
            ge=1,
            le=1024,
            description="The same bound, in KiB of text and replies; the oldest are forgotten first. Of what is too "
            "long, the end is cut off: of a text beyond a quarter of it, of a reply beyond half.",
        ),
    ] = 16
    max_sessions: Annotated[int, Meta(ge=1, le=1_000_000, description="Open sessions at once.")] = 1_000
