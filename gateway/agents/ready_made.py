"""Which agent its settings mean: one that comes ready-made, by its kind. Each is imported where it is wanted."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import NamedTuple, TypeAlias

from gateway.agents.tokens import token_of
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator
from gateway.settings.orchestrator import AgentSettings

MakeAgent: TypeAlias = Callable[[str, AgentSettings, str], Orchestrator]
"""From an agent's name, its settings and its token. Raises BadOrchestrator for what cannot be."""

ProbeAgent: TypeAlias = Callable[[str, AgentSettings, str], Awaitable["Probed"]]
"""The same, for a look at whomever it asks: short, and without cost unless the settings want it otherwise.

Raises BadOrchestrator, and CannotAnswer for somebody who is not there, or not well.
"""

MODULES: Mapping[str, str] = {
    "commands": "gateway.agents.commands.agent",
    "home-assistant": "gateway.agents.home_assistant.agent",
    "langgraph": "gateway.agents.langgraph",
    "openai": "gateway.agents.openai.agent",
    "webhook": "gateway.agents.webhook.agent",
}
"""The module of each kind that is there; it has ``orchestrator``, a MakeAgent, and may have ``probe``, a ProbeAgent."""


class Probed(NamedTuple):
    """What a look at an agent's peer found, for people; a remedy where it could be better."""

    detail: str
    remedy: str = ""


def ready_made(name: str, settings: AgentSettings) -> Orchestrator:
    """The agent of that name. Raises BadOrchestrator."""
    token = token_of(name, settings)
    make: MakeAgent = _module(settings).orchestrator
    return make(name, settings, token)


async def probed(name: str, settings: AgentSettings) -> Probed:
    """What is found at its peer; nothing, where its kind does not look. Raises as a ProbeAgent."""
    probe: ProbeAgent | None = getattr(_module(settings), "probe", None)
    return Probed("") if probe is None else await probe(name, settings, token_of(name, settings))


def _module(settings: AgentSettings) -> ModuleType:
    module = MODULES.get(settings.kind)
    if module is None:
        raise BadOrchestrator(f"there is no agent of kind {settings.kind!r} in this version")
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise BadOrchestrator(
            f"an agent of kind {settings.kind} needs {error.name}, which is not installed"
        ) from error
