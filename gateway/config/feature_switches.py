"""What is wrong with features, beyond what single settings can say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from gateway.config.outline import Contradiction, Path, shown
from gateway.settings.features import FeatureSettings
from gateway.settings.orchestrator import OrchestratorSettings


def contradictions(
    features: Mapping[str, FeatureSettings], settings: OrchestratorSettings
) -> Iterator[Contradiction]:
    """All of it, with where it stands."""
    for name, feature in features.items():
        here = ("features", name)
        if not feature.team and not feature.agents:
            yield (here,), "it changes nothing: name a team, or agents in place of others"
        elif feature.team and feature.agents:
            yield ((*here, "agents"), (*here, "team")), "another team or other agents, not both"
        elif feature.team:
            yield from _team(feature, here, settings)
        else:
            yield from _agents(feature, here, settings)


def _team(feature: FeatureSettings, here: Path, settings: OrchestratorSettings) -> Iterator[Contradiction]:
    for key in ("team", "in_place_of"):
        name = getattr(feature, key)
        if name and name not in settings.teams:
            yield ((*here, key),), _unknown("team", name, "orchestrator.teams", settings.teams)
    if feature.team == feature.in_place_of:
        yield ((*here, "in_place_of"), (*here, "team")), "a team in place of itself changes nothing"


def _agents(feature: FeatureSettings, here: Path, settings: OrchestratorSettings) -> Iterator[Contradiction]:
    path = (*here, "agents")
    if feature.in_place_of:
        yield ((*here, "in_place_of"),), "it is not looked at without team"
    for old, new in feature.agents.items():
        missing = next((one for one in (old, new) if one not in settings.agents), None)
        if missing is not None:
            yield ((*path, old),), _unknown("agent", missing, "orchestrator.agents", settings.agents)
        elif not settings.teams:
            yield (
                ((*path, old),),
                f"without orchestrator.teams all agents are asked, {new}, too; name the teams",
            )
        else:
            yield from _beside(old, new, (*path, old), settings)


def _beside(old: str, new: str, path: Path, settings: OrchestratorSettings) -> Iterator[Contradiction]:
    """Whoever is in a team with it cannot take its place there."""
    for name, team in settings.teams.items():
        members = {*team.agents, team.combined_by}
        if old in members and new in members:
            yield (path,), f"{new} is in the team {name} already, with {old}"


def _unknown(what: str, name: str, where: str, known: Collection[str]) -> str:
    return f"there is no {what} {shown(name)} in {where} ({', '.join(known) or 'none':.200})"
