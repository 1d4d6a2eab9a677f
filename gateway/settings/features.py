"""The section `features:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from gateway.settings.orchestrator import AgentName

_MaybeName = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{0,64}$")]


class TakeBackSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a feature is worse than what it is compared with, so that it is taken back."""

    requests: Annotated[
        int,
        Meta(
            ge=10,
            le=1_000,
            description="It is judged when so many requests with it, and without, have ended.",
        ),
    ] = 50
    failures_percent: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="Requests without an answer: so many percentage points more of those with it are too many. "
            "100: any number will do.",
        ),
    ] = 5.0
    p95_percent: Annotated[
        float,
        Meta(
            ge=0,
            le=10_000,
            description="The time in which 95 % are answered: so much longer with it (and at least 0.1 s) is too long. "
            "0: any time will do.",
        ),
    ] = 50.0


class FeatureSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something else that is done for some of the sessions, to see whether it is better."""

    percent: Annotated[
        float,
        Meta(ge=0, le=100, description="Of the sessions; which they are, their id and the name decide."),
    ] = 10.0
    team: Annotated[_MaybeName, Meta(description="This team is asked, where it is for what was said.")] = ""
    in_place_of: Annotated[_MaybeName, Meta(description="In place of that team only; empty: of any.")] = ""
    agents: Annotated[
        dict[AgentName, AgentName],
        Meta(max_length=100, description="Or: in each team, in place of which agent another one is asked."),
    ] = {}
    back: TakeBackSettings = TakeBackSettings()
