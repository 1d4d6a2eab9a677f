"""The agent of kind langgraph: a compiled graph of the user's, run for all that is heard, said as it streams.

It is never loaded in the gateway's own process. Its thread is the conversation, so that a graph with a checkpointer
remembers it; one without is told the conversation's last turns.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec

from gateway.agents.confirmation import answers
from gateway.orchestrators.answer import CannotAnswer, Reply
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.loading import load_named
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator
from gateway.settings.agents.langgraph import GraphSettings
from gateway.settings.orchestrator import AgentSettings

MODES = ["messages", "custom", "values"]
SILENT = "the graph ended without an answer"


def orchestrator(name: str, settings: AgentSettings, token: str) -> Orchestrator:  # noqa: ARG001 - the graph has its own
    """That agent. Raises BadOrchestrator."""
    agent = GraphAgent(settings.langgraph, load_named(settings.langgraph.graph))
    made = Orchestrator(name, timeout_seconds=settings.timeout_seconds)
    made.lifespan = agent.running
    made.on_transcript(agent.answer)
    return made


class GraphAgent:
    """``named``: what the settings name. ``running`` is to be entered before it is asked."""

    def __init__(self, settings: GraphSettings, named: Any) -> None:
        self._settings = settings
        self._named = named
        self._graph: Any = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """With the graph made, and what it opens. Raises BadOrchestrator."""
        async with AsyncExitStack() as stack:
            graph = self._named
            if not hasattr(graph, "astream") and callable(graph):
                graph = graph()
                if inspect.isawaitable(graph):
                    graph = await graph
                elif hasattr(graph, "__aenter__"):
                    graph = await stack.enter_async_context(graph)
            if not hasattr(graph, "astream"):
                what = "it is not compiled" if hasattr(graph, "compile") else f"a {type(graph).__name__}"
                raise BadOrchestrator(f"{self._settings.graph} is no compiled graph: {what}")
            self._graph = graph
            yield

    async def answer(self, heard: Heard) -> Reply:
        """What the graph says to it; most of it has travelled before. Raises CannotAnswer."""
        config = {
            "recursion_limit": self._settings.recursion_limit,
            "configurable": {
                "thread_id": heard.conversation_id or heard.session_id,
                "user_id": heard.user_id,
                "device_id": heard.device_id,
                "room": heard.room,
                "language": heard.language,
            },
        }
        run = _Run(heard, self._settings)
        try:
            parts = self._graph.astream(
                await self._input(heard, config), config, stream_mode=MODES, version="v2"
            )
            async for part in parts:
                await run.take(part)
        except Exception as error:
            if type(error).__name__ == "GraphRecursionError":
                steps = self._settings.recursion_limit
                remedy = "let it end, or raise langgraph.recursion_limit"
                raise CannotAnswer(f"the graph goes on after {steps} steps", remedy) from error
            raise
        return run.end()

    async def _input(self, heard: Heard, config: Mapping[str, Any]) -> Any:
        """What is put in: what was said, or, where the graph has asked something, the answer to that."""
        said = [{"role": "user", "content": heard.text}]
        if not getattr(self._graph, "checkpointer", None):
            return {self._settings.messages: [*_turns(heard), *said]}
        open_ones = (await self._graph.aget_state(config)).interrupts
        if open_ones and answers(heard, _question(open_ones[0].value)):  # anything else begins anew
            from langgraph.types import Command  # noqa: PLC0415 - heavy

            return Command(resume=heard.text)
        return {self._settings.messages: said}


class _Run:
    """One answer, as it comes."""

    def __init__(self, heard: Heard, settings: GraphSettings) -> None:
        self._heard = heard
        self._settings = settings
        self._said: dict[str, str] = {}
        """What has been said of each message, in their order."""
        self._state: Any = None
        self._interrupts: Sequence[Any] = ()

    async def take(self, part: Mapping[str, Any]) -> None:
        """One part of the stream, of version v2."""
        kind, data = part["type"], part["data"]
        if kind == "messages":
            await self._words(*data)
        elif kind == "custom":
            await self._custom(data)
        elif kind == "values" and not part["ns"]:
            self._state, self._interrupts = data, part.get("interrupts", ())

    def end(self) -> Reply:
        """What is still to be said. Raises CannotAnswer."""
        if self._state is None:
            raise CannotAnswer("the graph's stream ended before the graph did")
        if self._interrupts:
            return Reply(self._gap() + _question(self._interrupts[0].value))
        message = _last(self._state, self._settings.messages)
        if message is None:
            raise CannotAnswer(SILENT, "let it end with a message of a model's (AIMessage)")
        text, said = _text(message), self._said.get(message.id or "", "")
        if said and text.startswith(said):
            return Reply(text[len(said) :])
        return Reply(self._gap() + text)

    async def _words(self, message: Any, around: Mapping[str, Any]) -> None:
        nodes = self._settings.nodes
        text = _text(message)
        if not text or not _is_a_models(message) or (nodes and around.get("langgraph_node") not in nodes):
            return
        name = message.id or ""
        before = self._said.get(name)
        gap = self._gap() if before is None else ""
        self._said[name] = (before or "") + text
        await self._heard.say(gap + text)

    def _gap(self) -> str:
        """Between what one message says, and another."""
        return "\n" if self._said else ""

    async def _custom(self, data: Any) -> None:
        """What a node writes by itself: words are a sign of life, and an object says what it is."""
        if isinstance(data, str):
            await self._heard.progress(data)
        elif isinstance(data, dict):
            if isinstance(text := data.get("progress"), str):
                await self._heard.progress(text)
            if isinstance(text := data.get("interim"), str):
                await self._heard.interim(text)
            if isinstance(more := data.get("data"), dict):
                await self._heard.attach(more)


def _turns(heard: Heard) -> list[dict[str, str]]:
    messages = []
    for turn in heard.conversation:
        messages.append({"role": "user", "content": turn.text})
        if turn.reply:
            messages.append({"role": "assistant", "content": turn.reply})
    return messages


def _last(state: Any, key: str) -> Any:
    """The last message of a model since somebody spoke; None: there is none."""
    messages = state.get(key, ()) if isinstance(state, dict) else getattr(state, key, ())
    for message in reversed(messages):
        if getattr(message, "type", "") == "human":
            return None
        if _is_a_models(message):
            return message
    return None


def _is_a_models(message: Any) -> bool:
    return getattr(message, "type", "") in ("ai", "AIMessageChunk")


def _text(message: Any) -> str:
    """Its words: a string, or blocks, of which some are text."""
    content = message.content
    if isinstance(content, str):
        return content
    blocks = (block if isinstance(block, str) else block.get("text", "") for block in content)
    return "".join(block for block in blocks if isinstance(block, str))


def _question(value: Any) -> str:
    """What a graph asks when it stops for an answer (``interrupt``)."""
    if isinstance(value, dict):
        value = value.get("question", value)
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
