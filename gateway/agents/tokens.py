"""The key or token by which an agent is let in where it asks: a file, the environment, or a credential of systemd's."""

from __future__ import annotations

import os
from collections.abc import Mapping

from firmware_bridge.own_tokens import TokenUnread, own_token
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.settings.orchestrator import AgentSettings


def variable(name: str) -> str:
    """The environment's name for an agent's token."""
    return f"EARSHOT_AGENT_{name.upper().replace('-', '_')}_TOKEN"


def token_of(name: str, settings: AgentSettings, environment: Mapping[str, str] = os.environ) -> str:
    """The agent's token, or "". Raises BadOrchestrator for a file that was named and cannot be read."""
    try:
        return own_token(settings.token_file, variable(name), f"agent-{name}-token", environment)
    except TokenUnread as error:
        raise BadOrchestrator(str(error)) from error


def secret_in(file: str, environment: Mapping[str, str] = os.environ) -> str:
    """What stands in a file that the settings name. Raises BadOrchestrator for one that cannot be read, or is empty."""
    try:
        found = own_token(file, "", "", environment)
    except TokenUnread as error:
        raise BadOrchestrator(str(error)) from error
    if not found:
        raise BadOrchestrator(f"there is nothing in {file}")
    return found
