"""Who is asked about an utterance, and how their answers become one reply: the settings, as a team works by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from msgspec import structs

from gateway.contract.audience import Audience
from gateway.settings.orchestrator import AgentSettings, OrchestratorSettings, TeamSettings, WhoFor

EVERYBODY = "agents"
"""The team where none is named: all agents, and the first good answer is the reply."""


class Policy(StrEnum):
    """When a team has its answer."""

    FIRST = "first"
    IN_TURN = "in_turn"
    ALL = "all"
    QUORUM = "quorum"
    DEADLINE = "deadline"


class Combination(StrEnum):
    """How several answers become one."""

    IN_ORDER = "in_order"
    BEST = "best"
    LAST = "last"
    BY = "by"


@dataclass(frozen=True, slots=True)
class MemberPlan:
    """One agent of a team. ``again``: how often it may be asked once more. Times are in seconds."""

    name: str
    seconds: float
    after: tuple[str, ...] = ()
    again: int = 0
    compensates: bool = False
    role: str = ""


@dataclass(frozen=True, slots=True)
class TeamPlan:
    """Those who are asked about one utterance, in the team's order.

    ``patience``: how long somebody who is not there is waited for. ``combiner`` makes one answer of all of them.
    """

    name: str
    members: tuple[MemberPlan, ...]
    seconds: float
    patience: float
    policy: Policy = Policy.FIRST
    quorum: int = 1
    prefer_seconds: float = 0.0
    partial: bool = True
    show_first: bool = False
    combination: Combination = Combination.IN_ORDER
    combiner: MemberPlan | None = None

    @property
    def candidates(self) -> frozenset[str]:
        """Whose answer may be the reply: not of those who are asked for another one's sake only."""
        if self.policy in (Policy.ALL, Policy.DEADLINE):
            return frozenset(member.name for member in self.members)
        inputs = {name for member in self.members for name in member.after}
        return frozenset(member.name for member in self.members) - inputs


@dataclass(frozen=True, slots=True)
class Asking:
    """What an utterance is chosen by."""

    user_id: str
    device_id: str
    room: str
    language: str
    text: str


class Plans:
    """The teams of a house, in their order."""

    def __init__(self, settings: OrchestratorSettings) -> None:
        self._settings = settings
        self._teams: Mapping[str, TeamSettings] = settings.teams or {
            EVERYBODY: TeamSettings(agents=tuple(settings.agents))
        }

    def __bool__(self) -> bool:
        """Whether agents are asked by name."""
        return bool(self._settings.agents)

    def choose(self, asking: Asking) -> TeamPlan | None:
        """The first team that the utterance is for, with those of its agents that it is for; None: nobody is."""
        for name, team in self._teams.items():
            if _is_for(team, asking) and (plan := self._plan(name, team, asking)).members:
                return plan
        return None

    def named(self, name: str, asking: Asking, *, only_if_for: bool = False) -> TeamPlan | None:
        """The team of that name, as it is for that utterance; None: there is none (any more).

        ``only_if_for``: None as well, where it is not for that.
        """
        team = self._teams.get(name)
        if team is None or (only_if_for and not _is_for(team, asking)):
            return None
        plan = self._plan(name, team, asking)
        return plan if plan.members or not only_if_for else None

    def with_others(self, name: str, others: Mapping[str, str], asking: Asking) -> TeamPlan | None:
        """That team with ``others`` in the place of its agents; None: it has none of them, or they are not for that."""
        team, agents = self._teams.get(name), self._settings.agents
        known = {old: new for old, new in others.items() if new in agents and _is_for(agents[new], asking)}
        if team is None or not known.keys() & {*team.agents, team.combined_by}:
            return None
        return self._plan(name, _replaced(team, known), asking)

    def of(self, agents: tuple[str, ...]) -> TeamPlan:
        """Those who were asked by settings that are not known any more: what they say is the reply."""
        return self._made(EVERYBODY, TeamSettings(agents=agents, policy="all"), agents)

    def joined(self, plan: TeamPlan | None, asked: Iterable[str], combiner: str) -> TeamPlan:
        """The same with all who were asked for it: the settings may not know them any more; None: nor their team."""
        plan = plan or self.of(())
        known = {one.name for one in plan.members}
        others = tuple(self._member(name, (), plan.seconds) for name in asked if name not in known)
        plan = replace(plan, members=plan.members + others)
        if combiner and (plan.combiner is None or plan.combiner.name != combiner):
            one = self._member(combiner, (), plan.seconds)
            plan = replace(plan, combination=Combination.BY, combiner=one)
        return plan

    def _plan(self, name: str, team: TeamSettings, asking: Asking) -> TeamPlan:
        agents = self._settings.agents
        meant = tuple(one for one in team.agents if one in agents and _is_for(agents[one], asking))
        return self._made(name, team, meant)

    def _made(self, name: str, team: TeamSettings, meant: tuple[str, ...]) -> TeamPlan:
        seconds = team.timeout_seconds or self._settings.timeout_seconds
        combiner = self._member(team.combined_by, (), seconds) if team.combine == "by" else None
        return TeamPlan(
            name,
            tuple(self._member(one, self._before(team, one, meant), seconds) for one in meant),
            min(seconds, self._settings.timeout_seconds),
            self._settings.patience_seconds,
            Policy(team.policy),
            team.quorum,
            team.prefer_seconds,
            team.partial,
            team.show_first,
            Combination(team.combine),
            combiner,
        )

    @staticmethod
    def _before(team: TeamSettings, name: str, meant: tuple[str, ...]) -> tuple[str, ...]:
        """Who is not asked about this utterance has nothing to be waited for."""
        return tuple(one for one in team.after.get(name, ()) if one in meant)

    def _member(self, name: str, after: tuple[str, ...], seconds: float) -> MemberPlan:
        agent = self._settings.agents.get(name, AgentSettings())
        return MemberPlan(
            name,
            min(agent.timeout_seconds, seconds),
            after,
            agent.retries if agent.idempotent else 0,
            agent.compensates,
            agent.role,
        )


def _replaced(team: TeamSettings, others: Mapping[str, str]) -> TeamSettings:
    def new(name: str) -> str:
        return others.get(name, name)

    return structs.replace(
        team,
        agents=tuple(dict.fromkeys(map(new, team.agents))),
        combined_by=new(team.combined_by),
        after={new(name): tuple(map(new, before)) for name, before in team.after.items()},
    )


def _is_for(who: WhoFor, asking: Asking) -> bool:
    return Audience(who.users, who.devices, who.rooms, who.languages, who.pattern).includes(asking)
