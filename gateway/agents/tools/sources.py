"""Which sources of tools an agent's settings name. Each is imported where it is wanted."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from gateway.agents.tools.tool import ToolSource
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.settings.agents.tools import ToolSettings

MakeSource: TypeAlias = Callable[[str, ToolSettings], ToolSource]
"""From an agent's name and its tools' settings. Raises BadOrchestrator for what cannot be."""

MODULES: Mapping[str, str] = {
    "builtin": "gateway.agents.tools.builtin",
    "agents": "gateway.agents.tools.other_agents",
    "servers": "gateway.agents.mcp.servers",
}
"""The module of each source, by the setting (``tools.NAME``) that wants it where it is not empty.

It has ``source``, a MakeSource.
"""


def sources(name: str, settings: ToolSettings) -> Iterator[ToolSource]:
    """Those of the agent of that name. Raises BadOrchestrator."""
    for setting, module in MODULES.items():
        if not getattr(settings, setting):
            continue
        try:
            make: MakeSource = importlib.import_module(module).source
        except ModuleNotFoundError as error:
            raise BadOrchestrator(f"tools.{setting} needs {error.name}, which is not installed") from error
        yield make(name, settings)
