"""Tools that come along: they know what a language model cannot know, and change nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from gateway.agents.tools.tool import Tool
from gateway.orchestrators.heard import Heard
from gateway.settings.agents.tools import ToolSettings


class Clock:
    """The time of day."""

    name = "time"
    description = "The date and the time of day here, with the day of the week."
    parameters: Mapping[str, Any] = {"type": "object", "properties": {}}
    destructive = False

    async def call(self, arguments: Mapping[str, Any], heard: Heard) -> str:  # noqa: ARG002 - the port's form
        """By this machine's clock and time zone."""
        return time.strftime("%A, %Y-%m-%d %H:%M:%S %Z")


_ALL: Mapping[str, Tool] = {"time": Clock()}


class BuiltinTools:
    """Those that the settings name."""

    def __init__(self, names: Sequence[str]) -> None:
        self._tools = [_ALL[name] for name in names]

    def running(self) -> AbstractAsyncContextManager[object]:
        """They need nothing."""
        return nullcontext()

    def tools(self) -> Sequence[Tool]:
        """Always the same."""
        return self._tools


def source(_name: str, settings: ToolSettings) -> BuiltinTools:
    """As the settings say."""
    return BuiltinTools(settings.builtin)
