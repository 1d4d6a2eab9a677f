"""``orchestrator.agents.NAME.webhook``: an agent of kind webhook."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class WebhookSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that is asked by a POST to the agent's url: n8n and the like."""

    token_signs: Annotated[
        bool,
        Meta(
            description="true: the agent's token never leaves the gateway, and signs each question "
            "(X-Earshot-Signature); false: it is sent with each question."
        ),
    ] = False
    header: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9-]{0,64}$",
            description="The header that the agent's token is sent in; empty: Authorization, as a bearer's.",
        ),
    ] = ""
    secret_file: Annotated[
        str,
        Meta(description="The file with a secret that signs each question, beside a token that is sent."),
    ] = ""
    replies_at: Annotated[
        str,
        Meta(
            max_length=256,
            description="Where the program reaches this gateway's page (http://192.168.1.4:8080): each question then "
            "has an address to which an answer that takes longer is posted. Empty: it has none.",
        ),
    ] = ""
    turns: Annotated[
        int, Meta(ge=0, le=32, description="So many of the conversation's last turns go with a question.")
    ] = 6
