"""A graph as an agent, by what its stream says: what LangGraph itself makes of it is in tests/real."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.agents.ready_made import ready_made
from gateway.contract.agents import ConversationTurn
from gateway.orchestrators.rehearsal import Rehearsal, Rehearsed
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.settings.agents.langgraph import GraphSettings
from gateway.settings.orchestrator import AgentSettings

MODULE = """
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

opened = []

def message(kind, content, name=None):
    return SimpleNamespace(type=kind, content=content, id=name)

def words(text, name="a", node="talk", kind="AIMessageChunk"):
    return {"type": "messages", "ns": (), "data": (message(kind, text, name), {"langgraph_node": node})}

def values(*messages, interrupts=(), ns=()):
    return {"type": "values", "ns": ns, "data": {"messages": list(messages)}, "interrupts": interrupts}

def custom(data):
    return {"type": "custom", "ns": (), "data": data}

human = message("human", "said")
STREAMS = {
    "streamed": [values(human), words("It "), words("is."), values(human, message("ai", "It is.", "a"))],
    "whole": [values(human, message("ai", "Whole.", "b"))],
    "rest": [words("It "), values(human, message("ai", "It is.", "a"))],
    "blocks": [values(human, message("ai", [{"type": "text", "text": "A"}, {"type": "image"}, "B"], "b"))],
    "two": [words("Let me look."), words("Done.", "b"), values(human, message("ai", "Done.", "b"))],
    "hidden": [words("route: x", "r", "route"), words("Yes."), values(human, message("ai", "Yes.", "a"))],
    "tools": [words("{}", "t", kind="tool"), values(human, message("ai", "Yes.", "a"), message("tool", "{}"))],
    "asks": [values(human, interrupts=(SimpleNamespace(value={"question": "Really?"}),))],
    "custom": [custom("looking"), custom({"interim": "A moment", "data": {"n": 1}}), custom(7),
               values(human, message("ai", "Yes.", "a"))],
    "below": [values(message("ai", "inner"), ns=("sub:1",))],
    "old": [values(message("ai", "long ago"), human)],
    "none": [],
}

class Graph:
    checkpointer = None
    async def astream(self, given, config, stream_mode, version):
        assert version == "v2"
        if given["messages"][-1]["content"] == "echo":
            around = config["configurable"]
            told = [one["content"] for one in given["messages"]]
            yield values(human, message("ai", json.dumps([told, around["thread_id"], around["room"]])))
        elif given["messages"][-1]["content"] == "breaks":
            yield words("It ")
            raise ValueError("secret")
        for part in STREAMS.get(given["messages"][-1]["content"], ()):
            yield part

graph = Graph()

class Asking(Graph):
    # whatever was said, it has asked "Really?" before
    checkpointer = object()
    async def aget_state(self, config):
        return SimpleNamespace(interrupts=(SimpleNamespace(value={"question": "Really?"}),))

asking = Asking()

async def made():
    return graph

@asynccontextmanager
async def opens():
    opened.append("open")
    try:
        yield graph
    finally:
        opened.append("closed")

def number():
    return 7
"""


LAMPS = ConversationTurn(text="unlock", reply="All the lamps?", agent="home")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "graph_of_mine.py").write_text(MODULE)
    yield
    sys.modules.pop("graph_of_mine", None)


def stage(graph: str = "graph", **settings: Any) -> Rehearsal:
    made = GraphSettings(graph=f"graph_of_mine:{graph}", **settings)
    return Rehearsal(ready_made("house", AgentSettings(kind="langgraph", langgraph=made)))


@pytest.mark.parametrize(
    ("words", "text", "pieces"),
    [
        ("streamed", "It is.", ["It ", "is."]),
        ("whole", "Whole.", []),
        ("rest", "It is.", ["It "]),
        ("blocks", "AB", []),
        ("two", "Let me look.\nDone.", ["Let me look.", "\nDone."]),
        ("hidden", "route: x\nYes.", ["route: x", "\nYes."]),
        ("tools", "Yes.", []),
        ("asks", "Really?", []),
    ],
)
async def test_what_is_said(words: str, text: str, pieces: list[str]) -> None:
    async with stage() as play:
        said = await play.say(words)
        assert (said.end.error, said.text, said.pieces) == (None, text, pieces)


async def test_only_the_nodes_that_are_named_are_said_as_they_write() -> None:
    async with stage(nodes=("talk",)) as play:
        said = await play.say("hidden")
        assert (said.text, said.pieces) == ("Yes.", ["Yes."])


async def test_what_nodes_write_by_themselves() -> None:
    async with stage() as play:
        said = await play.say("custom")
        assert (said.progress, said.first_answers, said.end.data) == (["looking"], ["A moment"], {"n": 1})
        assert said.text == "Yes."


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("none", "house: the graph's stream ended before the graph did"),
        ("below", "house: the graph's stream ended before the graph did"),
        ("old", "house: the graph ended without an answer"),
        ("breaks", "house failed (ValueError)"),
    ],
)
async def test_what_is_no_answer(words: str, reason: str) -> None:
    async with stage() as play:
        said: Rehearsed = await play.say(words)
        assert said.end.error == reason


async def test_a_graph_without_a_checkpointer_is_told_the_conversation() -> None:
    async with stage() as play:
        await play.say("whole")
        said = await play.say("echo", room="Kitchen")
        assert said.text == '[["whole", "Whole.", "echo"], "v_device", "Kitchen"]'


@pytest.mark.parametrize("of_request", [{"path": ("brain",)}, {"conversation": (LAMPS,)}])
async def test_only_a_persons_answer_to_the_question_that_was_heard_is_one(
    of_request: dict[str, Any],
) -> None:
    async with stage("asking") as play:
        assert (await play.say("whole", **of_request)).text == "Whole.", "the graph began anew"


async def test_a_graph_may_be_made_by_a_function_and_opened_with_the_agent() -> None:
    async with stage("made") as play:
        assert (await play.say("whole")).text == "Whole."
    async with stage("opens") as play:
        assert (await play.say("whole")).text == "Whole."
        assert sys.modules["graph_of_mine"].opened == ["open"]
    assert sys.modules["graph_of_mine"].opened == ["open", "closed"]


async def test_what_is_no_graph() -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with stage("number") as play:
            await play.say("whole")
    assert caught.group_contains(BadOrchestrator, match="is no compiled graph: a int")
    with pytest.raises(BadOrchestrator, match="has no 'nothing'"):
        stage("nothing")
