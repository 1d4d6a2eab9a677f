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
