"""Tools of a house, which note what is done by them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from gateway.agents.tools.tool import Tool, ToolFailed
from gateway.orchestrator import Heard

WHERE = {"type": "object", "properties": {"where": {"type": "string"}}, "required": ["where"]}


class Device:
    """A tool. ``done`` has the arguments of each call."""

    description = "Does it."
    parameters: Mapping[str, Any] = WHERE

    def __init__(
        self, name: str, *, destructive: bool = False, gives: str = "done", hangs: bool = False
    ) -> None:
        self.name = name
        self.destructive = destructive
        self.done: list[Mapping[str, Any]] = []
        self.gives = gives
        self.hangs = hangs
        self.cut = asyncio.Event()

    async def call(self, arguments: Mapping[str, Any], heard: Heard) -> str:
        self.done.append(arguments)
        if self.hangs:
            try:
                await asyncio.Event().wait()
            finally:
                self.cut.set()
        if self.gives == "fails":
            raise ToolFailed("the lock is jammed")
        if self.gives == "breaks":
            raise KeyError("secret")
        return self.gives


class House:
    """Where they come from."""

    def __init__(self, *devices: Device) -> None:
        self._devices = devices

    def running(self) -> AbstractAsyncContextManager[object]:
        return nullcontext()

    def tools(self) -> Sequence[Tool]:
        return self._devices
