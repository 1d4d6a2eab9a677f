"""``--agent KIND[:NAME]=WHERE``: agents that come ready-made, named on the command line, in one line each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import click
import msgspec

from gateway.config.configuration import GatewayConfig
from gateway.config.loading import variable_name
from gateway.contract.messages import is_token
from gateway.settings.orchestrator import AgentKind

AGENTS, TEAMS = ("orchestrator", "agents"), ("orchestrator", "teams")
TEAM = "in_turn"
"""Of several that no team is named for."""

_WHERE: Mapping[str, tuple[str, ...]] = {
    "commands": ("commands", "file"),
    "langgraph": ("langgraph", "graph"),
    "openai": ("url",),
    "home-assistant": ("url",),
    "webhook": ("url",),
}
"""Which setting of each kind says where it asks."""
_ORDER = ("commands", "home-assistant", "webhook", "langgraph", "openai")
"""Who is asked before whom: those who know what they do not understand, before those who have an answer to all."""

agent_option = click.option(
    "--agent",
    "agents",
    multiple=True,
    metavar="KIND[:NAME]=WHERE",
    help="Who answers: openai[:NAME]=URL[#MODEL], home-assistant=URL, webhook=URL, commands=FILE, "
    "langgraph=MODULE:NAME. Secrets come from $EARSHOT_AGENT_<NAME>_TOKEN. May be given several times: they are asked "
    "in turn (commands and Home Assistant first), until one has an answer.",
)


def named(agents: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The settings of the agents that were named, by their names. Raises click's errors."""
    found: dict[str, dict[str, Any]] = {}
    for text in agents:
        name, settings = _agent(text)
        if name in found:
            raise click.BadParameter(
                f"two agents are called {name}: give one another name (KIND:NAME=...)", param_hint="--agent"
            )
        found[name] = settings
    return found


def as_settings(config: GatewayConfig, agents: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What is to stand above the environment, so that these agents are there beside those of the configuration."""
    if not agents:
        return {}
    there = msgspec.to_builtins(config.orchestrator)
    together: dict[str, Any] = {**there["agents"], **agents}
    extra = {variable_name(AGENTS): json.dumps(together)}
    if len(together) > 1 and not there["teams"]:
        order = sorted(together, key=lambda name: _place(together[name]["kind"]))
        extra[variable_name(TEAMS)] = json.dumps({TEAM: {"agents": order, "policy": "in_turn"}})
    return extra


def _agent(text: str) -> tuple[str, dict[str, Any]]:
    what, equals, where = text.partition("=")
    kind, colon, name = what.partition(":")
    if not (equals and where) or kind not in _WHERE or (colon and not is_token(name)):
        kinds = ", ".join(kind for kind in get_args(AgentKind) if kind)
        raise click.BadParameter(
            f"expected KIND[:NAME]=WHERE with one of {kinds} and a name of A-Z a-z 0-9 _ -, got {text[:80]!r}",
            param_hint="--agent",
        )
    settings: dict[str, Any] = {"kind": kind}
    if kind == "openai":
        where, _, model = where.partition("#")
        settings["openai"] = {"model": model}
    *sections, last = _WHERE[kind]
    place = settings
    for section in sections:
        place = place.setdefault(section, {})
    place[last] = where
    return name or kind, settings


def _place(kind: str) -> int:
    """Agents of one's own stand in the middle."""
    return _ORDER.index(kind) if kind in _ORDER else _ORDER.index("langgraph")
