"""``orchestrator.agents.NAME.home_assistant``: an agent of kind home-assistant."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class AssistSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Home Assistant's conversation, at the agent's url."""

    agent_id: Annotated[
        str,
        Meta(
            max_length=256,
            description="Which of its conversation agents is asked (conversation.home_assistant); empty: its default.",
        ),
    ] = ""
    assistant: Annotated[
        str,
        Meta(
            max_length=256,
            description="Which of its voice assistants is asked, by its name or id; 'preferred': the one that is so "
            "there. Its answers are said as they grow, and where a board is told to it (adapters.home_assistant), "
            "'turn on the light' is that of its area. Empty: its conversation API, which knows neither.",
        ),
    ] = ""
    gateway: Annotated[
        str,
        Meta(
            max_length=64,
            description="What this gateway is called there (adapters.home_assistant.name): by it boards are found.",
        ),
    ] = "earshot"
