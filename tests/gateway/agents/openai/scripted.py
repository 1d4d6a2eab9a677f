"""What a model's server says, as tests have it say it; and an agent that asks it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from gateway.agents.openai.agent import ChatAgent
from gateway.agents.ready_made import ready_made
from gateway.orchestrator import Orchestrator, Rehearsal, Rehearsed
from gateway.settings.agents.openai import ChatSettings
from gateway.settings.orchestrator import AgentSettings
from tests.gateway.agents.openai.house import House
from tests.servers.unruly_http import Told, as_events


def delta(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk."""
    choice = {"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


def words(*texts: str, finish: str = "stop", **how: Any) -> Told:
    """An answer, a chunk each, that ends well."""
    return as_events(delta("", role="assistant"), *map(delta, texts), delta(None, finish), "[DONE]", **how)


def call(name: str, arguments: Mapping[str, Any] | str, id: str = "call_1") -> dict[str, Any]:  # noqa: A002 - theirs
    """A call of a tool, whole."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"index": 0, "id": id, "type": "function", "function": {"name": name, "arguments": written}}


def calls(*them: dict[str, Any], says: str | None = None) -> Told:
    """An answer that calls tools, as Ollama gives it: each in a chunk."""
    chunks = [
        delta(says if not number else None, tool_calls=[one | {"index": number}])
        for number, one in enumerate(them)
    ]
    return as_events(*chunks, delta(None, "tool_calls"), "[DONE]")


def agent(url: str, *, timeout_seconds: float = 20.0, **settings: Any) -> Orchestrator:
    """One called brain, as the settings make it."""
    return ready_made("brain", _settings(url, timeout_seconds, settings))


def agent_with(url: str, house: House, **settings: Any) -> Orchestrator:
    """The same, with tools from elsewhere."""
    made = Orchestrator("brain")
    talker = ChatAgent(made, _settings(url, 20.0, settings), "", [house])
    made.lifespan = talker.running
    made.on_transcript(talker.answer)
    return made


def why(said: Rehearsed) -> str:
    """Why there is no answer, without the agent's name."""
    return (said.end.error or "").removeprefix("brain: ")


@asynccontextmanager
async def stage(url: str, *others: Orchestrator, **settings: Any) -> AsyncIterator[Rehearsal]:
    """That agent, at work."""
    async with Rehearsal(agent(url, **settings), *others) as one:
        yield one


def _settings(url: str, timeout_seconds: float, settings: dict[str, Any]) -> AgentSettings:
    chat = ChatSettings(**({"model": "m"} | settings))
    return AgentSettings(kind="openai", url=f"{url}/v1", timeout_seconds=timeout_seconds, openai=chat)
