"""Other agents as tools: a model puts something to one of them, in words, and gets what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from gateway.agents.tools.tool import Tool, ToolFailed
from gateway.broker.base import BrokerError
from gateway.orchestrators.heard import CannotAsk, Heard
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.settings.agents.tools import AskedAgent, ToolSettings

MOST_CHARACTERS = 2_000
"""Of what is put to another agent."""


class AskAgent:
    """Puts a text to one agent."""

    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {"text": {"type": "string", "description": "What to say to it, as a person would."}},
        "required": ["text"],
    }

    def __init__(self, agent: str, asked: AskedAgent) -> None:
        self.name = tool_name(agent)
        self.description = asked.description
        self.destructive = asked.confirm
        self._agent = agent

    async def call(self, arguments: Mapping[str, Any], heard: Heard) -> str:
        """What it says. Raises ToolFailed."""
        text = arguments.get("text")
        if not isinstance(text, str) or not 0 < len(text.strip()) <= MOST_CHARACTERS:
            raise ToolFailed(f"text: expected what to say, in 1 to {MOST_CHARACTERS} characters")
        try:
            answer = await heard.ask(self._agent, text)
        except (CannotAsk, BrokerError) as error:
            raise ToolFailed(str(error)) from error
        if answer.error is not None:
            raise ToolFailed(f"{answer.error}: {answer.text}" if answer.text else answer.error)
        return answer.text


class OtherAgentsAsTools:
    """Those that the settings name."""

    def __init__(self, agents: Mapping[str, AskedAgent]) -> None:
        self._tools = [AskAgent(name, asked) for name, asked in agents.items()]

    def running(self) -> AbstractAsyncContextManager[object]:
        """They are asked through whoever asks."""
        return nullcontext()

    def tools(self) -> Sequence[Tool]:
        """Always the same; one that is not there says so when it is asked."""
        return self._tools


def tool_name(agent: str) -> str:
    """What the model calls to ask that agent."""
    return f"ask_{agent}"[:64]


def source(name: str, settings: ToolSettings) -> OtherAgentsAsTools:
    """As the settings say. Raises BadOrchestrator for an agent that would ask itself."""
    if name in settings.agents:
        raise BadOrchestrator(f"tools.agents: {name} cannot ask itself")
    return OtherAgentsAsTools(settings.agents)
