"""``orchestrator.agents.NAME.openai``: an agent of kind openai."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from gateway.settings.agents.tools import ToolSettings


class ChatSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A language model behind an OpenAI-compatible chat endpoint, at the agent's url."""

    model: Annotated[
        str,
        Meta(max_length=256, description="The model's name there; empty: the first that the server names."),
    ] = ""
    tools: Annotated[ToolSettings, Meta(description="What it may do beside talking.")] = ToolSettings()
