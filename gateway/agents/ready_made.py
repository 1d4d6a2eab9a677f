"""Which agent its settings mean: one that comes ready-made, by its kind. Each is imported where it is wanted."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TypeAlias

from gateway.agents.tokens import token_of
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator
from gateway.settings.orchestrator import AgentSettings

MakeAgent: TypeAlias = Callable[[str, AgentSettings, str], Orchestrator]
"""From an agent's name, its settings and its token. Raises BadOrchestrator for what cannot be."""

MODULES: Mapping[str, str] = {
    "home-assistant": "gateway.agents.home_assistant.agent",
    "openai": "gateway.agents.openai.agent",
    "webhook": "gateway.agents.webhook.agent",
}
"""The module of each kind that is there; it has ``orchestrator``, a MakeAgent."""


def ready_made(name: str, settings: AgentSettings) -> Orchestrator:
    """The agent of that name. Raises BadOrchestrator."""
    token = token_of(name, settings)
    module = MODULES.get(settings.kind)
    if module is None:
        raise BadOrchestrator(f"there is no agent of kind {settings.kind!r} in this version")
    try:
        make: MakeAgent = importlib.import_module(module).orchestrator
    except ModuleNotFoundError as error:
        raise BadOrchestrator(
            f"an agent of kind {settings.kind} needs {error.name}, which is not installed"
        ) from error
    return make(name, settings, token)
