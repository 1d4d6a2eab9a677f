"""The agents that the configuration names: who is there, how they do, and who is left alone for now."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from gateway.access.principals import Right
from gateway.contract.redaction import without_words
from gateway.settings.orchestrator import OrchestratorSettings
from gateway.web.api.operation import Call, Operation, Token
from gateway.web.entrance.problems import not_found

if TYPE_CHECKING:
    from gateway.pipeline.agents.answer_cache import CacheFigures
    from gateway.pipeline.agents.copies import AgentCopy
    from gateway.pipeline.agents.roster import AgentStanding


class AgentInstance(Struct, frozen=True, kw_only=True):
    """One copy of an agent, in its own words. ``seen``: when it said so last (Unix time)."""

    instance: str
    version: str
    description: str
    answering: int
    concurrency: int
    answered: int
    failed: int
    seen: float


class KeptAnswers(Struct, frozen=True, kw_only=True):
    """What of its answers is there to be given again, and how often it was (``hits``) and was not (``misses``)."""

    hits: int
    misses: int
    entries: int
    bytes: int


class Agent(Struct, frozen=True, kw_only=True):
    """One agent, as the gateway knows it since its start.

    ``state``: here, absent, or unknown, which is for the first seconds. ``breaker``: closed (it is asked), open (it is
    left alone, for it failed too often) or half open (it is asked once, to see). ``failed`` includes ``timed_out``.
    The times, of its last 256 answers, are 0 where there is none; ``seen`` (Unix time) is 0 where it never was.
    ``last_error``: for those who may see everything. ``unreadable``: why what it says of itself cannot be read.
    ``cache``: null, where none of its answers is given again.
    """

    name: str
    state: str
    inside: bool
    breaker: str
    teams: tuple[str, ...]
    instances: tuple[AgentInstance, ...]
    asked: int
    answered: int
    failed: int
    timed_out: int
    p50_ms: float
    p95_ms: float
    last_error: str
    seen: float
    unreadable: str
    cache: KeptAnswers | None = None


class AgentList(Struct, frozen=True, kw_only=True):
    """In the order of the configuration. ``strangers``: who says to be there under a name that no setting has."""

    agents: tuple[Agent, ...]
    strangers: tuple[str, ...]


class WhichAgent(Struct, frozen=True, kw_only=True):
    """An agent by its name."""

    agent: Token


class ToWhat(Struct, frozen=True, kw_only=True):
    """``text``: only its answers to that, by whomever and wherever it was said."""

    text: Annotated[str, Meta(max_length=500)] = ""


class ForgottenAnswers(Struct, frozen=True, kw_only=True):
    """How many are not given again."""

    forgotten: int


async def forget_answers(call: Call[WhichAgent, ToWhat, None]) -> ForgottenAnswers:
    """What it has answered is not given again: it is asked anew."""
    roster = call.parts.running().pipeline.agents
    cache = None if roster is None else roster.answers.of(call.path.agent)
    if cache is None:
        raise not_found("agent whose answers are given again")
    return ForgottenAnswers(forgotten=cache.invalidate(call.query.text))


async def list_agents(call: Call[None, None, None]) -> AgentList:
    """All of them; none, where the configuration names none."""
    running = call.parts.running()
    roster, config = running.pipeline.agents, running.config
    if roster is None:
        return AgentList(agents=(), strangers=())
    now = asyncio.get_running_loop().time()
    shown = _Shown(
        config.orchestrator,
        since=time.time() - now,
        redact=config.privacy.redact,
        errors=not call.principal.is_scoped,
    )
    return AgentList(agents=tuple(map(shown.agent, roster.standings(now))), strangers=roster.strangers(now))


class _Shown:
    """How agents are shown to one who asks. ``errors``: also in their own words. ``since``: when the clock began."""

    def __init__(self, settings: OrchestratorSettings, *, since: float, redact: bool, errors: bool) -> None:
        self._inside = {name for name, agent in settings.agents.items() if agent.app}
        self._teams = _teams(settings)
        self._since = since
        self._redact = redact
        self._errors = errors

    def agent(self, one: AgentStanding) -> Agent:
        figures = one.figures
        return Agent(
            name=one.name,
            state=_state(one),
            inside=one.name in self._inside,
            breaker=one.breaker.value,
            teams=self._teams.get(one.name, ()),
            instances=tuple(map(self._instance, one.copies)),
            asked=figures.asked,
            answered=figures.answered,
            failed=figures.failed,
            timed_out=figures.timed_out,
            p50_ms=1000 * figures.p50_seconds,
            p95_ms=1000 * figures.p95_seconds,
            last_error=self._error(figures.last_error),
            seen=0.0 if one.seen_at is None else one.seen_at + self._since,
            unreadable=one.unreadable,
            cache=_kept(one.cache),
        )

    def _instance(self, copy: AgentCopy) -> AgentInstance:
        said = copy.presence
        return AgentInstance(
            instance=said.instance,
            version=said.version,
            description=said.description,
            answering=said.answering,
            concurrency=said.concurrency,
            answered=said.answered,
            failed=said.failed,
            seen=copy.seen_at + self._since,
        )

    def _error(self, text: str) -> str:
        if not self._errors:
            return ""
        return (without_words(text) or "") if self._redact and text else text


def _kept(figures: CacheFigures | None) -> KeptAnswers | None:
    return None if figures is None else KeptAnswers(**dataclasses.asdict(figures))


def _state(one: AgentStanding) -> str:
    if not one.is_known:
        return "unknown"
    return "here" if one.is_present else "absent"


def _teams(settings: OrchestratorSettings) -> Mapping[str, tuple[str, ...]]:
    teams: dict[str, tuple[str, ...]] = {}
    for name, team in settings.teams.items():
        members = {*team.agents, *([team.combined_by] if team.combined_by else [])}
        for agent in members:
            teams[agent] = (*teams.get(agent, ()), name)
    return teams


OPERATIONS = (
    Operation(
        name="listAgents", method="GET", path="/agents", right=Right.LISTEN, run=list_agents,
        summary="The agents that are named: who is there, and how they do", answer=AgentList,
    ),
    Operation(
        name="forgetAnswers", method="DELETE", path="/agents/{agent}/cache", right=Right.GOVERN, run=forget_answers,
        summary="What an agent has answered is not given again", path_type=WhichAgent, query=ToWhat,
        answer=ForgottenAnswers,
        problems=(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
)  # fmt: skip
