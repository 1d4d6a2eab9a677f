"""What is wrong with agents and teams, beyond what single settings can say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import get_args

from firmware_bridge.servers import split_url
from gateway.config import patterns
from gateway.config.mqtt_brokers import credentials_for_nothing, is_mqtt_url
from gateway.config.outline import Contradiction, Path, shown
from gateway.settings.agents.commands import CommandsSettings
from gateway.settings.agents.openai import PROMPT_PLACES
from gateway.settings.agents.webhook import WebhookSettings
from gateway.settings.orchestrator import AgentKind, AgentSettings, OrchestratorSettings, TeamSettings

MOST_AGENTS = 128
"""In one team: so many answers can be handed on in one request."""

_KINDS = tuple(kind for kind in get_args(AgentKind) if kind)
_ASKS_A_SERVER = ("openai", "home-assistant", "webhook")
_PLACE = re.compile(r"\{(\w+)\}")
_NO_AGENT = AgentSettings()
_APP = re.compile(r"(builtin|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*|)")


def contradictions(settings: OrchestratorSettings) -> Iterator[Contradiction]:
    """All of it, with where it stands."""
    if settings.agents and settings.app not in ("auto", ""):
        message = "it is not looked at where agents are named: name it in orchestrator.agents, with its app"
        yield (("orchestrator", "app"),), message
    yield from _tokens(settings)
    for name, agent in settings.agents.items():
        here = ("orchestrator", "agents", name)
        if not _APP.fullmatch(agent.app):
            yield ((*here, "app"),), f"expected builtin, module:name or nothing, got {shown(agent.app)}"
        yield from _kind(agent, here)
        yield from _servers(agent, here)
        yield from _webhook(agent.webhook, (*here, "webhook"))
        yield from _prompt(agent.openai.prompt, (*here, "openai", "prompt"))
        if agent.retries > 1 and not agent.idempotent:
            yield ((*here, "retries"),), "it is not looked at without idempotent: true"
        if agent.cache.seconds and agent.compensates:
            message = "it does something (compensates): what is given again from a cache is not done again"
            yield ((*here, "cache"), (*here, "compensates")), message
        yield from _pattern(agent.pattern, here)
    for name, team in settings.teams.items():
        here = ("orchestrator", "teams", name)
        yield from _pattern(team.pattern, here)
        yield from _members(team, here, settings)
        yield from _policy(team, here)
        yield from _combination(team, here, settings)
        yield from _chains(team, here)


def _tokens(settings: OrchestratorSettings) -> Iterator[Contradiction]:
    """What lets one agent in must not be sent to where another asks."""
    known: dict[str, str] = {}
    for name, agent in settings.agents.items():
        if agent.kind and not agent.token_file:
            first = known.setdefault(name.upper().replace("-", "_"), name)
            if first != name:
                message = f"its token would be {first}'s, in the same variable; call it otherwise"
                yield (("orchestrator", "agents", name),), message


def _kind(agent: AgentSettings, here: Path) -> Iterator[Contradiction]:
    if agent.kind and agent.app:
        yield ((*here, "app"),), f"it is not looked at with kind: {agent.kind}"
    if agent.process and not (agent.kind or agent.app):
        yield (
            ((*here, "process"),),
            "it is for an app or a kind; what connects through the broker has its own anyway",
        )
    if agent.kind in _ASKS_A_SERVER and not agent.url:
        yield ((*here, "url"),), f"kind: {agent.kind} asks a server; name its address (http://host:port)"
    elif agent.url and agent.kind not in _ASKS_A_SERVER:
        yield ((*here, "url"),), "it is not looked at with kind: " + (agent.kind or "''")
    elif agent.url and not _is_http(agent.url):
        yield ((*here, "url"),), "expected http[s]://host[:port][/path], without a user, a query or a #"
    if agent.kind == "langgraph" and not agent.langgraph.graph:
        yield ((*here, "langgraph", "graph"),), "expected the graph, as module:name, got nothing"
    if agent.kind == "commands":
        yield from _commands(agent.commands, (*here, "commands"))
    for kind in _KINDS:
        section = kind.replace("-", "_")
        if agent.kind != kind and getattr(agent, section) != getattr(_NO_AGENT, section):
            yield (
                ((*here, section),),
                f"it is for kind: {kind}, and not looked at with kind: {agent.kind or repr('')}",
            )


def _webhook(webhook: WebhookSettings, here: Path) -> Iterator[Contradiction]:
    if webhook.replies_at and not _is_http(webhook.replies_at):
        message = f"expected http[s]://host[:port] of this gateway's page, got {shown(webhook.replies_at)}"
        yield ((*here, "replies_at"),), message


def _commands(commands: CommandsSettings, here: Path) -> Iterator[Contradiction]:
    if not commands.file:
        yield ((*here, "file"),), "expected the file with the commands, or demo, got nothing"
    if commands.mqtt.url and not is_mqtt_url(commands.mqtt.url):
        message = f"expected mqtt[s]://[user:password@]host[:port] or nothing, got {shown(commands.mqtt.url)}"
        yield ((*here, "mqtt", "url"),), message
    yield from credentials_for_nothing(commands.mqtt, (*here, "mqtt"))
    for name, argv in commands.shell.items():
        if not argv[0].startswith("/") or "{" in argv[0]:
            message = f"expected the program's whole path, without slots, got {shown(argv[0])}"
            yield ((*here, "shell", name),), message


def _servers(agent: AgentSettings, here: Path) -> Iterator[Contradiction]:
    yield from _servers_names(list(agent.openai.tools.servers), (*here, "openai", "tools", "servers"))
    for name, server in agent.openai.tools.servers.items():
        path = (*here, "openai", "tools", "servers", name)
        if bool(server.command) == bool(server.url):
            yield ((*path, "command"), (*path, "url")), "one of the two says where the server is"
        elif server.url and not _is_http(server.url):
            yield ((*path, "url"),), "expected http[s]://host[:port][/path], without a user, a query or a #"
        for key in ("args", "env") if server.url else ("token_file", "ca_file"):
            if getattr(server, key):
                yield ((*path, key),), f"it is not looked at with {'url' if server.url else 'command'}"


def _servers_names(names: list[str], here: Path) -> Iterator[Contradiction]:
    """One server must not give a tool under the name of another's, for which that one is allowed."""
    for name in names:
        for other in names:
            if name.startswith(f"{other}_"):
                message = (
                    f"a tool of {other} could be called like one of {name} ({name}_...); name them otherwise"
                )
                yield ((*here, name),), message


def _prompt(prompt: str, path: Path) -> Iterator[Contradiction]:
    for place in _PLACE.findall(prompt):
        if place not in PROMPT_PLACES:
            known = ", ".join(f"{{{one}}}" for one in PROMPT_PLACES)
            yield (path,), f"there is no {{{place}}}; there are {known}"


def _is_http(url: str) -> bool:
    try:
        parts = split_url(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.username is None


def _pattern(pattern: str, here: Path) -> Iterator[Contradiction]:
    if wrong := patterns.mistake(pattern):
        yield ((*here, "pattern"),), f"{wrong}, got {shown(pattern)}"


def _members(team: TeamSettings, here: Path, settings: OrchestratorSettings) -> Iterator[Contradiction]:
    path = (*here, "agents")
    if not team.agents:
        yield (path,), "a team of nobody; name its agents"
    for i, name in enumerate(team.agents):
        if name not in settings.agents:
            yield ((*path, i),), _unknown(name, settings)
        elif name in team.agents[:i]:
            yield ((*path, i),), f"{name} is in it already"
    if len(team.agents) > MOST_AGENTS:
        yield (path,), f"a team has at most {MOST_AGENTS} agents, got {len(team.agents)}"


def _unknown(name: str, settings: OrchestratorSettings) -> str:
    known = ", ".join(settings.agents) or "none"
    return f"there is no agent {shown(name)} in orchestrator.agents ({known:.200})"


def _policy(team: TeamSettings, here: Path) -> Iterator[Contradiction]:
    wanted = {
        "quorum": ("quorum", team.quorum > 1),
        "prefer_seconds": ("first", team.prefer_seconds > 0),
        "partial": ("all", not team.partial),
    }
    for key, (policy, is_set) in wanted.items():
        if is_set and team.policy != policy:
            yield (
                ((*here, key), (*here, "policy")),
                f"it is for policy: {policy}, and not looked at with {team.policy}",
            )


def _combination(team: TeamSettings, here: Path, settings: OrchestratorSettings) -> Iterator[Contradiction]:
    by, path = team.combined_by, (*here, "combined_by")
    if team.combine == "by" and not by:
        yield (path,), "combine: by needs the agent that makes one answer of all"
    elif by and team.combine != "by":
        yield (path, (*here, "combine")), f"it is not looked at with combine: {team.combine}"
    elif by and by not in settings.agents:
        yield (path,), _unknown(by, settings)
    elif by in team.agents:
        yield (path,), f"{by} would combine its own answer; take it out of the team's agents"
    most = len(_whose_answers_count(team))
    if team.policy == "quorum" and 0 < most < team.quorum:
        yield ((*here, "quorum"),), f"of {most} agents whose answers count it cannot have {team.quorum}"


def _whose_answers_count(team: TeamSettings) -> set[str]:
    """Not of those who are asked for another one's sake only."""
    return set(team.agents) - {name for before in team.after.values() for name in before}


def _chains(team: TeamSettings, here: Path) -> Iterator[Contradiction]:
    path = (*here, "after")
    if team.after and team.policy == "in_turn":
        yield (path, (*here, "policy")), "with policy in_turn the order of the agents is the chain"
        return
    for name, before in team.after.items():
        for one in (name, *before):
            if one not in team.agents:
                yield ((*path, name),), f"{shown(one)} is not in the team"
    if cycle := _cycle(team):
        yield (path,), f"nobody would begin: {' after '.join(cycle)}"


def _cycle(team: TeamSettings) -> list[str]:
    """Agents each of which waits for the next; the last is the first. Empty: there are none."""
    try:
        TopologicalSorter(team.after).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found[::-1]
    return []
