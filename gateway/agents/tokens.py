"""The key or token by which an agent is let in where it asks: a file, the environment, or a credential of systemd's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from firmware_bridge.named_files import first_line
from firmware_bridge.servers import in_words
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.settings.orchestrator import AgentSettings

CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"


def variable(name: str) -> str:
    """The environment's name for an agent's token."""
    return f"EARSHOT_AGENT_{name.upper().replace('-', '_')}_TOKEN"


def token_of(name: str, settings: AgentSettings, environment: Mapping[str, str] = os.environ) -> str:
    """The agent's token, or "". Raises BadOrchestrator for a file that was named and cannot be read."""
    credentials = environment.get(CREDENTIALS_VARIABLE, "")
    if settings.token_file:
        return _read(Path(credentials, settings.token_file))
    if told := environment.get(variable(name), ""):
        return told
    usual = Path(credentials, f"agent-{name}-token")
    return _read(usual) if credentials and usual.exists() else ""


def _read(path: Path) -> str:
    try:
        return first_line(path).strip()
    except (OSError, UnicodeError) as error:
        raise BadOrchestrator(f"the token's file {path} cannot be read: {in_words(error)}") from error
