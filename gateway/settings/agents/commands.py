"""``orchestrator.agents.NAME.commands``: an agent of kind commands."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class CommandsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Patterns with slots, and what is said and done where one fits."""

    file: Annotated[
        str,
        Meta(
            description="The file with the commands (YAML, docs/agents.md); 'demo': those of the demo's house."
        ),
    ] = ""
