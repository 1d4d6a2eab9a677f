"""The section `house:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class HouseSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several gateways and hubs as one house, over the broker they share (docs/house.md)."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{0,48}$",
            description="What this gateway is called among the others; empty: as at the broker (broker.client_id).",
        ),
    ] = ""
    share: Annotated[
        bool,
        Meta(description="Whether what happens here is shown at the others, and here what happens there."),
    ] = False
    standby_for: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{0,64}$",
            description="The gateway whose devices this one takes when it dies; "
            "until then it serves nobody. Empty: none.",
        ),
    ] = ""
    store: Annotated[
        str,
        Meta(
            max_length=1_000,
            description="Where tokens, limits and the history of the whole house are kept: "
            "postgresql://[user:password@]host[:port]/database, or redis[s]://[user:password@]host[:port][/number]. "
            "Empty: each gateway has its own.",
        ),
    ] = ""
    store_password_file: Annotated[
        str,
        Meta(
            description="A file whose first line is its password, instead of one in the url; a relative name is looked "
            "up among systemd's credentials."
        ),
    ] = ""
