"""What a feature makes of who is asked, and what the end of a team's work says about it. No I/O and no clock."""

from __future__ import annotations

from gateway.pipeline.agents.features import End, Features, Side
from gateway.pipeline.teams.outcome import Cause, TeamOutcome
from gateway.pipeline.teams.plans import Asking, Plans, TeamPlan
from gateway.settings.features import FeatureSettings


def choose(
    features: Features, plans: Plans, asking: Asking, session_id: str
) -> tuple[TeamPlan | None, tuple[Side, ...]]:
    """Who is asked about it, as of which side of which features."""
    plan, sides = plans.choose(asking), []
    for name, settings in features.tried():
        other = _changed(plan, settings, plans, asking) if plan is not None else None
        if other is None:
            continue
        side = features.side(name, session_id)
        sides.append(side)
        plan = other if side.on else plan
    return plan, tuple(sides)


def end_of(outcome: TeamOutcome) -> End | None:
    """None: it says nothing of who would have answered."""
    if outcome.cached:
        return None
    if outcome.error is None:
        return End.ANSWERED
    return End.PUZZLED if outcome.cause is Cause.PUZZLED else End.FAILED


def _changed(plan: TeamPlan, settings: FeatureSettings, plans: Plans, asking: Asking) -> TeamPlan | None:
    """What it makes of a plan; None: it is not about that."""
    if settings.team and settings.in_place_of in ("", plan.name):
        other = plans.named(settings.team, asking, only_if_for=True)
    else:
        other = plans.with_others(plan.name, settings.agents, asking)
    return other if other is not None and other != plan else None
