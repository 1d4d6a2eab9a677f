"""``orchestrator.agents.NAME.webhook``: an agent of kind webhook."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class WebhookSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that is asked by a POST to the agent's url: n8n and the like."""

    header: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9-]{0,64}$",
            description="The header that the agent's token stands in; empty: Authorization, as a bearer's.",
        ),
    ] = ""
