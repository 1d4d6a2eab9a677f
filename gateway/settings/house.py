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
    has_standby: Annotated[
        bool,
        Meta(
            description="Whether another gateway takes our place when we die (its standby_for is our name). What is "
            "called durable is in that one's journal, too."
        ),
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
            "postgresql[s]://[user:password@]host[:port]/database, or redis[s]://[user:password@]host[:port][/number]; "
            "with an s it is TLS. Empty: each gateway has its own.",
        ),
    ] = ""
    store_password_file: Annotated[
        str,
        Meta(
            description="A file whose first line is its password, instead of one in the url; a relative name is looked "
            "up among systemd's credentials."
        ),
    ] = ""
    store_name: Annotated[
        str,
        Meta(
            pattern=r"^[a-z][a-z0-9_]{0,47}$",
            description="Under which all of the house lies there: a schema of PostgreSQL's, what keys of Redis begin "
            "with. Another one for each house.",
        ),
    ] = "earshot"
    store_ca_file: Annotated[
        str, Meta(description="Who may have signed its certificate (PEM); empty: the system's list.")
    ] = ""
    store_cert_file: Annotated[str, Meta(description="Our own certificate (PEM), where it wants one.")] = ""
    store_key_file: Annotated[
        str, Meta(description="Its key, without a passphrase; empty: it is in store_cert_file.")
    ] = ""
    store_away_days: Annotated[
        float,
        Meta(
            gt=0,
            le=3_650,
            description="While the store is away, tokens that were known before it went are good for so long: who was "
            "shown out elsewhere meanwhile is in here as long.",
        ),
    ] = 7.0

    @property
    def is_in_row(self) -> bool:
        """Whether another may have our place, or we another's."""
        return self.has_standby or bool(self.standby_for)
