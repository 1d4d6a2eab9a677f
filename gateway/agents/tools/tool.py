"""The port of a tool: what a model is told of it, and what happens when it is called.

::

    class Clock:
        name = "time"
        description = "The time of day here."
        parameters = {"type": "object", "properties": {}}
        destructive = False

        async def call(self, arguments, heard):
            return "18:40"

A call is cancelled when its time is over, or when nobody waits for the answer any more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from gateway.orchestrators.heard import Heard

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
"""What models and servers take for the name of a tool."""


class ToolFailed(Exception):
    """It did not do what it was called for; the message tells the model why, in words, and holds nothing secret."""


class Tool(Protocol):
    """One of them. ``parameters``: a JSON schema of an object. ``destructive``: it is done only when confirmed."""

    @property
    def name(self) -> str:
        """As the model calls it (``NAME``); of two that share one, the first is the tool."""

    @property
    def description(self) -> str:
        """What it is for, told to the model."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What its arguments must be; told to the model, and to be checked by the tool."""

    @property
    def destructive(self) -> bool:
        """Whether what it does cannot be taken back, or opens something."""

    async def call(self, arguments: Mapping[str, Any], heard: Heard) -> str:
        """Do it; what came of it, in words or JSON for the model.

        ``arguments``: the JSON object that the model wrote, whatever is in it. Raises ToolFailed.
        """


class ToolSource(Protocol):
    """Where tools come from: it may lose some, and get others, while it runs."""

    def running(self) -> AbstractAsyncContextManager[object]:
        """Around all that is asked of it. What is not there yet is waited for beside, never here."""

    def tools(self) -> Sequence[Tool]:
        """Those that can be called now; looked at before each question to a model."""
