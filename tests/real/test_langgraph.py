"""The example with a graph, run by LangGraph itself in the agent's process."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from docs.plan.house import ROOT
from gateway.agents.process.stand_in import stand_in
from gateway.commands.doctor.agents import agents
from gateway.config.loading import load_config
from gateway.orchestrators.rehearsal import Rehearsal
from gateway.settings.agents.langgraph import GraphSettings
from gateway.settings.orchestrator import AgentSettings
from tests.real.things import LANGGRAPH

pytestmark = [pytest.mark.real(LANGGRAPH), pytest.mark.slow]

EXAMPLE = ROOT / "examples" / "langgraph"


@pytest.fixture(autouse=True)
def langgraph(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its process finds behind our own modules, in the example's folder."""
    monkeypatch.chdir(EXAMPLE)
    (packages,) = (LANGGRAPH.place / "lib").glob("python3*/site-packages")
    monkeypatch.setattr(sys, "path", [*sys.path, str(packages)])


async def test_the_example_is_streamed_remembers_and_asks() -> None:
    config = load_config(EXAMPLE / "config.yaml", {})
    async with Rehearsal(stand_in("house", config.orchestrator.agents["house"])) as stage:
        first = await stage.say("how is it")
        assert first.text == "It is warm, and nobody is there."
        assert first.progress == ["looking"]
        assert len(first.pieces) > 3
        assert "".join(first.pieces) == first.text
        assert first.end.data is not None
        assert first.end.data["heard"] == 1
        second = await stage.say("and now")
        assert second.end.data is not None
        assert second.end.data["heard"] == 3, "its checkpointer knows the conversation"
        other = await stage.say("how is it", device_id="another")
        assert other.end.data is not None
        assert other.end.data["heard"] == 1
        assert (await stage.say("unlock the door")).text == "Unlock the door?"
        assert (await stage.say("yes")).text == "It is open."
        assert (await stage.say("unlock the door", device_id="another")).text == "Unlock the door?"
        assert (await stage.say("rather not", device_id="another")).text == "It stays shut."
    assert "langgraph" not in sys.modules


async def test_a_graph_that_is_not_compiled_and_one_that_goes_in_circles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "circles.py").write_text(
        "from langgraph.graph import StateGraph, MessagesState, START\n"
        "graph = StateGraph(MessagesState)\n"
        "graph.add_node('a', lambda state: {})\n"
        "graph.add_edge(START, 'a')\n"
        "graph.add_edge('a', 'a')\n"
        "async def make(): return graph.compile()\n"
    )
    monkeypatch.chdir(tmp_path)
    settings = AgentSettings(kind="langgraph", langgraph=GraphSettings(graph="circles:make"))
    async with Rehearsal(stand_in("house", settings)) as stage:
        said = await stage.say("hello")
        assert said.end.error == "house: the graph goes on after 25 steps"
    plain = msgspec.structs.replace(settings, langgraph=GraphSettings(graph="circles:graph"))
    async with Rehearsal(stand_in("house", plain)) as stage:
        said = await stage.say("hello")
        assert (said.end.error or "").endswith("circles:graph is no compiled graph: it is not compiled")


def test_the_doctor_loads_it() -> None:
    (found,) = agents(load_config(EXAMPLE / "config.yaml", {}), None)
    assert (found.state, found.detail) == ("ok", "langgraph, in a process of its own")
