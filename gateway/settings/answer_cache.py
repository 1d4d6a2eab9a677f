"""The section `cache:` of an agent in config.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class CacheSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent has answered, kept to be given again."""

    seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=604_800,
            description="A good answer is given again for so long, without the agent being asked; 0: never. Only for "
            "agents that know something: one that does something would not do it again.",
        ),
    ] = 0.0
    entries: Annotated[
        int,
        Meta(ge=1, le=100_000, description="So many answers; the one that nobody wanted for longest goes."),
    ] = 256
    kb: Annotated[int, Meta(ge=1, le=65_536, description="The same bound, in KiB.")] = 256
    by: Annotated[
        tuple[Literal["user", "room"], ...],
        Meta(
            max_length=2,
            description="An answer is given again to the same user, and in the same room (to the same device, where it "
            "is in none). []: to everybody, everywhere.",
        ),
    ] = ("user", "room")
    conversations: Annotated[
        bool,
        Meta(
            description="true: also in the middle of a conversation, whatever was said before: for agents to which "
            "that makes no difference."
        ),
    ] = False
